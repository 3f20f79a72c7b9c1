"""Records of an operation become the spans of one trace; what is under way has none yet."""

from __future__ import annotations

from typing import Any

import pytest

from circus.wire.events import Cause, Record
from circus_exporters.otel.spans import Span
from circus_exporters.otel.traces import TraceFold

BOOT = "0123456789abcdef"
CALLER = "00-" + "ab" * 16 + "-" + "cd" * 8
EXIT = {
    "reason": "stopped", "initiator": "supervisor", "outcome": "success", "exit_code": None, "signal": "SIGTERM",
    "core": False, "expected": True, "lifetime_seconds": 60.0, "stop_seconds": None, "cpu_user_seconds": 1.5,
    "cpu_system_seconds": 0.5, "max_resident_bytes": 1_000_000,
}  # fmt: skip
KILLED = EXIT | {
    "reason": "killed",
    "initiator": "external",
    "outcome": "signal",
    "signal": "SIGKILL",
    "expected": False,
}


class History:
    """Tells records of a daemon to a fold, one second apart, and keeps the spans."""

    def __init__(self, fold: TraceFold | None = None, boot: str = BOOT) -> None:
        self.fold = fold or TraceFold()
        self.boot = boot
        self.seq = 0
        self.spans: list[Span] = []
        self.cause = Cause(kind="boot")
        self.trace = "00" * 15 + "01"
        self.records: list[Record] = []

    def command(self, name: str, trace: str, parent: str | None = None, /, **properties: Any) -> None:
        self.cause = Cause(kind="command", id=f"id-{self.seq}", name=name, actor="uid:0")
        self.trace = trace
        self("command.started", None, command=name, actor="uid:0", properties=properties, parent=parent)

    def finished(self, **data: Any) -> None:
        told = {"command": self.cause.name, "actor": "uid:0", "properties": {}, "seconds": 1.0, "ok": True}
        self("command.finished", None, **(told | {"errno": None, "reason": None, "queue_seconds": 0.0} | data))

    def __call__(self, record: str, watcher: str | None = "web", wid: int | None = None, **data: Any) -> Record:
        self.seq += 1
        made = Record(
            boot=self.boot, seq=self.seq, previous=None, time=1000.0 + self.seq, record=record, watcher=watcher, wid=wid,
            pid=None if wid is None else 100 + wid, generation=wid, cause=self.cause,
            traceparent=f"00-{self.trace}-{self.seq:016x}-01", data=data,
        )  # fmt: skip
        self.records.append(made)
        self.spans += self.fold.fold(made)
        return made

    def state(self, before: str, after: str, watcher: str = "web") -> None:
        self("watcher.state", watcher, **{"from": before, "to": after, "want": "up", "desired": 1})

    def spawned(self, wid: int = 1, cause: str = "boot") -> None:
        self(
            "process.spawned",
            wid=wid,
            cause=cause,
            replacement=False,
            generation=wid,
            spawn_seconds=0.25,
            respawn_seconds=None,
        )

    def came_up(self, wid: int = 1, cause: str = "boot") -> None:
        self.spawned(wid, cause)
        self("process.ready", wid=wid, seconds=1.0)

    def signalled(self, wid: int = 1, signal: str = "SIGTERM", by: str = "stop") -> None:
        self("process.signalled", wid=wid, signal=signal, by=by, scope="main", count=1)

    def booted(self) -> None:
        self("arbiter.started", None, version="1", pid=1, hash="x", watchers=1, sockets=0)
        self.state("stopped", "starting")
        self.came_up()
        self.state("starting", "active")
        self("arbiter.booted", None, seconds=4.0)

    def one(self, name: str, **attributes: Any) -> Span:
        found = [span for span in self.spans if span.name == name and attributes.items() <= span.attributes.items()]
        assert len(found) == 1, [span.name for span in self.spans]
        return found[0]

    def tree(self, root: Span) -> Any:
        below = [span for span in self.spans if (span.trace, span.parent) == (root.trace, root.span)]
        return root.name, [self.tree(span) for span in sorted(below, key=lambda span: span.start)]


