"""The output of one watcher's processes: which streams there are, what is captured, and the last lines of it.

Owns the streams of a watcher from their specs on, and the rings that outlive its processes. Knows no lifecycle.
Invariant: a stream that is exchanged under living processes loses no line and tears none, and one that cannot be had
is refused before the old one is touched.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from circus.config.interpolate import Variables
from circus.events.bus import Bus
from circus.exc import MessageError
from circus.handover import OutputsRecord
from circus.spec.streams import StreamSpec
from circus.spec.watcher import WatcherSpec
from circus.stream import get_stream
from circus.stream.carrier import Writer
from circus.stream.live import LiveLog
from circus.stream.losses import Losses
from circus.stream.redirector import Redirector
from circus.stream.ring import Rings, split
from circus.stream.target import close_stream
from circus.wire.logs import LogLines, LogPosition, TailAnswer

NAMES: Final = ("stdout", "stderr")
# In one answer, of all slots together; ten of each are there in any case.
_MOST_LINES = 20_000


class Streams(msgspec.Struct, frozen=True, kw_only=True):
    """The streams of one spec, made and not in use yet. An output without one belongs to circusd as it is."""

    spec: WatcherSpec
    stdout: Writer
    stderr: Writer

    def captured(self, name: str) -> bool:
        """Whether that output of the processes comes to us."""
        return getattr(self, name) is not None and not getattr(self.spec, f"close_child_{name}")


def make_streams(spec: WatcherSpec, env: Mapping[str, str], before: Streams | None = None) -> Streams:
    """Make the streams of a spec. Those that are the same as `before` are kept; the others can be opened now, and are
    made by the present code of their classes.

    Args:
        spec: which streams are wanted.
        env: the environment of the processes, for variables in options.
        before: the streams that these would come after.

    Raises:
        ValueError: a stream cannot be made, or one that takes the place of another cannot be opened.
        OSError: the latter, by the system.
    """
    made: dict[str, Writer] = {}
    for name in NAMES:
        if before is not None and _wish(spec, name) == _wish(before.spec, name):
            made[name] = getattr(before, name)
            continue
        made[name] = _make(spec, name, env, reload=before is not None)
        if before is not None:
            _try_to_open(made[name])
    return Streams(spec=spec, **made)


class Outputs:
    """Streams, redirector and rings of a watcher.

    Args:
        streams: where the output goes at first.
        bus: where bytes, lines and losses are counted, and live lines are published.
        on_loss: told the data of a record `stream.dropped`.
    """

    def __init__(self, streams: Streams, bus: Bus, on_loss: Callable[[Mapping[str, Any]], None]) -> None:
        self._streams = streams
        self._watcher = streams.spec.name
        self._tally = bus.tally(self._watcher)
        self._life = os.urandom(4).hex()
        self._rings = Rings()
        self._bus = bus
        self._live = LiveLog(self._watcher, self._life, bus)
        self._losses = Losses(on_loss)
        self._opened = False
        self._redirector: Redirector | None = None
        self.redirector_class: type[Redirector] = Redirector
        """What carries the output; a subclass may be said before anything is opened."""

    @property
    def redirector(self) -> Redirector | None:
        """What carries the output now; None when nothing is captured, or nothing runs."""
        return self._redirector

    def open(self) -> None:
        """Be ready for output; again takes up all files anew, after somebody moved them away."""
        self._opened = True
        if self._redirector is not None:
            self._redirector.reopen()
        else:
            self._start()

    def _start(self) -> None:
        if self._redirector is not None or not any(map(self._streams.captured, NAMES)):
            return
        self._redirector = self.redirector_class(
            self._streams.stdout or _passed_on("stdout"), self._streams.stderr or _passed_on("stderr")
        )
        self._redirector.report(
            on_chunk=self._tally.chunk,
            on_drop=self._dropped,
            on_lines=self._live,
            rings=self._rings,
            label=self._watcher,
        )
        self._redirector.start()

    def close(self) -> None:
        """No output will come; again is harmless. The last lines stay."""
        self._opened = False
        if self._redirector is None:
            return
        self._redirector.close()
        self._redirector.close_streams()
        self._redirector = None
        self._losses.flush()

    def add(self, process: Any) -> bool:
        """Read the output of a process from now on; False when none of it is captured."""
        if self._redirector is None or not (process.stdout or process.stderr):
            return False
        self._redirector.add_redirections(process)
        return True

    def release(self, process: Any) -> None:
        """The process is gone: deliver what it wrote and close its pipes."""
        if self._redirector is not None:
            self._redirector.remove_redirections(process)

    def change(self, streams: Streams) -> None:
        """Go over to other streams under the living processes. What was not captured before needs new processes."""
        before, self._streams = self._streams, streams
        for name in NAMES:
            writer = getattr(streams, name)
            if writer is not getattr(before, name) and self._redirector is not None:
                # Processes whose output is not to be captured any more go on writing to us until they are replaced.
                self._redirector.change_stream(name, writer or _passed_on(name), close=True)
        if self._opened:
            self._start()

    # -- to another program -------------------------------------------------------------------------------------------

    def before_handover(self) -> None:
        """Tell what was lost until now, and let streams of other people's classes write what they keep."""
        self._losses.flush()
        if self._redirector is not None:
            self._redirector.close_others()

    def handed(self) -> OutputsRecord:
        """All of it, to be handed over."""
        redirector = self._redirector
        return OutputsRecord(
            life=self._life,
            opened=self._opened,
            pipes=[] if redirector is None else redirector.pipes_handed(),
            rings=self._rings.handed(),
            streams=[] if redirector is None else redirector.streams_handed(),
            drops={} if redirector is None else redirector.drops,
        )

    def go_on(self, record: OutputsRecord) -> None:
        """Keep the last lines that another kept, under the same life; before `open`."""
        self._life = record.life
        self._live = LiveLog(self._watcher, self._life, self._bus)
        self._rings.take_over(record.rings)

    def take_over(self, record: OutputsRecord, processes: Mapping[int, Any]) -> None:
        """Read on where another ended; after `open`, if that was open. `processes` by pid, with their pipes open."""
        if self._redirector is not None:
            self._redirector.take_over(record, processes)

    # -- the last lines -----------------------------------------------------------------------------------------------

    def tail(self, wid: int, name: str, count: int, *, pid: int | None = None) -> list[str]:
        """The last lines of an output of a slot, also after its process ended.

        Args:
            wid: the slot.
            name: stdout or stderr.
            count: how many lines at most.
            pid: only what this process wrote, with what it has written and nobody read yet, and with a last line
                that it has begun and not ended.
        """
        ring = self._rings.find(wid, name)
        if ring is None:
            return []
        rest: list[str] = []
        if pid is not None and self._redirector is not None:
            self._redirector.catch_up(pid)
            rest = split(self._redirector.unfinished(pid, name))
        lines = [line for chunk in ring.read(last=count, pid=pid) for line in chunk.lines]
        return (lines + rest)[-count:]

    def last(
        self,
        wid: int | None,
        stream: str | None,
        count: int | None = None,
        life: str | None = None,
        after: Mapping[tuple[int, str], int] | None = None,
    ) -> TailAnswer:
        """What the command `tail` answers.

        Args:
            wid: one slot; None for all.
            stream: one output; None for both.
            count: how many lines of each at most; None for all that are kept.
            life: of the answer that `after` was taken from.
            after: only lines with these numbers or higher, by slot and output.

        Raises:
            MessageError: there is no such slot, or its output does not come to us.
        """
        names = [name for name in NAMES if stream in (None, name)]
        chosen = [(slot, name) for slot, name in self._rings.known() if wid in (None, slot) and name in names]
        if not chosen and not any(map(self._streams.captured, names)):
            raise MessageError(self._why_not(names))
        if not chosen and wid is not None:
            raise MessageError(f"{self._watcher!r} has no worker {wid}")
        known = after if after is not None and life == self._life else {}
        most = max(_MOST_LINES // max(len(chosen), 1), 10)
        last = most if count is None else min(count, most)
        chunks, following = [], []
        for slot, name in chosen:
            ring = self._rings.of(slot, name)
            following.append(LogPosition(wid=slot, stream=name, seq=ring.following))
            chunks += [
                LogLines(
                    life=self._life, watcher=self._watcher, wid=slot, stream=name,
                    pid=each.pid, time=each.time, seq=each.seq, lines=each.lines,
                )
                for each in ring.read(last=last, since=known.get((slot, name), 0))
            ]  # fmt: skip
        chunks.sort(key=lambda chunk: chunk.time)
        return TailAnswer(life=self._life, watcher=self._watcher, chunks=chunks, next=following)

    def _why_not(self, names: Sequence[str]) -> str:
        what = f"{names[0]} of {self._watcher!r}" if len(names) == 1 else f"the output of {self._watcher!r}"
        if all(getattr(self._streams.spec, f"close_child_{name}") for name in names):
            return f"{what} is not captured but thrown away, by close_child_{names[0]}"
        return (
            f"{what} is not captured but goes where that of circusd goes; "
            f"capture = True, or a stream such as {names[0]}_stream.filename, would keep its last lines"
        )

    def _dropped(self, name: str, size: int, lines: int, reason: str) -> None:
        self._tally.drop(name, size, lines)
        self._losses.add(name, size, lines, reason)


def _make(spec: WatcherSpec, name: str, env: Mapping[str, str], *, reload: bool) -> Writer:
    wanted: StreamSpec | None = getattr(spec, f"{name}_stream")
    if wanted is None:
        return _passed_on(name) if spec.capture else None
    variables = Variables(env, prefix="env.")
    variables["watcher"] = spec.name
    return get_stream(wanted, reload, variables=variables)


def _wish(spec: WatcherSpec, name: str) -> tuple[object, bool]:
    wanted = getattr(spec, f"{name}_stream")
    return wanted, wanted is None and spec.capture


def _try_to_open(stream: Writer) -> None:
    try:
        getattr(stream, "open", _nothing)()
    except OSError:
        raise
    except (Exception, SystemExit) as error:  # a class of somebody else, which may do anything
        raise ValueError(f"the stream cannot be opened: {type(error).__name__}: {error}") from error
    finally:
        close_stream(stream)


def _nothing() -> None:
    """Stand-in for a stream that needs no opening."""


def _passed_on(name: str) -> Writer:
    from circus.stream.console import PassedOn  # only where something is captured

    return PassedOn(name)
