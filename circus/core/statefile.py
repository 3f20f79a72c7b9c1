"""The state file: what a circusd notes of its workers, so that one that comes after it was killed can find them.

Owns the format, one JSON object in a line: a head, then recipes (how the workers of a watcher are to be ended, and what
they were made by), sockets, and workers. Lines are only added; a `gone` takes a worker out. Touches no file and no
process. Invariant: whatever the bytes are, what is read from them is what somebody wrote in whole lines under a head
that this version understands, and the rest is counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

VERSION: Final = 1
KIND: Final = "circus-workers"


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """Who wrote the file: one daemon (`pid`, `started` in the clock ticks of /proc) in one life of a machine.

    `boot` is of the daemon, `machine` the boot id of the kernel, `namespace` tells the pids of containers apart.
    """

    kind: str
    version: int
    boot: str
    machine: str
    namespace: int
    pid: int
    started: int
    config: str


class Recipe(msgspec.Struct, frozen=True, kw_only=True, tag_field="is", tag="recipe"):
    """How workers of a watcher were made, and how they are ended. `options` are digests of what only a new process
    gets, by name, made with `salt`; `sockets` those it was given; `generation` the highest that was noted of it, and `latest` the tick of
    the last start that was noted of anybody, when the line was written.
    """

    id: int
    watcher: str
    role: str
    policy: str
    scope: str
    stop_signal: int
    graceful_timeout: float
    salt: str
    options: Mapping[str, str]
    sockets: tuple[str, ...] = ()
    generation: int = 0
    latest: int = 0


class Socket(msgspec.Struct, frozen=True, kw_only=True, tag_field="is", tag="socket"):
    """A socket that workers were given, and its inode; a later one of the same name counts."""

    name: str
    inode: int


class Worker(msgspec.Struct, frozen=True, kw_only=True, tag_field="is", tag="worker", omit_defaults=True, gc=False):
    """A process. It was started between two ticks, `first` and `last`, and was our child at the later one, so nobody else
    with its pid was started then; `time` is that in Unix time. `captured`: its output went to circusd; `pipes` are the
    inodes of those pipes, by output, where they do not break when circusd ends. `boot` is of the daemon that started it,
    where that is another one; `group` is its cgroup.
    """

    recipe: int
    wid: int
    generation: int
    pid: int
    first: int
    last: int
    time: float
    boot: str | None = None
    pipes: Mapping[str, int] = {}
    captured: bool = False
    group: str | None = None


class Gone(msgspec.Struct, frozen=True, kw_only=True, tag_field="is", tag="gone"):
    """A worker that is nobody's business any more, by all that it could be known by."""

    pid: int
    first: int
    mark: str


Line = Recipe | Socket | Worker | Gone

_encode = msgspec.json.Encoder().encode
_lines: Final = msgspec.json.Decoder(Line)
_heads: Final = msgspec.json.Decoder(Head)
_objects: Final = msgspec.json.Decoder(dict[str, object])


class Unreadable(ValueError):
    """There is no head that could be believed; the text says why."""


class Notes(msgspec.Struct):
    """What a file says. `unread` lines made no sense."""

    head: Head
    recipes: dict[int, Recipe] = msgspec.field(default_factory=dict)
    sockets: dict[str, Socket] = msgspec.field(default_factory=dict)
    workers: dict[tuple[int, int], Worker] = msgspec.field(default_factory=dict)
    """By pid and first tick."""
    unread: int = 0
    generations: dict[str, int] = msgspec.field(default_factory=dict)
    """The highest that was noted of each watcher, whether it lives or not."""
    gone: set[str] = msgspec.field(default_factory=set)
    """The marks of those."""
    latest: int = 0
    """The tick of the last start that was noted: who was started later was not."""


def written(line: Head | Line) -> bytes:
    """A line as it stands in the file."""
    return _encode(line) + b"\n"


def head(*, boot: str, machine: str, namespace: int, pid: int, started: int, config: str) -> Head:
    """The head of a file of this version."""
    return Head(kind=KIND, version=VERSION, boot=boot, machine=machine, namespace=namespace, pid=pid, started=started,
                config=config)  # fmt: skip


def read_head(text: bytes) -> Head:
    """The head of a file.

    Raises:
        Unreadable: there is none, or of a version that is not ours.
    """
    first, end, _ = text.partition(b"\n")
    if not end:
        raise Unreadable("it is empty" if not first else "its first line is not whole")
    try:
        if _objects.decode(first).get("kind") != KIND:
            raise Unreadable("it is no state file of circusd")
        found = _heads.decode(first)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise Unreadable(_other_version(first) or "its first line makes no sense") from None
    if found.version != VERSION:
        raise Unreadable(_other_version(first) or "its version is unknown")
    return found


def read(text: bytes) -> Notes:
    """Everything in a file. A line that is not whole, or of whose recipe nothing is known, says nothing.

    Raises:
        Unreadable: as `read_head`.
    """
    notes = Notes(read_head(text))
    *lines, rest = text.split(b"\n")
    notes.unread += bool(rest)
    for text_of_line in lines[1:]:
        try:
            line = _lines.decode(text_of_line)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            notes.unread += 1
            continue
        _take(notes, line)
    return notes


def _take(notes: Notes, line: Line) -> None:
    if isinstance(line, Recipe):
        notes.recipes[line.id] = line
        _reach(notes, line.watcher, line.generation, line.latest)
    elif isinstance(line, Socket):
        notes.sockets[line.name] = line
    elif isinstance(line, Gone):
        notes.workers.pop((line.pid, line.first), None)
        notes.gone.add(line.mark)
    elif line.recipe in notes.recipes and line.pid > 1 and 0 < line.first <= line.last:
        notes.workers[line.pid, line.first] = line
        _reach(notes, notes.recipes[line.recipe].watcher, line.generation, line.first)
    else:
        notes.unread += 1


def _reach(notes: Notes, watcher: str, generation: int, tick: int) -> None:
    notes.latest = max(notes.latest, tick)
    notes.generations[watcher] = max(notes.generations.get(watcher, 0), generation)


def _other_version(line: bytes) -> str | None:
    try:
        version = _objects.decode(line).get("version")
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    known = version is None or version == VERSION
    return None if known else f"it is of version {version}, and this circusd knows version {VERSION}"


def changed(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[str, ...]:
    """The names of options in which two makings of a worker differ."""
    return tuple(sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name)))


def whole(head_line: Head, lines: Iterable[Line]) -> bytes:
    """The text of a file with these lines."""
    return written(head_line) + b"".join(map(written, lines))
