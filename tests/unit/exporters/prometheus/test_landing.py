"""The landing page: what it shows, and that nothing from outside becomes markup."""

from __future__ import annotations

import re
import time
from html.parser import HTMLParser

import pytest

from circus_exporters.prometheus.landing import landing_page
from circus_exporters.state import FleetState
from tests.fakes import fleet


class _Text(HTMLParser):
    """Collects the words and the links, and fails on an element that is closed but was not opened."""

    void = ("meta", "br")

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.links: list[str | None] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.void:
            self.tags.append(tag)
        self.links += [value for name, value in attrs if name == "href"]

    def handle_endtag(self, tag: str) -> None:
        assert self.tags.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def read(state: FleetState, now: float = 100.0) -> _Text:
    found = _Text()
    found.feed(landing_page(state, now))
    assert found.tags == []
    return found


def attached(name: str = "web") -> FleetState:
    state = FleetState("ipc:///run/c/control")
    state.attach(fleet.telemetry(fleet.watcher(name, 2, last_exit=fleet.last_exit())), 100.0)
    state.fold_daemon(fleet.daemon_sample(), 100.0)
    state.fold_sample(fleet.sample(name, 2), 100.0)
    state.fold_record(fleet.record(11, "process.exited", name))
    return state


def test_it_links_to_what_there_is() -> None:
    assert read(attached()).links == ["metrics", "-/healthy", "-/ready"]


def test_it_shows_daemon_watchers_and_latest_events() -> None:
    words = read(attached()).words
    assert {"ipc:///run/c/control", "1.0.0", "up", "web", "active", "2 of 2", "34.5 s", "process.exited"} <= set(words)
    assert any(word.startswith("exit_error (code 3)") for word in words)


def test_events_say_what_happened_and_when_with_date_and_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        state = attached()
        for seq, (name, data) in enumerate(
            (
                ("process.exited", {"reason": "crash", "initiator": "process", "signal": "SIGABRT"}),
                ("watcher.state", {"from": "active", "to": "backoff"}),
                ("alert.firing", {"alert": "flapping", "severity": "critical", "kind": "flapping"}),
                ("process.spawn_failed", {"error": "x" * 500}),
            )
        ):
            assert state.fold_record(fleet.record(12 + seq, name, data=data)) is None
        words = read(state).words
    finally:
        monkeypatch.undo()
        time.tzset()
    assert {"it crashed with SIGABRT", "active to backoff", "alert flapping, severity critical"} <= set(words)
    (long,) = [word for word in words if "xxx" in word]
    assert len(long) < 200
    assert long.endswith("…")
    stamps = [word for word in words if re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d CES?T", word)]
    assert len(stamps) == 5


def test_who_has_no_process_has_no_memory_and_who_was_not_measured_an_unknown_one() -> None:
    state = FleetState("ipc:///run/c/control")
    state.attach(fleet.telemetry(fleet.watcher("sick", 0, state="backoff"), fleet.watcher("new", 1)), 100.0)
    words = read(state).words
    sick, new = words.index("sick"), words.index("new")
    assert "none" in words[sick:new]
    assert "unknown" in words[new:]
    assert "unknown" not in words[sick:new]


def test_it_tells_that_no_daemon_answers() -> None:
    text = "".join(read(FleetState("ipc:///run/c/control")).words)
    assert "No daemon answers at ipc:///run/c/control" in text


def test_it_tells_that_samples_are_stale() -> None:
    assert "samples are stale" in read(attached(), now=500.0).words


def test_names_do_not_become_markup() -> None:
    name = "<script>alert('x')</script>"
    assert name in read(attached(name)).words
    assert "<script" not in landing_page(attached(name), 100.0)