START = ("process.start", [("process.spawn", []), ("process.ready_wait", [])])


def test_the_boot_is_a_trace() -> None:
    history = History()
    history.booted()
    assert history.tree(history.one("arbiter.boot")) == ("arbiter.boot", [("watcher.starting", [START])])
    start = history.one("process.start")
    assert (start.start, start.end) == (1002.75, 1004.0)
    assert history.fold.open_traces == set()


def test_a_graceful_reload() -> None:
    history = History()
    history.booted()
    history.command("reload", "22" * 16, name="web")
    history.state("active", "reloading")
    history("reload.started", mode="graceful", workers=1)
    history.came_up(2, "reload")
    history.signalled(1, by="reload")
    history("process.exited", wid=1, **(EXIT | {"stop_seconds": 1.0}))
    history.state("reloading", "active")
    history("reload.finished", mode="graceful", workers=1, ok=True, reason=None, seconds=4.0)
    history.finished()
    reload = history.one("watcher.reload")
    stop = ("process.stop", [("process.signal", []), ("process.grace", [])])
    assert history.tree(reload) == ("watcher.reload", [("watcher.reloading", [START, stop, ("process.life", [])])])
    assert reload.kind == "internal"
    assert reload.parent is None
    assert reload.attributes["circus.watcher.name"] == "web"
    assert history.one("watcher.reloading").attributes["circus.reload.mode"] == "graceful"
    life = history.one("process.life")
    born = next(span for span in history.spans if span.name == "process.start" and span.trace != reload.trace)
    assert life.links == ((born.trace, born.span), (reload.trace, history.one("process.stop").span))
    assert life.attributes["process.creation.time"] == "1970-01-01T00:15:53.000Z"
    assert [span for span in history.spans if span.error] == []


def test_a_reload_by_sighup_stops_nothing() -> None:
    history = History()
    history.booted()
    history.command("reload", "22" * 16, name="web")
    history.state("active", "reloading")
    history("reload.started", mode="hup", workers=1)
    history.signalled(1, "SIGHUP", by="reload")
    history.state("reloading", "active")
    history("reload.finished", mode="hup", workers=1, ok=True, reason=None, seconds=0.0)
    history.finished()
    assert history.tree(history.one("watcher.reload"))[1] == [("watcher.reloading", [("process.signal", [])])]


def test_grace_and_kill() -> None:
    history = History()
    history.booted()
    history.command("stop", "22" * 16, name="web")
    history.state("active", "stopping")
    history.signalled(1)
    history("process.escalated", wid=1, waited_seconds=1.0, left=[101])
    history.signalled(1, "SIGKILL")
    ended = EXIT | {"reason": "stop_timeout", "outcome": "stop_timeout", "signal": "SIGKILL", "stop_seconds": 3.0}
    history("process.exited", wid=1, **ended)
    history.state("stopping", "stopped")
    history.finished()
    stop = history.one("process.stop")
    assert sorted(history.tree(stop)[1]) == [
        ("process.grace", []), ("process.kill", []), ("process.signal", []), ("process.signal", []),
    ]  # fmt: skip
    assert history.one("process.grace").end == history.one("process.kill").start
    assert stop.error == history.one("process.life").error == "stop_timeout: SIGKILL"
    assert history.one("watcher.stop").error is None


@pytest.mark.parametrize(("left", "error"), [([], None), ([201, 202], "SIGKILL did not end 201, 202")])
def test_what_a_process_leaves_of_its_tree_is_a_drain(left: list[int], error: str | None) -> None:
    history = History()
    history.booted()
    history.command("stop", "22" * 16, name="web")
    history.state("active", "stopping")
    history.signalled(1)
    history("process.exited", wid=1, **EXIT | {"stop_seconds": 0.1})
    history("process.drained", wid=1, seconds=2.0, left=left)
    history.state("stopping", "stopped")
    history.finished()
    drain = history.one("process.drain")
    assert (drain.end - drain.start, drain.error) == (pytest.approx(2.0), error)
    name, spans = history.tree(history.one("watcher.stop"))[1][0]
    assert (name, sorted(each for each, _ in spans)) == (
        "watcher.stopping", ["process.drain", "process.life", "process.stop"],
    )  # fmt: skip


