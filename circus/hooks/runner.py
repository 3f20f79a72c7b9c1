"""Hooks of one watcher: resolved, called one after the other in a thread, answered in the loop.

Owns the thread and the clock of each call; refuses to know what an answer means (veto, stop, nothing: its caller
decides). Invariant: every call that is made before `close` is answered exactly once, in the loop, in order of the
calls, whatever the hook does: return, raise, leave the interpreter or never come back.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from circus import logger
from circus.config.resolve import import_anew, resolve_name
from circus.exc import HookError
from circus.spec.watcher import HookSpec

if TYPE_CHECKING:
    from circus.hooks.facade import Facade, HookThread, Loop
    from circus.ports import ArbiterLike, HookCallable, WatcherLike

MAX_STUCK_THREADS = 8


class HookResult(msgspec.Struct, frozen=True, kw_only=True):
    """How a call ended. Without `error` the hook answered, and `ok` is the truth of what it returned.

    With `error` it raised or timed out; `ok` is then true only when its failures are ignored.
    """

    hook: str
    ok: bool
    error: str | None
    seconds: float

    @property
    def veto(self) -> bool:
        """True when the hook itself said no."""
        return not self.ok and self.error is None


HookDone = Callable[[HookResult], None]


class _Call(msgspec.Struct, kw_only=True):
    """One call on its way; `began` is loop time, None while it waits for its turn."""

    hook: str
    function: HookCallable
    kwargs: Mapping[str, Any]
    ignore_failure: bool
    done: HookDone
    began: float | None = None


def resolve_hooks(specs: Mapping[str, HookSpec], *, anew: Collection[str] = ()) -> dict[str, HookCallable]:
    """The callables of hooks by name; `HookError` says which one cannot be had, and why.

    The modules of those named in `anew` are imported again, so that code that was changed is in force.
    """
    found: dict[str, HookCallable] = {}
    for name, spec in specs.items():
        target: Any = spec.target
        if isinstance(target, str):
            try:
                if name in anew:
                    import_anew(target)
                target = resolve_name(target)
            except ImportError as error:
                raise HookError(f"hook {name}: {error}") from error
        if not callable(target):
            raise HookError(f"hook {name}: {spec.target} is not callable")
        import inspect  # the daemon is without it until there are hooks

        if inspect.iscoroutinefunction(target):
            raise HookError(f"hook {name}: {spec.target} is a coroutine function; hooks are plain functions")
        found[name] = target
    return found


class HookRunner:
    """Calls the hooks of one watcher: at most one at a time, each at most `timeout` seconds (0: as long as it takes).

    Made and used in the loop's thread. `watcher` and `arbiter` reach the hooks as facades. A hook that does not come
    back in time has failed; its thread is left to itself, its late answer dropped, and a new thread takes the next
    call. When `MAX_STUCK_THREADS` threads are left like that, further calls fail at once.
    """

    def __init__(
        self,
        watcher: WatcherLike,
        arbiter: ArbiterLike,
        hooks: Mapping[str, HookSpec],
        *,
        loop: asyncio.AbstractEventLoop,
        timeout: float,
    ) -> None:
        self._specs = dict(hooks)
        self._functions = resolve_hooks(hooks)
        self._watcher_name = watcher.name
        self._loop = loop
        self._timeout = timeout
        self._seen = (watcher, arbiter)
        self._faces: tuple[Loop, Facade, Facade] | None = None
        self._waiting: list[_Call] = []
        self._current: _Call | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._thread: HookThread | None = None
        self._stuck: list[HookThread] = []
        self._closed = False
        if hooks:
            self._meet()

    def _meet(self) -> tuple[Loop, Facade, Facade]:
        """The crossing to the loop and what hooks see, made with the first hook: most watchers have none."""
        if self._faces is None:
            from circus.hooks.facade import Facade, Loop

            watcher, arbiter = self._seen
            crossing = Loop(self._loop, watcher, arbiter)
            self._faces = crossing, Facade(crossing, watcher), Facade(crossing, arbiter)
        return self._faces

    def change(self, specs: Mapping[str, HookSpec], functions: Mapping[str, HookCallable], timeout: float) -> None:
        """Have these hooks from now on, which `resolve_hooks` has found; calls that were made before are as they were."""
        self._specs, self._functions, self._timeout = dict(specs), dict(functions), timeout
        if specs:
            self._meet()

    def has(self, name: str) -> bool:
        """True when the watcher has a hook of that name."""
        return name in self._functions

    @property
    def asking(self) -> bool:
        """A hook of this watcher asks for what is being done just now, and waits for it."""
        return self._faces is not None and self._faces[0].carrying

    def call(self, name: str, kwargs: Mapping[str, Any], done: HookDone) -> None:
        """Call a hook that `has` knows with `kwargs` besides watcher, arbiter and hook_name; `done` gets its result."""
        call = _Call(
            hook=name,
            function=self._functions[name],
            kwargs=kwargs,
            ignore_failure=self._specs[name].ignore_failure,
            done=done,
        )
        if self._closed:
            logger.debug("hook %s of %r: not called, the watcher is gone", name, self._watcher_name)
            return
        self._meet()[0].enter_loop()
        self._waiting.append(call)
        if self._current is None:
            self._next()

    def close(self) -> None:
        """Call and answer nothing from now on. A hook that runs is left to itself; nothing is waited for."""
        self._closed = True
        self._waiting.clear()
        self._current = None
        self._stop_timer()
        if self._faces is not None:
            self._faces[0].close()
        if self._thread is not None:
            self._thread.leave()
            self._thread = None

    def _next(self) -> None:
        if not self._waiting:
            return
        call = self._current = self._waiting.pop(0)
        call.began = self._loop.time()
        if self._thread is None:
            self._stuck = [thread for thread in self._stuck if thread.is_alive()]
            if len(self._stuck) >= MAX_STUCK_THREADS:
                error = f"not called: {len(self._stuck)} earlier calls of hooks have not come back"
                self._loop.call_soon(self._finish, call, False, error)
                return
            from circus.hooks.facade import HookThread  # imported when there was the first hook

            thread = HookThread(f"hooks of {self._watcher_name}", self._meet()[0])
            try:
                thread.start()
            except RuntimeError as error:  # no more threads to be had
                self._loop.call_soon(self._finish, call, False, f"not called: {error}")
                return
            self._thread = thread
        if self._timeout > 0:
            self._timer = self._loop.call_later(self._timeout, self._timed_out, call)
        self._thread.give(lambda: self._run(call))

    def _run(self, call: _Call) -> None:
        """Call the hook and carry the answer to the loop; in the hook's thread."""
        _, watcher, arbiter = self._meet()
        ours = os.getpid()
        try:
            if call.hook == "extended_stats":
                # By position, because circus 0.19 called this one so and its hooks name the arguments as they like.
                answer = call.function(watcher, arbiter, call.hook, **call.kwargs)
            else:
                answer = call.function(watcher=watcher, arbiter=arbiter, hook_name=call.hook, **call.kwargs)
            ok, error = bool(answer), None
        except BaseException as raised:
            _end_copy_of(ours)
            # SystemExit and KeyboardInterrupt too: a hook cannot end the daemon, nor the thread that serves the next.
            logger.warning("hook %s of %r failed", call.hook, self._watcher_name, exc_info=True)
            ok, error = False, _text(raised)
        _end_copy_of(ours)
        try:
            self._loop.call_soon_threadsafe(self._finish, call, ok, error)
        except RuntimeError:
            logger.debug("hook %s of %r answered after the daemon had ended", call.hook, self._watcher_name)

    def _timed_out(self, call: _Call) -> None:
        if self._thread is not None:
            self._thread.leave()
            self._stuck.append(self._thread)
            self._thread = None
        error = f"timed out after {self._timeout:g} s"
        logger.warning("hook %s of %r %s", call.hook, self._watcher_name, error)
        self._finish(call, False, error)

    def _finish(self, call: _Call, ok: bool, error: str | None) -> None:
        if call is not self._current:
            return  # the answer of a call that had timed out, or of a closed runner
        self._stop_timer()
        self._current = None
        began = call.began
        assert began is not None
        result = HookResult(
            hook=call.hook,
            ok=ok or (error is not None and call.ignore_failure),
            error=error,
            seconds=self._loop.time() - began,
        )
        try:
            call.done(result)
        finally:
            if self._current is None and not self._closed:
                self._next()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _end_copy_of(pid: int) -> None:
    """End this process if it is another: a hook forked, and let its child come back as a second daemon."""
    if os.getpid() != pid:
        os._exit(1)


def _text(error: BaseException) -> str:
    """The error's own words as circus 0.19 published them, or its kind where it has none."""
    if isinstance(error, Exception):
        return str(error) or type(error).__name__
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
