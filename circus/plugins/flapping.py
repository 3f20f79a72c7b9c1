"""Against watchers whose processes keep dying: they are stopped for a while, tried again, and given up in the end.

Owns the decision, from the events `spawn`, `kill`, `reap`, `start`, `stop` and `remove`. Two things keep
it right beside circusd's own backoff. The window counts only time in which one of the dying processes ran, so the
pauses of the backoff between two lives do not make a crash loop look slow. And a death that a signal to end came
before is an end that somebody asked for: restarts, reloads and fewer processes are no flapping.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from circus import logger
from circus.plugins.base import CircusPlugin
from circus.plugins.options import OptionError, Options

INFINITE_RETRY = -1
_PREFIX = "flapping."


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """`window` and `retry_in` in seconds."""

    attempts: int = 2
    window: float = 1.0
    retry_in: float = 7.0
    max_retry: int = 5
    active: bool = True


def read_settings(config: Mapping[str, Any], default: Settings) -> Settings:
    """The settings that are given, the others as by default."""
    options = Options(config)
    return Settings(
        attempts=options.whole("attempts", default.attempts, least=1),
        window=options.number("window", default.window, least=0),
        retry_in=options.number("retry_in", default.retry_in, least=0),
        max_retry=options.whole("max_retry", default.max_retry, least=INFINITE_RETRY),
        active=options.flag("active", default.active),
    )


@dataclass(frozen=True, slots=True)
class Life:
    """When a process began, None if nobody saw it, and when it ended; Unix time."""

    began: float | None
    ended: float


@dataclass(slots=True)
class History:
    """What is known of one watcher. It is held from the moment that it is to be stopped until it is started again."""

    began: dict[int, float] = field(default_factory=dict)
    asked_to_end: set[int] = field(default_factory=set)
    deaths: deque[Life] = field(default_factory=deque)
    tries: int = 0
    held: bool = False
    timer: asyncio.TimerHandle | None = None

    def release(self) -> None:
        """Count afresh."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        self.deaths.clear()
        self.held = False


class Flapping(CircusPlugin):
    """Stops a watcher when `attempts` of its processes die within `window` seconds, and starts it `retry_in` later.

    After `max_retry` such pauses in a row it stays stopped. Watchers override each option by one of their own with
    `flapping.` in front.
    """

    name = "flapping"

    def __init__(self, *args: Any, **config: Any) -> None:
        super().__init__(*args, **config)
        self.settings = read_settings(config, Settings())
        self.histories: dict[str, History] = {}

    def handle_stop(self) -> None:
        """A pause that is on is given up with the plugin; the watcher stays stopped."""
        for name, history in self.histories.items():
            if history.timer is not None:
                logger.warning("%s stays stopped: the plugin ends before its time to retry", name)
            history.release()

    def handle_recv(self, data: Sequence[bytes]) -> None:
        topic_name, action, message = self.split_data(data)
        body = self.load_message(message)
        name = body.get("watcher", topic_name)
        history = self.histories.setdefault(name, History())
        pid = body.get("process_pid")
        match action:
            case "spawn":
                history.began[pid] = body["time"]
            case "kill":
                history.asked_to_end.add(pid)
            case "reap":
                self._died(name, history, pid, body["time"])
            case "stop":
                history.began.clear()
                history.asked_to_end.clear()
            case "start" if history.held and self._is_up(name):
                # Somebody was faster than our timer, or started what was given up.
                history.release()
                history.tries = 0
            case "remove":
                history.release()
                del self.histories[name]

    def _died(self, name: str, history: History, pid: int, ended: float) -> None:
        began = history.began.pop(pid, None)
        if pid in history.asked_to_end:
            history.asked_to_end.discard(pid)
            return
        if history.held:
            return
        settings = self._settings_of(name)
        if not settings.active:
            return
        history.deaths.append(Life(began, ended))
        while len(history.deaths) > settings.attempts:
            history.deaths.popleft()
        if len(history.deaths) < settings.attempts:
            return
        if seconds_running(history.deaths) > settings.window:
            history.tries = 0
            return
        self._hold(name, history, settings)

    def _hold(self, name: str, history: History, settings: Settings) -> None:
        history.release()
        history.held = True
        if settings.max_retry != INFINITE_RETRY and history.tries >= settings.max_retry:
            logger.error("%s: flapping detected: reached max retry limit", name)
            history.tries = 0
            self.cast("stop", name=name)
            return
        history.tries += 1
        logger.warning(
            "%s: flapping detected: retry in %2ds (attempt number %s)", name, settings.retry_in, history.tries
        )
        self.cast("stop", name=name)
        history.timer = self.loop.call_later(settings.retry_in, self._retry, name, history)

    def _retry(self, name: str, history: History) -> None:
        history.timer = None
        history.release()
        self.cast("start", name=name)

    def _is_up(self, name: str) -> bool:
        """Whether the watcher is up in spite of our stop, which circusd has seen by the time it answers this."""
        return self.call("status", name=name).get("status") in {"active", "starting"}

    def _settings_of(self, name: str) -> Settings:
        """Asked for at each death, because the configuration may have been read anew."""
        told = self.call("options", name=name).get("options", {})
        own = {key.removeprefix(_PREFIX): value for key, value in told.items() if key.startswith(_PREFIX)}
        try:
            return read_settings(own, self.settings)
        except OptionError as error:
            logger.error("watcher %s: %s%s; its own flapping options are not used", name, _PREFIX, error)
            return self.settings


def seconds_running(deaths: Sequence[Life]) -> float:
    """How long, between the first of these deaths and the last, one of these processes ran at least."""
    since = deaths[0].ended
    total, until = 0.0, since
    spans = sorted((max(since, since if life.began is None else life.began), life.ended) for life in deaths)
    for began, ended in spans:
        total += max(0.0, ended - max(began, until))
        until = max(until, ended)
    return total
