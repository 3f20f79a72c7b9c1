"""A world for one lifecycle: a clock that jumps, processes that are numbers, and effects really performed.

Small and real rather than mocked: a process dies of a signal after a while unless it ignores it, a spawn fails when told
to, a hook answers what it was told to answer. Everything that happens is kept in `records`.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter, deque
from dataclasses import dataclass, field, replace

import msgspec

from circus.core import effects as do
from circus.core import stimuli as told
from circus.core.exit_status import ExitStatus, Leftover
from circus.core.lifecycle import Lifecycle
from circus.core.origin import Origin
from circus.core.process_fsm import ProcessState
from circus.core.resuming import MachineRecord
from circus.core.watcher_fsm import WatcherState
from circus.spec.diff import watcher_changes
from circus.spec.fields import Effect
from circus.spec.watcher import WatcherSpec

NAMES = {1: "SIGHUP", 9: "SIGKILL", 11: "SIGSEGV", 15: "SIGTERM"}


@dataclass
class FakeProcess:
    pid: int
    wid: int
    generation: int
    ignores_term: bool
    kids: dict[int, bool] = field(default_factory=dict)
    """What it started, and whether that ignores SIGTERM; they outlive it."""


class World:
    def __init__(self, spec: WatcherSpec, *, random=lambda: 0.5):
        self.life = Lifecycle(spec, random=random, signal_names=NAMES)
        self.now = 0.0
        self.alive: dict[int, FakeProcess] = {}
        self.records: list[do.Tell] = []
        self.events: list[tuple[str, dict]] = []
        self.answers: dict[int, object] = {}
        self.refusals: dict[int, str] = {}
        self.hooks: list[str] = []
        self.asked: list[tuple[str, dict]] = []
        self.told: list[str] = []
        """Hooks as they answered, and events as they were published, in order."""
        self.left: list[int] = []
        self.adopted = 0
        """How many of its processes somebody else has started."""
        self.specs: list[WatcherSpec] = []
        self.veto: set[str] = set()
        self.failing: set[str] = set()
        self.silent: set[str] = set()
        self.watching = False
        self.failed: list[int] = []
        self.failing_spawns = 0
        self.ignore_term = False
        self.stop_seconds = 0.1
        self.hook_seconds = 0.01
        self.signals: list[tuple[int, int]] = []
        self.lines = []
        self.most_staying = 0
        self._ids, self._pids, self._order = itertools.count(1), itertools.count(100), itertools.count()
        self._agenda: list[tuple[float, int, object]] = []
        self.orphans: dict[tuple[int, int], dict[int, bool]] = {}
        self.kids = 0
        self.kids_ignore_term = False
        self._awaited: set[tuple[int, int]] = set()
        self._pending: deque[do.Effect] = deque()
        self._performing = False
        self._timers: dict[tuple[str, int | None], int] = {}

    # -- what a test does

    def submit(self, kind, **details) -> int:
        op = told.Operation(id=next(self._ids), kind=kind, origin=Origin(kind="command", name=kind), **details)
        self.tell(told.Submitted(op))
        return op.id

    def change(self, replacing=False, **values) -> int:
        """What the command `set` submits."""
        before = replace(self.life.coming_spec, numprocesses=self.life.coming_target)
        spec = replace(before, **values)
        options = watcher_changes(before, spec)
        effect = max((option.effect for option in options), default=Effect.NOTHING)
        told_of = tuple({"name": option.name, "old": option.old, "new": option.new} for option in options)
        change = told.Change(spec=spec, effect=Effect.RELOAD if replacing else effect, keys=tuple(values),
                             target=values.get("numprocesses"), told=told_of, replacing=replacing)  # fmt: skip
        return self.submit("change", name="set", start_cause="reload", change=change)

    def die(self, pid, code=1, signum=None):
        process = self.alive.pop(pid)
        status = ExitStatus(exit_code=None if signum else code, signum=signum, signal=NAMES.get(signum),
                            cpu_user_seconds=0.0, cpu_system_seconds=0.0, max_resident_bytes=0)  # fmt: skip
        self.orphans[process.wid, process.generation] = process.kids
        left = tuple(Leftover(kid, "kid") for kid in process.kids)
        self.tell(told.Reaped(process.wid, process.generation, status, left))

    def run(self, seconds=0.0):
        """Let that much time pass, with everything that falls due in it."""
        until = self.now + seconds
        while self._agenda and self._agenda[0][0] <= until:
            at, _, what = heapq.heappop(self._agenda)
            self.now = max(self.now, at)
            what()
        self.now = until

    def adopt(self, record: MachineRecord):
        """Take over processes that nobody here has started."""
        for slot in record.slots:
            self.adopted += 1
            self.alive[slot.pid] = FakeProcess(slot.pid, slot.wid, slot.generation, self.ignore_term)
        self.resume(record)

    def upgrade(self) -> bool:
        """Another daemon takes over: a new machine from what the old one writes down. False while it is busy."""
        if self.life.busy is not None:
            return False
        self.resume(msgspec.json.decode(msgspec.json.encode(self.life.record()), type=MachineRecord))
        return True

    def resume(self, record):
        self.life = Lifecycle(self.life.spec, random=self.life.crew.random, signal_names=NAMES)
        self.watching = False
        self._perform(self.life.resume(self.now, record))

    # -- what follows

    def tell(self, stimulus):
        self._perform(self.life.handle(self.now, stimulus))

    def _perform(self, effects):
        self._pending.extend(effects)
        if self._performing:
            return
        self._performing = True
        while self._pending:
            effect = self._pending.popleft()
            getattr(self, f"_{type(effect).__name__}", self._nothing)(effect)
        self._performing = False
        self.check()

    def _later(self, delay, what):
        heapq.heappush(self._agenda, (self.now + delay, next(self._order), what))

    def _Spawn(self, effect):
        self._later(0, lambda: self._spawn(effect))

    def _spawn(self, effect):
        slot = self.life.crew.find(effect.wid, effect.generation)
        if slot is None or slot.pid is not None:
            return
        if self.failing_spawns:
            self.failing_spawns -= 1
            self.tell(told.SpawnFailed(effect.wid, effect.generation, "exec", 2, "program not found"))
            return
        process = FakeProcess(next(self._pids), effect.wid, effect.generation, self.ignore_term)
        self.alive[process.pid] = process
        process.kids = {1000 * process.pid + each: self.kids_ignore_term for each in range(self.kids)}
        self.tell(told.Spawned(effect.wid, effect.generation, process.pid, 0.001))

    def _SendSignal(self, effect):
        process = self.alive.get(effect.pid)
        key = (effect.wid, self.life.crew.slots[effect.wid].generation)
        kids = process.kids if process is not None else self.orphans.get(key, {})
        reached = [effect.pid] if process is not None else []
        if effect.scope != "main":
            reached += kids
        self.signals += [(pid, effect.signum) for pid in reached]
        for pid in reached:
            ignores = process.ignores_term if process is not None and pid == effect.pid else kids.get(pid)
            if effect.signum != 1 and (not ignores or effect.signum == 9):
                after = self.stop_seconds if effect.signum != 9 else 0.001
                self._later(after, lambda pid=pid: self._dies_of(pid, effect.signum, kids, key))
        self.tell(told.Signalled(effect.order, tuple(reached)))

    def _AwaitTree(self, effect):
        key = (effect.wid, effect.generation)
        self._awaited.add(key)
        self._later(0, lambda: self._look(key))

    def _look(self, key):
        if key in self._awaited and not self.orphans[key]:
            self._awaited.discard(key)
            self.tell(told.Swept(*key))

    def _dies_of(self, pid, signum, kids, key):
        if pid in self.alive:
            self.die(pid, signum=signum)
        elif kids.pop(pid, None) is not None:
            self._look(key)

    def _Log(self, effect):
        self.lines.append(effect.text)

    def _ArmTimer(self, effect):
        self._timers[effect.name, effect.wid] = effect.epoch
        self._later(effect.delay, lambda: self._fire(effect))

    def _fire(self, effect):
        # Also what was cancelled or replaced is delivered: a late timer must do no harm.
        self.tell(told.TimerFired(effect.name, effect.wid, effect.epoch))

    def _WatchSockets(self, effect):
        self.watching = effect.on

    def _Failed(self, effect):
        self.failed.append(effect.status)

    def _CallHook(self, effect):
        self.hooks.append(effect.hook)
        self.asked.append((effect.hook, dict(effect.kwargs)))
        if effect.hook not in self.silent:
            self._later(self.hook_seconds, lambda: self.answer(effect.hook, effect.token))

    def answer(self, hook, token):
        self.told.append(hook)
        error = "it broke" if hook in self.failing else None
        ok = error is None and hook not in self.veto
        self.tell(told.HookAnswered(token, hook, ok, error, self.hook_seconds))

    def _Publish(self, effect):
        self.told.append(effect.action)
        self.events.append((effect.action, dict(effect.payload)))

    def _Tell(self, effect):
        self.records.append(effect)
        if effect.opens is not None:
            effect.opens.seq = len(self.records)

    def _Abandon(self, effect):
        del self.alive[effect.pid]
        self.left.append(effect.pid)

    def _Respecify(self, effect):
        self.specs.append(effect.spec)

    def _Answer(self, effect):
        assert effect.operation not in self.answers
        assert effect.operation not in self.refusals
        self.answers[effect.operation] = effect.info

    def _Refuse(self, effect):
        assert effect.operation not in self.answers
        assert effect.operation not in self.refusals
        self.refusals[effect.operation] = effect.reason

    def _Fail(self, effect):
        assert effect.operation not in self.answers
        assert effect.operation not in self.refusals
        self.refusals[effect.operation] = effect.reason

    def _nothing(self, effect):
        pass

    # -- what must always hold

    def check(self):
        crew = self.life.crew
        assert crew.count == {
            **dict.fromkeys((None, *ProcessState), 0),
            **Counter(s.state for s in crew.slots.values()),
        }
        living = [slot.pid for slot in crew.slots.values() if slot.alive]
        assert len(living) == len(set(living))
        staying = sum(slot.staying for slot in crew.slots.values())
        surge = crew.target if self.life.reloading is not None else 0
        # On the way down they stay until before_stop has answered, however few are wanted from now on.
        assert staying <= crew.target + surge or self.life.state is WatcherState.STOPPING, (staying, crew.target)
        told_of = Counter(r.record for r in self.records)
        reaps = Counter(action for action, _ in self.events)["reap"]
        ended = told_of["process.exited"] + told_of["process.lost"] - len(self.left)
        assert reaps + crew.parting >= ended >= reaps
        spawned = told_of["process.spawned"] + self.adopted
        assert spawned == told_of["process.exited"] + told_of["process.lost"] + len(living)

    def names(self):
        return [record.record for record in self.records]


def world(**options) -> World:
    options = {"name": "web", "cmd": "program", "backoff_jitter": 0.0} | options
    return World(WatcherSpec(**options))


def drain(w: World):
    """Stop and wait until nothing moves."""
    stop = w.submit("stop")
    deque((w.run(10) for _ in range(20)), maxlen=0)
    return stop
