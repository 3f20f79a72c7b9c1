"""Rules over a fleet: what fires, what ends, and why."""

from __future__ import annotations

from typing import Any

import pytest

from circus.spec.alerts import read_alerts
from circus.wire.events import Cause, Record
from circus_exporters.alerts.engine import Key
from circus_exporters.alerts.evaluation import Change, Evaluation
from tests.fakes import fleet

MIB = 1 << 20


class Watch:
    """An evaluation with a clock of its own; what changed is kept as (turn, rule, watcher, wid)."""

    def __init__(self, **rules: dict[str, str]) -> None:
        found, _, mistakes = read_alerts(rules, {})
        assert not mistakes
        self.evaluation = Evaluation(found)
        self.now = 100.0
        self.seq = 10
        self.changes: list[Change] = []
        self.evaluation.begin(self.now)

    def keep(self, changes: list[Change]) -> None:
        self.changes += changes

    @property
    def told(self) -> list[tuple[Any, ...]]:
        return [(change.turn, *change.key) for change in self.changes]

    def snapshot(self, *watchers: Any) -> None:
        self.evaluation.snapshot(fleet.telemetry(*watchers, seq=self.seq), self.now)

    def record(self, name: str, watcher: str | None = "web", **changes: Any) -> Record:
        self.seq += 1
        record = fleet.record(self.seq, name, watcher, **changes)
        self.evaluation.record(record, self.now)
        return record

    def tick(self, seconds: float = 1.0, *, attached: bool = True) -> None:
        self.now += seconds
        self.keep(self.evaluation.tick(self.now, attached=attached))

    def sample(self, memory: dict[int, int], watcher: str = "web", seconds: float = 1.0) -> None:
        self.now += seconds
        processes = [fleet.process(wid, resident_bytes=size * MIB) for wid, size in memory.items()]
        self.evaluation.passed(1.0, self.now)
        self.keep(self.evaluation.sample(fleet.sample(watcher, processes), self.now))


MEMORY = {"kind": "memory", "above": "100MiB", "clear_below": "50MiB", "for": "2s"}


def test_memory_fires_by_slot_after_a_while_and_is_over_below_the_second_threshold() -> None:
    watch = Watch(leak=MEMORY)
    watch.snapshot(fleet.watcher("web", 2))
    watch.sample({1: 120, 2: 20})
    watch.sample({1: 120, 2: 20})
    assert watch.told == []
    watch.sample({1: 130, 2: 20})
    assert watch.told == [("firing", "leak", "web", 1)]
    assert watch.changes[0].since == watch.now - 2.0
    assert (watch.changes[0].seen.value, watch.changes[0].seen.threshold) == (130 * MIB, 100 * MIB)
    watch.sample({1: 60, 2: 20})
    watch.sample({1: 120, 2: 20})
    assert len(watch.told) == 1
    watch.sample({1: 40, 2: 20})
    assert watch.told == [("firing", "leak", "web", 1), ("resolved", "leak", "web", 1)]
    assert watch.changes[1].reason == "recovered"


@pytest.mark.parametrize("gone", ["slot", "process", "watcher", "samples"])
def test_what_is_not_there_any_more_ends(gone: str) -> None:
    watch = Watch(leak={**MEMORY, "for": "0"})
    watch.snapshot(fleet.watcher("web", 2), fleet.watcher("api", 1))
    watch.sample({1: 120, 2: 20})
    assert watch.told == [("firing", "leak", "web", 1)]
    if gone == "slot":
        watch.sample({2: 20})
    elif gone == "process":
        watch.sample({1: 20, 2: 20})
    elif gone == "watcher":
        watch.record("watcher.removed")
        watch.tick()
    else:
        for _ in range(5):
            watch.sample({1: 5}, "api")
        watch.tick()
    assert watch.told == [("firing", "leak", "web", 1), ("resolved", "leak", "web", 1)]
    assert watch.changes[1].reason == ("gone" if gone == "watcher" else "recovered")


def test_while_nothing_is_known_nothing_begins_and_nothing_ends() -> None:
    watch = Watch(leak={**MEMORY, "for": "0"}, down={"for": "3s"})
    watch.snapshot(fleet.watcher("web", 2), fleet.watcher("api", 0, desired=1))
    watch.sample({1: 120})
    watch.tick(2.0)
    assert watch.told == [("firing", "leak", "web", 1)]
    watch.tick(100.0, attached=False)
    assert len(watch.told) == 1
    watch.tick(1.0)
    assert len(watch.told) == 1  # what was pending begins anew
    watch.tick(3.0)
    assert watch.told[1:] == [("firing", "down", "api", None)]


def test_crashes_fire_once_however_many_there_are() -> None:
    watch = Watch(exit={"window": "60s", "reasons": "crash"})
    watch.snapshot(fleet.watcher("web", 2))
    for _ in range(5):
        last = watch.record("process.exited", data={"reason": "crash", "expected": False})
        watch.tick()
    assert watch.told == [("firing", "exit", "web", None)]
    assert watch.changes[0].cause == last.seq - 4
    watch.tick(61.0)
    assert watch.told[1:] == [("resolved", "exit", "web", None)]


