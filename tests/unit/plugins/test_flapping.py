"""The decision of Flapping: which deaths count, how long the window is, what holds and what releases a watcher."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from circus.plugins.flapping import Flapping, Life, Settings, read_settings, seconds_running
from circus.plugins.options import OptionError


class Told(Flapping):
    """Keeps what it would cast; circusd says what the test wants."""

    def __init__(self, **config: Any) -> None:
        super().__init__("ipc://c", "ipc://e", 5.0, None, **config)
        self.casts: list[tuple[str, str]] = []
        self.status = "stopping"
        self.options: dict[str, Any] = {}

    def cast(self, command: str, /, **props: Any) -> None:
        self.casts.append((command, props["name"]))

    def call(self, command: str, /, **props: Any) -> dict[str, Any]:
        return {"options": self.options} if command == "options" else {"status": self.status}

    def hear(self, action: str, pid: int | None = None, at: float = 0.0, watcher: str = "Web One") -> None:
        body: dict[str, Any] = {"time": at, "watcher": watcher} | ({} if pid is None else {"process_pid": pid})
        topic = f"watcher.{watcher.lower().replace(' ', '_')}.{action}"
        self.handle_recv([topic.encode(), json.dumps(body).encode()])

    def live(self, pid: int, began: float, ended: float) -> None:
        self.hear("spawn", pid, began)
        self.hear("reap", pid, ended)


@pytest.fixture
def plugin() -> Iterator[Told]:
    made = Told()
    yield made
    made.loop.close()


def test_two_short_lives_are_flapping(plugin: Told) -> None:
    plugin.live(1, 0, 0.1)
    assert plugin.casts == []
    plugin.live(2, 0.1, 0.2)
    assert plugin.casts == [("stop", "Web One")]


def test_a_long_life_between_is_not(plugin: Told) -> None:
    plugin.live(1, 0, 0.1)
    plugin.live(2, 0.1, 1.2)
    plugin.live(3, 1.2, 2.3)
    assert plugin.casts == []


def test_any_two_in_a_row_count_not_only_pairs(plugin: Told) -> None:
    for pid, (began, ended) in enumerate([(0, 5), (5, 10), (10, 10.1)]):
        plugin.live(pid, began, ended)
    assert plugin.casts == [("stop", "Web One")]


def test_the_pauses_of_the_backoff_do_not_count(plugin: Told) -> None:
    plugin.options = {"flapping.attempts": "4"}
    for pid, began in enumerate([0.0, 5.0, 10.0, 15.0]):
        plugin.live(pid, began, began + 0.2)
    assert plugin.casts == [("stop", "Web One")]


def test_a_process_that_nobody_saw_start_ran_all_the_time(plugin: Told) -> None:
    plugin.hear("reap", 1, 0)
    plugin.hear("reap", 2, 1.5)
    assert plugin.casts == []


def test_an_end_that_was_asked_for_does_not_count(plugin: Told) -> None:
    for pid in range(10):
        plugin.hear("spawn", pid, 0)
        plugin.hear("kill", pid, 0)
        plugin.hear("reap", pid, 0)
    assert plugin.casts == []


def test_after_max_retry_it_is_stopped_for_good(plugin: Told) -> None:
    plugin.options = {"flapping.max_retry": 1}
    history = plugin.histories
    for _ in range(2):
        plugin.live(1, 0, 0.1)
        plugin.live(2, 0.1, 0.2)
        timer = history["Web One"].timer
        if timer is not None:
            timer.cancel()
            plugin._retry("Web One", history["Web One"])
    assert plugin.casts == [("stop", "Web One"), ("start", "Web One"), ("stop", "Web One")]
    assert history["Web One"].timer is None
    plugin.live(3, 1, 1.1)
    plugin.live(4, 1.1, 1.2)
    assert len(plugin.casts) == 3  # what still dies while it is stopped is nothing new


def test_a_start_that_was_under_way_before_the_stop_releases_nothing(plugin: Told) -> None:
    plugin.live(1, 0, 0.1)
    plugin.live(2, 0.1, 0.2)
    plugin.hear("start")
    assert plugin.histories["Web One"].held


@pytest.mark.parametrize("status", ["active", "starting"])
def test_a_start_by_somebody_else_releases(plugin: Told, status: str) -> None:
    plugin.live(1, 0, 0.1)
    plugin.live(2, 0.1, 0.2)
    plugin.status = status
    plugin.hear("start")
    history = plugin.histories["Web One"]
    assert (history.held, history.timer, history.tries) == (False, None, 0)


def test_options_of_a_watcher_are_asked_for_each_time(plugin: Told) -> None:
    plugin.options = {"flapping.active": "False"}
    plugin.live(1, 0, 0.1)
    plugin.live(2, 0.1, 0.2)
    assert plugin.casts == []
    plugin.options = {}
    plugin.live(3, 0.2, 0.3)
    plugin.live(4, 0.3, 0.4)
    assert plugin.casts == [("stop", "Web One")]


def test_a_removed_watcher_is_forgotten(plugin: Told) -> None:
    plugin.live(1, 0, 0.1)
    plugin.live(2, 0.1, 0.2)
    timer = plugin.histories["Web One"].timer
    plugin.hear("remove")
    assert plugin.histories == {}
    assert timer is not None
    assert timer.cancelled()


def test_watchers_do_not_add_up(plugin: Told) -> None:
    plugin.hear("reap", 1, 0, "a")
    plugin.hear("reap", 2, 0, "b")
    assert plugin.casts == []


def test_settings_are_read_over_others() -> None:
    over = Settings(attempts=9)
    read = read_settings({"window": "2.5", "max_retry": "-1", "active": "no"}, over)
    assert read == Settings(attempts=9, window=2.5, max_retry=-1, active=False)


@pytest.mark.parametrize("given", [{"attempts": "0"}, {"window": "-1"}, {"max_retry": "-2"}, {"active": "perhaps"}])
def test_settings_that_say_nothing_are_refused(given: dict[str, str]) -> None:
    with pytest.raises(OptionError):
        read_settings(given, Settings())


@pytest.mark.parametrize(
    ("lives", "seconds"),
    [
        ([Life(0, 1), Life(1, 3)], 2.0),
        ([Life(0, 1), Life(5, 6)], 1.0),
        ([Life(0, 10), Life(0, 10)], 0.0),
        ([Life(0, 1), Life(0, 4), Life(2, 5)], 4.0),
        ([Life(None, 1), Life(None, 2)], 1.0),
    ],
)
def test_the_time_in_which_one_of_them_ran(lives: list[Life], seconds: float) -> None:
    assert seconds_running(lives) == seconds
