"""Following lines over gaps, duplicates and lives: each line once, in order, and what is lost is said."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from circus.commands.following import Follower
from circus.exc import CallError, MessageError
from circus.stream.ring import Ring, split


class Daemon:
    """One worker's ring, and the messages that reach a subscriber (`lossy` ones do not)."""

    def __init__(self) -> None:
        self.begin("one")
        self.inbox: list[dict[str, Any]] = []
        self.script: list[Callable[[], object]] = []
        self.fails: str | None = None
        self.asked = 0

    def begin(self, life: str) -> None:
        self.life, self.ring = life, Ring()

    def write(self, text: str, *, lossy: bool = False) -> None:
        lines = split(text.encode())
        if not lossy:
            self.inbox.append(self._chunk(self.ring.following, lines))
        self.ring.add(text.encode(), len(lines), 7)

    def _chunk(self, seq: int, lines: list[str]) -> dict[str, Any]:
        return {
            "life": self.life,
            "watcher": "web",
            "wid": 1,
            "stream": "stdout",
            "pid": 7,
            "time": 1.0,
            "seq": seq,
            "lines": lines,
        }

    def call(self, request: Mapping[str, Any]) -> dict[str, Any]:
        self.asked += 1
        if self.fails is not None:
            if self.fails.startswith("Timed"):
                raise CallError(self.fails)
            return {"status": "error", "reason": self.fails}
        props = request["properties"]
        same = props.get("life") == self.life
        since = props["after"][0]["seq"] if same and props.get("after") else 0
        found = self.ring.read(last=props.get("lines"), since=since)
        return {
            "status": "ok",
            "life": self.life,
            "watcher": "web",
            "chunks": [self._chunk(each.seq, each.lines) for each in found],
            "next": [{"wid": 1, "stream": "stdout", "seq": self.ring.following}],
        }

    def receive(self, timeout: float) -> tuple[bytes, bytes] | None:
        del timeout
        if not self.inbox and self.script:
            self.script.pop(0)()
        return (b"log.web.1.stdout", json.dumps(self.inbox.pop(0)).encode()) if self.inbox else None


class Told:
    def __init__(self, daemon: Daemon, **props: Any) -> None:
        self.daemon = daemon
        self.lost: list[int] = []
        self.silent: list[str] = []
        request = {"command": "tail", "properties": {"name": "web", "lines": 2, **props}}
        self.follower = Follower(daemon.call, request, self.lost.append, self.silent.append)
        self.begin = [line for chunk in self.follower.first() for line in chunk["lines"]]

    def lines(self, count: int) -> list[str]:
        following = self.follower.follow(self.daemon)  # type: ignore[arg-type]  # receives like a consumer
        return list(itertools.islice((line for chunk in following for line in chunk["lines"]), count))


@pytest.fixture
def daemon() -> Daemon:
    daemon = Daemon()
    daemon.write("a\nb\nc\n")
    daemon.inbox.clear()
    return daemon


def test_the_last_lines_come_first_and_then_what_is_heard(daemon: Daemon) -> None:
    told = Told(daemon)
    assert told.begin == ["b", "c"]
    daemon.write("d\n")
    daemon.write("e\nf\n")
    assert told.lines(3) == ["d", "e", "f"]
    assert daemon.asked == 1


def test_what_came_before_the_subscription_was_in_force_is_asked_for(daemon: Daemon) -> None:
    told = Told(daemon)
    daemon.write("d\n", lossy=True)
    daemon.script.append(lambda: None)
    assert told.lines(1) == ["d"]


def test_nothing_is_told_twice(daemon: Daemon) -> None:
    daemon.write("d\ne\n")  # heard late, and in the answer already
    told = Told(daemon)
    daemon.write("f\n")
    assert told.begin == ["d", "e"]
    assert told.lines(1) == ["f"]


def test_a_gap_is_filled_before_the_message_behind_it(daemon: Daemon) -> None:
    told = Told(daemon)
    daemon.write("d\n")
    daemon.write("e\n", lossy=True)
    daemon.write("f\n")
    assert told.lines(3) == ["d", "e", "f"]
    assert told.lost == []


def test_what_is_not_kept_any_more_is_said(daemon: Daemon) -> None:
    told = Told(daemon)
    for _ in range(100):
        daemon.write("x" * 999 + "\n", lossy=True)
    daemon.write("end\n")
    seen = told.lines(33)
    assert seen[-1] == "end"
    assert sum(told.lost) == 101 - len(seen)


def test_a_watcher_whose_topic_begins_alike_is_somebody_else(daemon: Daemon) -> None:
    told = Told(daemon)
    daemon.inbox.append({**daemon._chunk(0, ["of web.1"]), "watcher": "web.1", "life": "other"})
    daemon.write("d\n")
    assert told.lines(1) == ["d"]
    assert daemon.asked == 1


def test_a_new_life_begins_anew(daemon: Daemon) -> None:
    told = Told(daemon)
    daemon.begin("two")
    daemon.write("first\n", lossy=True)
    daemon.write("second\n")
    assert told.lines(2) == ["first", "second"]
    assert told.lost == []


@pytest.mark.parametrize("fault", ["Timed out.\n\nA long story", "program web not found"])
def test_a_daemon_that_is_away_for_a_while_is_told_once(daemon: Daemon, fault: str) -> None:
    told = Told(daemon)

    def away() -> None:
        daemon.fails = fault

    def back() -> None:
        daemon.fails = None
        daemon.begin("two")
        daemon.write("again\n", lossy=True)

    daemon.script += [away, away, back]
    assert told.lines(1) == ["again"]
    assert told.silent == [fault.partition("\n")[0]]


def test_a_refusal_at_the_beginning_is_an_error(daemon: Daemon) -> None:
    daemon.fails = "the output of 'web' is not captured"
    with pytest.raises(MessageError, match="is not captured"):
        Told(daemon)


@pytest.mark.parametrize(("props", "topic"), [({}, "log.web_one."), ({"wid": 3}, "log.web_one.3.")])
def test_the_topic_is_that_of_the_watcher_and_its_slot(daemon: Daemon, props: dict[str, Any], topic: str) -> None:
    assert Told(daemon, name="Web One", **props).follower.topic == topic