def test_a_stop_ends_everything_at_once() -> None:
    watch = Watch(flapping={"above": "1", "keep": "1h"}, leak={**MEMORY, "for": "0"})
    watch.snapshot(fleet.watcher("web", 1))
    for _ in range(3):
        watch.record("process.exited", data={"reason": "crash", "expected": False})
    watch.sample({1: 120})
    watch.tick()
    assert {turn for turn, *_ in watch.told} == {"firing"}
    stopping = {"from": "active", "to": "stopping", "want": "down", "desired": 1}
    watch.record("watcher.state", data=stopping, cause=Cause(kind="command", id="1", name="stop", actor="uid:0"))
    watch.tick()
    assert sorted(watch.told[2:]) == [("resolved", "flapping", "web", None), ("resolved", "leak", "web", 1)]
    assert {change.reason for change in watch.changes[2:]} == {"gone"}


def test_the_end_of_the_daemon_ends_everything_and_another_one_begins_anew() -> None:
    watch = Watch(down={"for": "0"})
    watch.snapshot(fleet.watcher("web", 0, desired=1))
    watch.tick()
    watch.record("arbiter.stopping", None)
    watch.tick()
    assert watch.told == [("firing", "down", "web", None), ("resolved", "down", "web", None)]
    watch.keep(watch.evaluation.begin(watch.now))
    watch.snapshot(fleet.watcher("web", 0, desired=1))
    watch.tick()
    assert watch.told[2:] == [("firing", "down", "web", None)]
    watch.keep(watch.evaluation.begin(watch.now))
    assert watch.told[3:] == [("resolved", "down", "web", None)]


def test_samples_that_do_not_come_are_told_of_the_daemon_also_when_it_does_not_answer() -> None:
    watch = Watch(stale={"kind": "stats_stale", "above": "20s", "for": "0"})
    watch.snapshot(fleet.watcher("web", 1))
    watch.sample({1: 20})
    watch.tick(15.0)
    watch.tick(10.0, attached=False)
    assert watch.told == [("firing", "stale", None, None)]
    watch.sample({1: 20})
    watch.tick(0.0)
    assert watch.told[1:] == [("resolved", "stale", None, None)]


def test_an_alert_of_before_goes_on_and_ends() -> None:
    watch = Watch(leak={**MEMORY, "for": "0"})
    assert watch.evaluation.restore(Key("leak", "web", 1), watch.now)
    assert not watch.evaluation.restore(Key("other", "web", 1), watch.now)
    watch.snapshot(fleet.watcher("web", 1))
    watch.sample({1: 120})
    assert watch.told == []
    watch.sample({1: 20})
    assert watch.told == [("resolved", "leak", "web", 1)]


def test_an_alert_of_before_does_not_end_before_anybody_has_looked() -> None:
    watch = Watch(leak={**MEMORY, "for": "0"})
    watch.snapshot(fleet.watcher("web", 1))
    watch.now += 20.0
    watch.evaluation.passed(0.2, watch.now)
    watch.evaluation.restore(Key("leak", "web", 1), watch.now)
    watch.tick(0.0)
    watch.sample({1: 120}, seconds=0.2)
    watch.tick(0.0)
    assert watch.told == []


def test_an_alert_of_before_ends_when_its_rule_means_others_now() -> None:
    watch = Watch(leak={**MEMORY, "watchers": "api"}, down={"watchers": "api"})
    watch.evaluation.restore(Key("leak", "web", 1), watch.now)
    watch.evaluation.restore(Key("down", "web"), watch.now)
    watch.snapshot(fleet.watcher("web", 1), fleet.watcher("api", 1))
    watch.tick()
    assert sorted(watch.told) == [("resolved", "down", "web", None), ("resolved", "leak", "web", 1)]
    assert {change.reason for change in watch.changes} == {"removed"}


def test_rules_look_only_at_the_watchers_that_they_mean() -> None:
    watch = Watch(down={"watchers": "web-*, !web-test", "for": "0"})
    names = ("web-1", "web-test", "api")
    watch.snapshot(*(fleet.watcher(name, 0, desired=1) for name in names))
    watch.tick()
    assert watch.told == [("firing", "down", "web-1", None)]


def test_what_is_not_told_because_a_watcher_just_starts_is_counted_once() -> None:
    watch = Watch(down={"for": "0"})
    watch.snapshot(fleet.watcher("web", 0, desired=1, state="starting"))
    for _ in range(5):
        watch.tick()
    assert watch.told == []
    assert watch.evaluation.early == 1
    watch.tick(30.0)
    assert watch.told == [("firing", "down", "web", None)]


def test_what_is_only_kept_has_an_end_and_the_last_value_is_known() -> None:
    watch = Watch(exit={"above": "1", "window": "10s", "keep": "60s"})
    watch.snapshot(fleet.watcher("web", 1))
    key = Key("exit", "web")

    def crash(times: int) -> None:
        for _ in range(times):
            watch.record("process.exited", data={"reason": "crash", "expected": False})
        watch.tick()

    crash(1)
    assert watch.evaluation.standing(key, watch.now) == (None, None)
    crash(2)
    assert watch.evaluation.standing(key, watch.now) == (3.0, None)
    crash(1)
    assert watch.evaluation.standing(key, watch.now) == (4.0, None)
    watch.tick(11.0)
    assert watch.evaluation.standing(key, watch.now + 20.0) == (0.0, 40.0)
    watch.tick(60.0)
    assert watch.evaluation.standing(key, watch.now) == (None, None)
    assert watch.told == [("firing", "exit", "web", None), ("resolved", "exit", "web", None)]
