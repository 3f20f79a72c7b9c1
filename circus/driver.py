"""Performs what a watcher's lifecycle decides, and feeds back what happened.

Decides nothing itself. Invariant: every stimulus goes through `tell`, and the effects of one are performed in order before
those of the next. Many of them (a thousand processes to signal) are performed in slices.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, cast

from circus.config.resolve import add_import_paths
from circus.core import effects as do
from circus.core import stimuli as told
from circus.core.exit_status import ExitStatus, Leftover
from circus.core.lifecycle import Lifecycle
from circus.events.cause import cause_of, context_of, current_origin
from circus.exc import CircusError, HookError, IllegalTransition, Overtaken, SpawnError
from circus.hooks import HookResult, HookRunner
from circus.launcher import Launcher
from circus.process import Process
from circus.runtime.clock import chance
from circus.runtime.loop import Pending
from circus.runtime.signals import NAMES
from circus.runtime.timers import Timers
from circus.services import Services
from circus.spec.watcher import WatcherSpec
from circus.wire.topics import res_name

if TYPE_CHECKING:
    from circus.ports import WatcherLike

logger = logging.getLogger("circus")


class Driver:
    """The hands of one watcher. It has none before `attach`, only a spec and a state in which nothing runs.

    Args:
        spec: what to run.
    """

    _services: Services
    _launcher: Launcher
    _hooks: HookRunner
    _timers: Timers

    def __init__(self, spec: WatcherSpec) -> None:
        self.name, self.res_name, self.spec = spec.name, res_name(spec.name), spec
        self.attached = False
        self.lifecycle = Lifecycle(spec, random=chance, signal_names=NAMES)
        self._by_pid: dict[int, Process] = {}
        self._by_wid: dict[int, Process] = {}
        self._operations: dict[int, asyncio.Future[Any]] = {}
        self._waiters: dict[int, list[asyncio.Future[list[int]]]] = {}
        self._reap_time = 0.0
        self._asked: list[asyncio.Future[HookResult]] = []
        self._report = self._gone  # one bound method for all processes
        self._pending: Pending[do.Effect] = Pending(self.PERFORMERS, self)

    def attach(self, services: Services) -> None:
        """Work for an arbiter from now on.

        Args:
            services: the loop and everything that its watchers share.

        Raises:
            SpawnError: the limits or the user cannot be had on this system.
            HookError: a hook cannot be resolved.
            ValueError: a stream cannot be made.
        """
        spec = self.spec
        self._launcher = Launcher(spec, services.environ, services.sockets, services.bus)
        # Hooks may live where the processes find their modules, in a virtualenv for one.
        add_import_paths(self._launcher.env.get("PYTHONPATH", ""))
        self._hooks = HookRunner(
            cast("WatcherLike", self), services.arbiter, spec.hooks, loop=services.loop, timeout=spec.hook_timeout
        )
        self._services, self._timers = services, Timers(services.loop)
        self._pending.loop = services.loop
        self.lifecycle = Lifecycle(spec, random=services.random, signal_names=NAMES)
        self.lifecycle.crew.generation = services.bus.generations.before(spec.name)
        services.sampler.add_watcher(spec.name, memory=spec.metrics_memory)
        self.attached = True

    @property
    def shortfall(self) -> str | None:
        """Why less of it runs than should; None when nothing is amiss."""
        return self.lifecycle.shortfall

    @property
    def socket_names(self) -> set[str]:
        """The sockets it names in its command or gives on standard input."""
        return self._launcher.socket_names

    def socket_ready(self) -> None:
        """A connection waits on a socket of this on_demand watcher."""
        self.tell(told.SocketReady())

    def tell(self, stimulus: told.Stimulus, at: float | None = None) -> None:
        """Feed a stimulus in, of now or of the monotonic time `at`, and perform what follows from it."""
        services = self._services
        services.spawns.settle()
        try:
            effects = self.lifecycle.handle(services.clock.monotonic() if at is None else at, stimulus)
        except IllegalTransition as error:
            services.illegal_transitions += 1
            logger.error("%s", error)  # noqa: TRY400 -- the story in the text says more than the stack
            effects = self.lifecycle.crew.effects
        self._pending.perform(effects)  # a hook façade or a stream may call back in here; those at hand come first

    def settle(self) -> None:
        """Take in what has happened and is not told yet, because a new process has its head start."""
        if self.attached:
            self._services.spawns.settle()

    def _do_spawn(self, effect: do.Spawn) -> None:
        self._services.spawns.submit(lambda: self._spawn(effect))

    def _spawn(self, effect: do.Spawn) -> Callable[[], None] | None:
        slot = self.lifecycle.crew.find(effect.wid, effect.generation)
        if slot is None or slot.pid is not None:
            return None  # stopped before its turn came
        services, group = self._services, None
        began = services.clock.monotonic()
        try:
            wide, fate = self.spec.scope != "main", services.ledger.expect(self.spec)
            marked = wide or fate != "ignore"
            mark = services.reach.mark(self.name, effect.wid, effect.generation) if marked else {}
            context = context_of(slot.origin, services.bus) if self.spec.propagate_trace else None
            if wide:
                group = services.reach.expect(self.name, effect.wid, effect.generation, self.spec.scope)
            process = self._launcher.launch(
                effect.wid, effect.generation, services.reaper, mark, context, lasting=fate == "adopt",
                door=None if group is None else group.door,
            )  # fmt: skip
        except SpawnError as error:
            if group is not None:
                group.remove()
            failed = told.SpawnFailed(effect.wid, effect.generation, error.stage, error.os_errno, str(error))
            self.tell(failed)
            return None
        self._by_pid[process.pid] = self._by_wid[effect.wid] = process
        if wide:
            services.reach.born(process, mark, group)
        if fate != "ignore":
            services.ledger.add(process, self.spec, services.reach.group_of(process.pid), lasting=fate == "adopt")
        services.reaper.watch(process.pid, self._report)
        now = services.clock.monotonic()

        def spawned() -> None:
            services.sampler.add(self.name, effect.wid, process.pid, effect.generation, process.started)
            self.tell(told.Spawned(effect.wid, effect.generation, process.pid, now - began), at=now)

        return spawned

    def _gone(self, pid: int, status: ExitStatus) -> None:
        process = self._by_pid.get(pid)
        if process is not None:  # or it was given up as lost
            process.ended(status.code)
            scope, tail = self.spec.scope, self._launcher.tail
            self.tell(self._services.findings.at_the_end(process, status, scope, tail))

    def _do_forget(self, effect: do.Forget) -> None:
        if process := self._let_go(effect.wid, effect.pid):
            self._launcher.release(process)

    def _let_go(self, wid: int, pid: int) -> Process | None:
        process, waiting = self._by_pid.pop(pid, None), self._waiters.pop(pid, ())
        left = self._services.reach.outlived(process) if process is not None and waiting else []
        self._services.reach.forget(pid)
        self._services.ledger.discard(pid)
        if process is not None and self._by_wid.get(wid) is process:
            del self._by_wid[wid]
            self._services.sampler.discard(self.name, wid)
        for future in waiting:
            future.set_result(left)
        return process

    def _do_send_signal(self, effect: do.SendSignal) -> None:
        process = self._by_pid.get(effect.pid)
        reached: tuple[int, ...] = ()
        if process is not None:
            try:
                reached = self._services.reach.signal(process, effect.signum, effect.scope)
            except OSError as error:
                logger.error("cannot signal process %s of '%s': %s", effect.pid, self.name, error)  # noqa: TRY400 -- a fact
        self.tell(told.Signalled(effect.order, reached))

    def _do_await_tree(self, effect: do.AwaitTree) -> None:
        def swept(left: tuple[Leftover, ...]) -> None:
            self.tell(told.Swept(effect.wid, effect.generation, left))

        self._services.reach.await_end(effect.pid, effect.scope, swept)

    def _do_arm_timer(self, effect: do.ArmTimer) -> None:
        fired = told.TimerFired(effect.name, effect.wid, effect.epoch)
        self._timers.arm((effect.name, effect.wid), effect.delay, lambda: self.tell(fired))

    def _do_cancel_timer(self, effect: do.CancelTimer) -> None:
        self._timers.cancel((effect.name, effect.wid))

    def _do_call_hook(self, effect: do.CallHook) -> None:
        kwargs = effect.kwargs
        if effect.hook == "before_reap":
            kwargs = {**kwargs, "time": self._services.clock.time()}
        elif effect.hook == "after_reap":
            kwargs = {**kwargs, "time": self._reap_time}
        self._hooks.call(effect.hook, kwargs, lambda result: self._hook_done(effect.token, result))

    def _hook_done(self, token: int, result: HookResult) -> None:
        if result.error is None:
            self.notify_event("hook_success", {"name": result.hook})
        else:
            self.notify_event("hook_failure", {"name": result.hook, "error": result.error})
        self.tell(told.HookAnswered(token, result.hook, result.ok, result.error, result.seconds))

    async def extend_stats(self, pid: int, stats: dict[str, Any]) -> None:
        """Let the hook extended_stats, if there is one, add to what is known of a process.

        Raises:
            HookError: it raised, or took too long; `stats` is as it was.
        """
        if not self._hooks.has("extended_stats"):
            return
        origin, extended = current_origin(), stats.copy()
        answer: asyncio.Future[HookResult] = self._services.loop.create_future()
        self._asked.append(answer)
        answer.add_done_callback(self._asked.remove)
        self._hooks.call("extended_stats", {"pid": pid, "stats": extended}, answer.set_result)
        result = await answer
        data = {"hook": result.hook, "ok": result.error is None, "veto": False, "seconds": result.seconds,
                "error": result.error}  # fmt: skip
        self._do_tell(do.Tell("hook.finished", origin, data, pid=pid))
        if result.error is None:
            stats.update(extended)
        elif not result.ok:
            raise HookError(f"hook extended_stats of '{self.name}' failed: {result.error}")

    def _do_publish(self, effect: do.Publish) -> None:
        payload = effect.payload
        if effect.action == "spawn":
            process = self._by_pid.get(payload["process_pid"])
            if process is not None:
                payload = {**payload, "time": process.started}
        elif effect.action == "reap":
            # The hook after_reap, which follows at once, gets the same.
            self._reap_time = self._services.clock.time()
            payload = {
                "process_pid": payload["process_pid"],
                "time": self._reap_time,
                "exit_code": payload["exit_code"],
            }
        self.notify_event(effect.action, payload)

    def notify_event(self, topic: str, msg: Mapping[str, Any]) -> None:
        """Publish an event of this watcher; `time` is added where the message has none."""
        if self.attached:
            self._services.bus.event(self.name, topic, msg)

    def _do_tell(self, effect: do.Tell) -> None:
        origin, opens, data = effect.origin, effect.opens, effect.data
        if effect.record == "process.exited" and data["leftovers"] is None:
            if not self.spec.propagate_trace:  # the successor is told the trace of this record
                self._spawn_first(effect.wid)
                if self._services.spawns.resting:
                    self._pending.put_back(effect)
                    self._services.spawns.afterwards(self._pending.resume)
                    return
            data = {**data, "leftovers": self._services.findings.who_lives_on(self._by_pid.get(effect.pid or 0))}
        seq, trace = self._services.bus.record(
            effect.record, self.name, cause_of(origin), data,
            trace=origin.trace, wid=effect.wid, pid=effect.pid, generation=effect.generation,
        )  # fmt: skip
        if origin.trace is None:
            origin.trace, origin.context = trace, self._services.bus.context(seq, trace)
        if opens is not None:
            opens.seq, opens.trace = seq, opens.trace or trace

    def _spawn_first(self, wid: int | None) -> None:
        """A successor need not wait until it is known who was left over: with a thousand processes that takes as long as
        its start. It passes nothing but what is said of the dead one; a restart closes and opens streams before.
        """
        for effect in self._pending.effects:
            if isinstance(effect, do.Spawn) and effect.wid == wid:
                self._pending.effects.remove(effect)
                self._do_spawn(effect)
                return
            if not isinstance(effect, do.Publish | do.Forget | do.CancelTimer | do.Log):
                return

    def _do_answer(self, effect: do.Answer) -> None:
        future = self._operations.pop(effect.operation)
        if not future.done():
            future.set_result(effect.info)

    def _do_refuse(self, effect: do.Refuse) -> None:
        future = self._operations.pop(effect.operation)
        if not future.done():
            future.set_exception(Overtaken(effect.reason))

    def _do_fail(self, effect: do.Fail) -> None:
        future = self._operations.pop(effect.operation)
        if not future.done():
            future.set_exception(CircusError(effect.reason))

    def _do_open_streams(self, _: object) -> None:
        self._launcher.open_streams()

    def _do_close_streams(self, _: object) -> None:
        self._launcher.close_streams()

    def _do_watch_sockets(self, effect: do.WatchSockets) -> None:
        self._services.watch_sockets(self, effect.on)

    def _do_log(self, effect: do.Log) -> None:
        logger.log(logging.getLevelName(effect.level.upper()), "%s", effect.text)

    def _do_nothing(self, _: object) -> None:
        """A spawn that was cancelled finds its slot gone when its turn comes."""

    PERFORMERS: ClassVar[Mapping[type, Callable[[Any, Any], None]]] = {
        do.Spawn: _do_spawn,
        do.CancelSpawn: _do_nothing,
        do.SendSignal: _do_send_signal,
        do.AwaitTree: _do_await_tree,
        do.ArmTimer: _do_arm_timer,
        do.CancelTimer: _do_cancel_timer,
        do.CallHook: _do_call_hook,
        do.Publish: _do_publish,
        do.Tell: _do_tell,
        do.Answer: _do_answer,
        do.Refuse: _do_refuse,
        do.Fail: _do_fail,
        do.Forget: _do_forget,
        do.OpenStreams: _do_open_streams,
        do.CloseStreams: _do_close_streams,
        do.WatchSockets: _do_watch_sockets,
        do.Log: _do_log,
    }