def test_a_crash_and_its_respawn_are_a_trace_that_ends_by_itself() -> None:
    history = History()
    history.booted()
    history.trace, history.cause = "33" * 16, Cause(kind="record", seq=3)
    history("process.exited", wid=1, **KILLED)
    assert history.fold.open_traces == {"33" * 16}
    history.came_up(1, "crash")
    crash = history.one("process.respawn")
    assert history.tree(crash) == (
        "process.respawn", [("process.life", []), ("process.backoff", []), START],
    )  # fmt: skip
    assert crash.error == "killed: SIGKILL"
    assert crash.attributes["error.type"] == "signal"
    assert crash.attributes["circus.watcher.name"] == "web"
    assert history.fold.open_traces == set()


def test_a_process_that_was_done_is_no_error() -> None:
    history = History()
    history.booted()
    history.trace, history.cause = "33" * 16, Cause(kind="record", seq=3)
    history("process.exited", wid=1, **(EXIT | {"reason": "completed", "exit_code": 0, "signal": None}))
    history.came_up(1, "crash")
    assert history.one("process.respawn").error is None
    assert history.one("process.life").attributes["process.exit.code"] == 0


def test_a_respawn_that_a_stop_overtakes_ends_there() -> None:
    history = History()
    history.booted()
    history.trace, history.cause = "33" * 16, Cause(kind="record", seq=3)
    history("process.exited", wid=1, **KILLED)
    history.command("stop", "22" * 16, name="web")
    history.state("active", "stopping")
    history.state("stopping", "stopped")
    history.finished()
    assert history.one("process.respawn").trace == "33" * 16
    assert history.fold.open_traces == set()


def test_attempts_that_fail_are_in_the_trace_until_the_watcher_is_given_up() -> None:
    history = History()
    history.booted()
    history.trace, history.cause = "33" * 16, Cause(kind="record", seq=3)
    history("process.exited", wid=1, **KILLED)
    for attempt in (1, 2):
        history("process.spawn_failed", wid=1, stage="exec", errno=2, message="not found", attempt=attempt)
    assert history.fold.open_traces == {"33" * 16}
    history.state("active", "stopping")
    history.state("stopping", "fatal")
    assert [name for name, _ in history.tree(history.one("process.respawn"))[1]].count("process.spawn") == 2
    assert [span.error for span in history.spans if span.name == "process.spawn" and span.trace == "33" * 16] == [
        "not found"
    ] * 2
    assert history.fold.open_traces == set()


def test_a_callers_trace_goes_on() -> None:
    history = History()
    history.command("start", "ab" * 16, f"{CALLER}-00", name="web")
    history.finished()
    start = history.one("watcher.start")
    assert (start.trace, start.parent, start.kind, start.sampled) == ("ab" * 16, "cd" * 8, "server", False)


def test_two_commands_of_one_caller_at_the_same_time_keep_their_own_spans() -> None:
    history = History()
    history.command("start", "ab" * 16, f"{CALLER}-01", name="web")
    first = history.cause
    history.command("start", "ab" * 16, f"{CALLER}-01", name="api")
    second, history.cause = history.cause, first
    history.state("stopped", "starting")
    history.state("starting", "active")
    history.finished()
    history.cause = second
    history.finished()
    web = history.one("watcher.start", **{"circus.watcher.name": "web"})
    assert history.one("watcher.starting").parent == web.span


def test_a_command_that_failed_and_one_that_was_overtaken() -> None:
    history = History()
    history.command("start", "22" * 16, name="web")
    history.finished(ok=False, errno=5, reason="cancelled: stop overtook start of 'web'")
    history.command("reload", "33" * 16, name="web")
    history.finished(ok=False, errno=5, reason="a new process did not start")
    assert history.one("watcher.start").error is None
    assert history.one("watcher.reload").error == "a new process did not start"


