"""Which rows are shown and in which order: sorting, filtering, folding. Pure.

Invariant: a process stands below its watcher, whatever the order.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Final, Literal, NamedTuple, TypeVar, get_args

from circus.stats.viewer.usage import Process, Watcher
from circus.stats.viewer.view import View

Order = Literal["name", "cpu", "memory", "age", "restarts"]
ORDERS: Final[tuple[Order, ...]] = get_args(Order)
RowKey = tuple[str, int | None, int | None]
T = TypeVar("T")


class Row(NamedTuple):
    """A watcher, or with `process` one process of it. `folded`: whether its processes are hidden; None where nothing
    can be folded.
    """

    watcher: Watcher
    process: Process | None
    folded: bool | None = None

    @property
    def key(self) -> RowKey:
        """What stays the same while the row moves: a slot keeps it when it gets another pid."""
        if self.process is None:
            return self.watcher.name, None, None
        return self.watcher.name, self.process.wid, self.process.pid if self.process.wid is None else None


def rows(
    view: View,
    order: Order = "name",
    *,
    reverse: bool = False,
    needle: str = "",
    folded: Collection[str] | None = None,
) -> list[Row]:
    """The rows, largest first but names from A. `needle` is looked for in names, pids, states and last exits;
    processes of watchers in `folded` are left out.
    """
    wanted = needle.strip().lower()
    descending = (order != "name") != reverse
    found: list[Row] = []
    for watcher in _ordered(view.watchers.values(), _WATCHER_KEYS[order], _watcher_name, descending):
        processes = watcher.rows()
        if wanted and not _has(wanted, watcher.name, watcher.state):
            processes = [process for process in processes if _matches(process, wanted)]
            if not processes:
                continue
        hidden = None if folded is None else watcher.name in folded
        found.append(Row(watcher, None, hidden))
        if not hidden:
            ordered = _ordered(processes, _PROCESS_KEYS[order], _process_slot, descending)
            found += [Row(watcher, process) for process in ordered]
    return found


def exit_words(process: Process | Watcher) -> str:
    """How the last one ended, in a word or two; empty when none did."""
    last = process.last_exit
    if last is None:
        return ""
    if last.signal is not None:
        return f"{last.reason} {last.signal}"
    return last.reason if not last.exit_code else f"{last.reason} {last.exit_code}"


def _ordered(
    items: Iterable[T],
    key: Callable[[T], float | str | None],
    second: Callable[[T], int | str],
    descending: bool,
) -> list[T]:
    """Sorted by the key, what has none at the end in both directions; equal ones by the second key."""
    known: list[tuple[float | str, T]] = []
    unknown: list[T] = []
    for item in sorted(items, key=second):
        value = key(item)
        if value is None:
            unknown.append(item)
        else:
            known.append((value, item))
    known.sort(key=lambda pair: pair[0], reverse=descending)
    return [item for _, item in known] + unknown


def _matches(process: Process, wanted: str) -> bool:
    return _has(wanted, None if process.pid is None else str(process.pid), process.name, process.state,
                exit_words(process))  # fmt: skip


def _has(wanted: str, *texts: str | None) -> bool:
    return any(text is not None and wanted in text.lower() for text in texts)


def _watcher_name(watcher: Watcher) -> str:
    return watcher.name.lower()


def _process_slot(process: Process) -> int:
    return process.wid if process.wid is not None else process.pid or 0


_WATCHER_KEYS: Final[dict[Order, Callable[[Watcher], float | str | None]]] = {
    "name": _watcher_name,
    "cpu": lambda watcher: watcher.cpu_percent,
    "memory": lambda watcher: watcher.memory_bytes,
    "age": lambda watcher: watcher.age_seconds,
    "restarts": lambda watcher: watcher.restarts,
}
_PROCESS_KEYS: Final[dict[Order, Callable[[Process], float | str | None]]] = {
    "name": _process_slot,
    "cpu": lambda process: process.cpu_percent,
    "memory": lambda process: process.memory_bytes,
    "age": lambda process: process.age_seconds,
    # Restarts are counted by watcher.
    "restarts": lambda process: None,  # noqa: ARG005 - one shape for all
}
