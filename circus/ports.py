"""The seams between the layers, as Protocols: what a part needs from its neighbours, and nothing more.

Owns no behaviour. A lower layer types against these names so that it never imports a higher one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable


class Clock(Protocol):
    """Monotonic seconds for decisions, Unix seconds for records."""

    def monotonic(self) -> float: ...
    def time(self) -> float: ...


class ProcessLike(Protocol):
    """A live process as commands and hooks see it."""

    @property
    def pid(self) -> int: ...
    @property
    def wid(self) -> int: ...
    @property
    def started(self) -> float: ...
    @property
    def generation(self) -> int: ...
    def send_signal(self, signum: int, /) -> None: ...
    def children(self, recursive: bool = False) -> list[int]: ...


class WatcherLike(Protocol):
    """A watcher as commands and hooks see it.

    The coroutines queue behind what the watcher is doing; they raise `Overtaken` when a stop or quit overtook them.
    What they return is the `info` of the wire: pids as lists of int.
    """

    name: str
    res_name: str

    @property
    def processes(self) -> Mapping[int, ProcessLike]: ...
    @property
    def numprocesses(self) -> int: ...
    @property
    def singleton(self) -> bool: ...
    @property
    def autostart(self) -> bool: ...
    @property
    def shortfall(self) -> str | None:
        """Why less of it runs than should, as far as that lies in what it was to start; None when nothing is amiss."""
        ...

    def status(self) -> str: ...
    def is_stopped(self) -> bool: ...
    def options(self) -> list[tuple[str, Any]]: ...
    def all_options(self) -> dict[str, Any]:
        """All that can be asked for by name: also what `options` does not list."""
        ...

    def set(self, options: Mapping[str, object]) -> Awaitable[dict[str, str]]:
        """Change options, all or none; CircusError at once when one cannot be had."""
        ...

    def get_active_pids(self) -> list[int]: ...
    def start(self) -> Awaitable[dict[str, list[int]]]: ...
    def stop(self) -> Awaitable[None]: ...
    def restart(self) -> Awaitable[dict[str, list[int]]]: ...
    def reload(self, graceful: bool = True, sequential: bool = False) -> Awaitable[dict[str, list[int]]]: ...
    def incr(self, nb: int = 1) -> Awaitable[int]: ...
    def decr(self, nb: int = 1) -> Awaitable[int]: ...
    def kill(
        self, pid: int | None = None, signum: int | None = None, graceful_timeout: float | None = None
    ) -> Awaitable[None]: ...
    def send_signal(self, pid: int, signum: int) -> None: ...
    def why(self, wid: int | None = None) -> Any:
        """Why it is in its state and how its last process ended, as a `wire.snapshot.WhyAnswer`."""
        ...

    def tail(
        self,
        wid: int | None,
        stream: str | None,
        count: int | None = None,
        life: str | None = None,
        after: Mapping[tuple[int, str], int] | None = None,
    ) -> Any:
        """The last `count` lines of one output or all, from the numbers in `after` on, as a `wire.logs.TailAnswer`;
        MessageError when there is no such worker or its output is not captured.
        """
        ...


class SocketLike(Protocol):
    """A socket that Circus owns, as `listsockets` shows it."""

    name: str
    host: str
    port: int
    path: str | None
    backlog: int

    def fileno(self) -> int: ...


class StatsLike(Protocol):
    """The sampler as commands see it: info dicts of circus 0.19 by pid."""

    def infos(self, watcher: str, extended: bool = False) -> Awaitable[dict[int, dict[str, Any]]]:
        """The info of each live process of a watcher; samples first when nothing fresh is known."""
        ...

    def all_infos(self) -> Awaitable[dict[str, dict[int, dict[str, Any]]]]: ...
    def daemon_info(self) -> Awaitable[dict[str, Any]]: ...


class JournalLike(Protocol):
    """The bounded journal of lifecycle records (encoded)."""

    boot: str

    def replay(
        self, since: int = 0, limit: int | None = None, watcher: str | None = None, record: str | None = None
    ) -> tuple[list[bytes], int, int]:
        """(encoded records with seq > since, oldest seq kept, seq to ask for next)."""
        ...


class AlertingLike(Protocol):
    """The alerts that fire, and what silences them; what is answered are structs of `wire.alerts`."""

    def answer(self) -> Any: ...
    def told(self, properties: Mapping[str, Any]) -> Any:
        """A record of the exporter; MessageError where it has another shape, CircusError where there is no room."""
        ...

    def silence(self, properties: Mapping[str, Any]) -> Any: ...
    def unsilence(self, number: int) -> Any: ...
    def test(self, name: str) -> Any: ...


class ArbiterLike(Protocol):
    """The arbiter as the controller, commands and hooks see it."""

    endpoint: str
    pubsub_endpoint: str
    stats_endpoint: str
    multicast_endpoint: str
    check_delay: float
    endpoint_owner: str | None

    @property
    def quitting(self) -> bool:
        """The end has begun."""
        ...

    @property
    def sockets(self) -> Mapping[str, SocketLike]: ...
    @property
    def stats(self) -> StatsLike: ...
    @property
    def journal(self) -> JournalLike: ...
    @property
    def alerting(self) -> AlertingLike: ...
    def iter_watchers(self, reverse: bool = True) -> Iterable[WatcherLike]: ...
    def get_watcher(self, name: str) -> WatcherLike:
        """The watcher of that name (compared in lower case); KeyError when there is none."""
        ...

    def numprocesses(self) -> int: ...
    def numwatchers(self) -> int: ...
    def statuses(self) -> dict[str, str]: ...
    def start_watchers(self, watchers: Sequence[WatcherLike] | None = None, /) -> Awaitable[Mapping[str, str]]:
        """Start these watchers, or all with autostart, by priority with the warm-up delay between them; answers with
        those that are not up then, and why. So do restarts and reloads.
        """
        ...

    def stop_watchers(self, watchers: Sequence[WatcherLike] | None = None, /) -> Awaitable[None]: ...
    def restart_watchers(self, watchers: Sequence[WatcherLike]) -> Awaitable[Mapping[str, str]]: ...
    def reload(self, graceful: bool = True, sequential: bool = False) -> Awaitable[Mapping[str, str]]: ...
    def restart(self, inside_circusd: bool = False) -> Awaitable[Mapping[str, str]]:
        """Stop everything and start it; `inside_circusd` builds it anew from the configuration file before."""
        ...

    def add(self, spec: Any, *, start: bool = False) -> Awaitable[dict[str, Any] | None]:
        """Add the watcher of a `spec.watcher.WatcherSpec` and perhaps start it; CircusError at once when it cannot be had."""
        ...

    def remove(self, watcher: WatcherLike, *, stop: bool = True) -> Awaitable[None]:
        """Forget a watcher, when it is stopped or with its processes left to themselves."""
        ...

    def plan(self) -> dict[str, Any]:
        """What `reload_from_config` would change, as `plan` tells it."""
        ...

    def reload_from_config(self) -> Awaitable[dict[str, Any]]:
        """Read the configuration again and change what differs; ConfigError at once for a file with mistakes."""
        ...

    def upgrade(self, timeout: float = 30.0) -> Awaitable[dict[str, Any]]:
        """Replace the program by what is installed now; answered just before. CircusError when that cannot be."""
        ...

    def quit(self) -> Awaitable[None]:
        """Stop all watchers, overtaking what they do, then end the daemon; done when all is stopped."""
        ...

    def fail(self, name: str, status: int) -> None:
        """A watcher whose failure is that of everything has failed: quit, with this exit status."""
        ...

    def telemetry(self, watchers: str | None = None, detail: bool = True) -> Any:
        """A `wire.snapshot.Telemetry`, of the watchers that match the glob."""
        ...


class Sink(Protocol):
    """Where encoded messages go: `send` is told topic and body, and drops rather than blocks."""

    log_prefixes: tuple[bytes, ...]
    """The subscriptions that ask for lines of output by name; what only happens to match them does not count."""

    def wants(self, topic: bytes) -> bool: ...
    def send(self, topic: bytes, body: bytes) -> None: ...
    def skip(self, topic: bytes) -> None:
        """Count lines of output that are not published, because there are too many."""
        ...


@runtime_checkable
class OutputStream(Protocol):
    """What a stream class of circus 0.19 is: called with `{'data', 'pid', 'name'}` for each chunk read."""

    def __call__(self, data: Mapping[str, Any]) -> None: ...


class ProcessReader(Protocol):
    """The fast tier for one process; `None` from `read` means that the process is gone."""

    def read(self) -> tuple[str, float, float, int, int, int, int | None, int | None] | None:
        """(state, user s, system s, resident, virtual, threads, minor faults, major faults); sizes in bytes, faults
        None where the system does not tell them.
        """
        ...

    def close(self) -> None: ...


HookCallable = Callable[..., Any]