def test_records_of_another_boot_end_what_was_open() -> None:
    history = History()
    history.command("reload", "22" * 16, name="web")
    history.state("active", "reloading")
    after = History(history.fold, boot="fedcba9876543210")
    after("arbiter.started", None, version="1", pid=1, hash="x", watchers=1, sockets=0)
    assert after.one("watcher.reload").error == "the daemon ended before"
    assert after.one("watcher.reload").boot == BOOT
    assert after.one("watcher.reloading").parent == after.one("watcher.reload").span


def test_the_same_records_give_the_same_spans() -> None:
    history = History()
    history.booted()
    again = TraceFold()
    assert [span for record in history.records for span in again.fold(record)] == history.spans


def test_a_history_that_begins_in_the_middle_is_no_harm() -> None:
    history = History()
    history.signalled(1)
    history("process.escalated", wid=1, waited_seconds=1.0, left=[101])
    history("process.ready", wid=2, seconds=1.0)
    history("process.exited", wid=1, **(EXIT | {"stop_seconds": 2.0}))
    history.finished()
    assert history.one("process.life").links == ()


def test_operations_that_never_end_do_not_pile_up() -> None:
    history = History()
    for number in range(3000):
        history.command("start", f"{number + 1:032x}", name="web")
    assert len(history.fold.open_traces) <= 1000


UPGRADED = {"version": "2", "before": "1", "seconds": 0.25, "watchers": 3}


def test_an_upgrade_and_the_exchange_after_its_answer_are_one_trace() -> None:
    told = History()
    told.command("upgrade", "aa" * 16)
    told.finished()
    told("arbiter.upgraded", None, **UPGRADED)
    operation, exchange = told.spans
    assert (operation.name, exchange.name) == ("arbiter.upgrade", "arbiter.exchange")
    assert exchange.parent == operation.span
    assert exchange.end - exchange.start == pytest.approx(0.25)
    assert (exchange.attributes["circus.version"], exchange.attributes["circus.version.before"]) == ("2", "1")


def test_an_upgrade_by_a_signal_is_a_trace_of_its_own() -> None:
    told = History()
    told.cause, told.trace = Cause(kind="signal", name="SIGUSR2"), "bb" * 16
    told("arbiter.upgraded", None, **UPGRADED)
    assert sorted(span.name for span in told.spans) == ["arbiter.exchange", "arbiter.upgrade"]
    told.trace = "cc" * 16
    told("arbiter.upgrade_failed", None, reason="no")
    assert (told.spans[-1].name, told.spans[-1].error) == ("arbiter.upgrade", "no")


def test_an_alert_is_a_moment_in_the_trace_of_what_led_there() -> None:
    history = History()
    history.command("stop", "cd" * 16, name="web")
    history.finished()
    history("alert.firing", alert="flapping", severity="critical")
    history("alert.resolved", alert="flapping", severity="critical")
    command, firing, resolved = history.spans
    assert (firing.name, firing.trace, firing.parent) == ("alert.firing", command.trace, command.span)
    assert (resolved.name, resolved.parent) == ("alert.resolved", command.span)
    assert firing.start == firing.end
    assert firing.attributes["circus.alert.name"] == "flapping"
    assert firing.error is None


def test_an_alert_about_a_measurement_is_a_trace_of_its_own() -> None:
    history = History()
    history.cause, history.trace = Cause(kind="command", id="9", name="record", actor="uid:0"), "ef" * 16
    history("alert.firing", wid=3, alert="memory", severity="warning")
    (firing,) = history.spans
    assert (firing.name, firing.trace, firing.parent) == ("alert.firing", "ef" * 16, None)
    assert firing.attributes["circus.process.wid"] == 3
    history("alert.resolved", wid=3, alert="memory", severity="warning")
    assert history.spans[1].parent == firing.span
    assert history.fold.open_traces == set()
