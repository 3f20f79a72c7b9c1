"""The output side of one watcher: streams that are exchanged under living processes, and what is kept of their lines."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from circus.events.bus import Bus
from circus.exc import MessageError
from circus.runtime.clock import SystemClock
from circus.spec.streams import StreamSpec
from circus.spec.watcher import WatcherSpec
from circus.stream.outputs import Outputs, make_streams
from tests.helpers.waiting import DEADLINE


class Worker:
    """Both ends of the output of a process that is no process."""

    def __init__(self, pid: int, wid: int = 1, *, captured: str = "stdout stderr") -> None:
        self.pid, self.wid, self.redirected = pid, wid, False
        self._ends: dict[str, int] = {}
        self.stdout, self.stderr = (self._pipe(name) if name in captured else None for name in ("stdout", "stderr"))

    def _pipe(self, name: str) -> Any:
        reader, self._ends[name] = os.pipe()
        return os.fdopen(reader, "rb", buffering=0)

    def say(self, data: bytes, name: str = "stdout") -> None:
        os.write(self._ends[name], data)

    def end(self) -> None:
        for fd in self._ends.values():
            os.close(fd)
        self._ends.clear()


class Side:
    """Outputs with what they told."""

    def __init__(self, **options: Any) -> None:
        self.spec = WatcherSpec(name="web", **options)
        self.bus = Bus(SystemClock())
        self.losses: list[Mapping[str, Any]] = []
        self.streams = make_streams(self.spec, {"HOME": "/home/web"})
        self.outputs = Outputs(self.streams, self.bus, self.losses.append)
        self.workers: list[Worker] = []

    def change(self, **options: Any) -> None:
        self.spec = replace(self.spec, **options)
        self.streams = make_streams(self.spec, {}, self.streams)
        self.outputs.change(self.streams)

    def worker(self, pid: int = 100, wid: int = 1) -> Worker:
        captured = " ".join(name for name in ("stdout", "stderr") if self.streams.captured(name))
        self.workers.append(Worker(pid, wid, captured=captured))
        self.outputs.add(self.workers[-1])
        return self.workers[-1]

    def ended(self, worker: Worker) -> None:
        worker.end()
        self.outputs.release(worker)


@pytest.fixture
def side() -> Iterator[Callable[..., Side]]:
    made: list[Side] = []

    def make(**options: Any) -> Side:
        made.append(Side(**options))
        made[-1].outputs.open()
        return made[-1]

    yield make
    for each in made:
        for worker in each.workers:
            worker.end()
        each.outputs.close()


def to_file(path: Path | str, **options: Any) -> StreamSpec:
    return StreamSpec(options={"filename": str(path), **options})


def files(folder: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in folder.iterdir()}


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.005)


async def test_a_change_of_the_file_loses_no_line_and_tears_none(side: Any, tmp_path: Path) -> None:
    subject = side(stdout_stream=to_file(tmp_path / "one"), stderr_stream=to_file(tmp_path / "err"))
    worker = subject.worker()
    worker.say(b"a\nhal")
    await until((tmp_path / "one").read_bytes)
    before = subject.streams
    subject.change(stdout_stream=to_file(tmp_path / "two", max_bytes=1000, backup_count=2))
    assert subject.streams.stderr is before.stderr
    worker.say(b"f\nb\n")
    await until(lambda: (tmp_path / "two").read_bytes() == b"half\nb\n")
    assert (tmp_path / "one").read_bytes() == b"a\n"
    subject.ended(worker)


async def test_a_stream_that_cannot_be_opened_is_refused_before_the_old_one_is_touched(
    side: Any, tmp_path: Path
) -> None:
    subject = side(stdout_stream=to_file(tmp_path / "one"))
    worker = subject.worker()
    for wrong in (to_file(tmp_path / "no" / "log"), to_file(tmp_path / "no" / "{wid}"), to_file("x", max_bytes="many")):
        with pytest.raises((OSError, ValueError), match=r"No such file|max_bytes = 'many'"):
            subject.change(stdout_stream=wrong)
    worker.say(b"kept\n")
    await until(lambda: (tmp_path / "one").read_bytes() == b"kept\n")


async def test_what_a_slow_reader_has_left_is_still_written_when_the_stream_is_exchanged(
    side: Any, tmp_path: Path
) -> None:
    fifo, lines = tmp_path / "fifo", b"".join(b"%09d\n" % number for number in range(9000))
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    subject = side(stdout_stream=to_file(fifo))
    worker = subject.worker()
    got = bytearray()
    try:
        for start in range(0, len(lines), 30_000):  # more than the pipes on both sides hold: the rest is pending
            worker.say(lines[start : start + 30_000])
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        subject.change(stdout_stream=to_file(tmp_path / "file"))
        worker.say(b"after\n")
        await until(lambda: (tmp_path / "file").read_bytes().endswith(b"after\n"))

        def all_there() -> bool:
            try:
                got.extend(os.read(reader, 1 << 20))
            except BlockingIOError:
                return False
            return bytes(got) + (tmp_path / "file").read_bytes() == lines + b"after\n"

        await until(all_there)
        assert got
        assert subject.losses == []
    finally:
        subject.ended(worker)
        subject.outputs.close()
        os.close(reader)


async def test_one_stream_for_all_becomes_one_for_each_and_back(side: Any, tmp_path: Path) -> None:
    subject = side(stdout_stream=to_file(tmp_path / "all"))
    first, second = subject.worker(100, 1), subject.worker(200, 2)
    subject.change(stdout_stream=to_file(tmp_path / "$(circus.wid).log"))
    first.say(b"one\n")
    second.say(b"two\n")
    await until(lambda: [(tmp_path / f"{wid}.log").exists() for wid in (1, 2)] == [True] * 2)
    await until(lambda: (tmp_path / "2.log").read_bytes() == b"two\n")
    subject.change(stdout_stream=to_file(tmp_path / "all"))
    second.say(b"again\n")
    await until(lambda: (tmp_path / "all").read_bytes() == b"again\n")
    assert (tmp_path / "1.log").read_bytes() == b"one\n"


async def test_the_file_of_a_slot_is_closed_when_nobody_is_in_it(side: Any, tmp_path: Path) -> None:
    subject = side(stdout_stream=to_file(tmp_path / "{wid}"))
    before = len(os.listdir("/proc/self/fd"))
    for pid in (100, 200):
        worker = subject.worker(pid, 5)
        worker.say(b"%d\n" % pid)
        subject.ended(worker)
        assert len(os.listdir("/proc/self/fd")) == before
    assert (tmp_path / "5").read_bytes() == b"100\n200\n"


async def test_capture_passes_on_to_our_own_output(side: Any, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    subject = side(capture=True)
    worker = subject.worker()
    worker.say(b"out \xff\n")
    worker.say(b"err\n", "stderr")
    subject.ended(worker)
    assert capfdbinary.readouterr() == (b"out \xff\n", b"err\n")
    assert subject.outputs.tail(1, "stderr", 10) == ["err"]


async def test_a_stream_taken_away_lets_the_rest_go_where_it_would_have_gone(
    side: Any, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    subject = side(stdout_stream=to_file(tmp_path / "one"))
    worker = subject.worker()
    subject.change(stdout_stream=None)
    assert not subject.streams.captured("stdout")
    worker.say(b"to the console\n")
    subject.ended(worker)
    assert capfdbinary.readouterr().out == b"to the console\n"


async def test_a_stream_can_be_added_while_it_is_open(side: Any, tmp_path: Path) -> None:
    subject = side()
    subject.change(stdout_stream=to_file(tmp_path / "one"))
    worker = subject.worker()
    worker.say(b"kept\n")
    subject.ended(worker)
    assert (tmp_path / "one").read_bytes() == b"kept\n"


async def test_files_are_taken_up_anew(side: Any, tmp_path: Path) -> None:
    subject = side(stdout_stream=to_file(tmp_path / "one"), stderr_stream=to_file(tmp_path / "{wid}"))
    worker = subject.worker()
    for name in ("one", "1"):
        (tmp_path / name).rename(tmp_path / f"{name}.old")
    subject.outputs.open()
    worker.say(b"new\n")
    worker.say(b"new\n", "stderr")
    subject.ended(worker)
    found = files(tmp_path)
    assert found == {"one": b"new\n", "one.old": b"", "1": b"new\n", "1.old": b""}


async def test_the_last_words_of_a_process_are_told_before_it_is_released(side: Any) -> None:
    subject = side(stdout_stream=to_file("/dev/null"))
    old, worker = subject.worker(100), subject.worker(200)
    old.say(b"of the old one\n")
    subject.ended(old)
    worker.say(b"a\nb\nno end")
    worker.end()
    assert subject.outputs.tail(1, "stdout", 10, pid=200) == ["a", "b", "no end"]
    assert subject.outputs.tail(1, "stdout", 2, pid=200) == ["b", "no end"]
    subject.outputs.release(worker)
    assert subject.outputs.tail(1, "stdout", 10, pid=200) == ["a", "b", "no end"]
    assert subject.outputs.tail(1, "stdout", 10) == ["of the old one", "a", "b", "no end"]
    assert subject.outputs.tail(1, "stdout", 10, pid=300) == []
    assert subject.outputs.tail(9, "stdout", 10) == []


async def test_lines_stay_when_the_streams_are_closed_and_their_numbers_go_on(side: Any) -> None:
    subject = side(stdout_stream=to_file("/dev/null"))
    worker = subject.worker()
    worker.say(b"before\n")
    subject.ended(worker)
    first = subject.outputs.last(None, None)
    subject.outputs.close()
    subject.outputs.open()
    again = subject.worker(200)
    again.say(b"after\n")
    subject.ended(again)
    (position,) = first.next
    answer = subject.outputs.last(1, "stdout", life=first.life, after={(1, "stdout"): position.seq})
    assert [(chunk.seq, chunk.lines) for chunk in answer.chunks] == [(1, ["after"])]
    other = subject.outputs.last(1, "stdout", life="other", after={(1, "stdout"): position.seq})
    assert [chunk.lines for chunk in other.chunks] == [["before"], ["after"]]


async def test_one_answer_is_bounded_whatever_was_asked_for(side: Any) -> None:
    subject = side(stdout_stream=to_file("/dev/null"))
    for wid in range(1, 41):
        worker = subject.worker(100 + wid, wid)
        worker.say(b"x\n" * 5000)
        subject.ended(worker)
    answer = subject.outputs.last(None, None, 10_000)
    assert sum(len(chunk.lines) for chunk in answer.chunks) == 20_000
    assert {position.seq for position in answer.next} == {5000}


async def test_what_cannot_be_told_is_an_error(side: Any) -> None:
    with pytest.raises(MessageError, match="the output of 'web' is not captured but goes where"):
        side().outputs.last(None, None)
    with pytest.raises(MessageError, match="stderr of 'web' is not captured but thrown away, by close_child_stderr"):
        side(capture=True, close_child_stderr=True).outputs.last(None, "stderr")
    with pytest.raises(MessageError, match="'web' has no worker 3"):
        side(capture=True).outputs.last(3, None)
    assert side(capture=True).outputs.last(None, None).chunks == []


async def test_losses_are_counted_and_told_at_the_latest_at_the_end(side: Any) -> None:
    subject = side(stdout_stream=to_file("/dev/full"))
    worker = subject.worker()
    worker.say(b"a\nb\n")
    subject.ended(worker)
    subject.outputs.close()
    assert subject.losses == [
        {"stream": "stdout", "bytes": 4, "lines": 2, "reason": "/dev/full: No space left on device"}
    ]
    assert subject.bus.tally("web").stream_drops == {"stdout": 2, "stderr": 0}


class Classic:
    """A stream class as people wrote them for 0.19: options are text, the mapping has what it had."""

    made: ClassVar[list[Classic]] = []

    def __init__(self, color: str = "", **more: str) -> None:
        self.options, self.calls = {"color": color, **more}, []
        self.made.append(self)

    def open(self) -> None:
        self.calls.append("open")

    def close(self) -> None:
        self.calls.append("close")

    def __call__(self, data: Mapping[str, Any]) -> None:
        self.calls.append((data["data"], data["pid"], data["name"]))


class Choosy(Classic):
    """One that can be made for the first worker only."""

    def __init__(self, wid: str) -> None:
        super().__init__()
        if wid != "1":
            raise PermissionError(13, "Permission denied", f"/log/{wid}")

    def open(self) -> None:
        raise SystemExit("not with me")


async def test_a_stream_that_cannot_be_made_for_one_worker_loses_its_lines_and_nothing_else(side: Any) -> None:
    sys.modules["classic_streams"] = sys.modules[__name__]
    choosy = StreamSpec(cls="classic_streams.Choosy", options={"wid": "{wid}"})
    subject = side(stdout_stream=choosy)
    for pid, wid in ((100, 1), (200, 2)):
        worker = subject.worker(pid, wid)
        worker.say(b"hello\n")
        subject.ended(worker)
    assert subject.bus.tally("web").stream_drops == {"stdout": 1, "stderr": 0}
    assert subject.outputs.tail(2, "stdout", 5) == ["hello"]
    other = side(stdout_stream=to_file("/dev/null"))
    with pytest.raises(ValueError, match="the stream cannot be opened: SystemExit: not with me"):
        other.change(stdout_stream=choosy)
    del sys.modules["classic_streams"]


async def test_a_class_of_a_third_party_is_opened_fed_and_closed(side: Any) -> None:
    Classic.made.clear()
    sys.modules["classic_streams"] = sys.modules[__name__]
    subject = side(stdout_stream=StreamSpec(cls="classic_streams.Classic", options={"color": "red", "level": "3"}))
    worker = subject.worker(100)
    worker.say(b"a\nb")
    subject.ended(worker)
    subject.outputs.close()
    (made,) = Classic.made
    assert made.options == {"color": "red", "level": "3"}
    assert made.calls == ["open", (b"a\n", 100, "stdout"), (b"b", 100, "stdout"), "close"]
    del sys.modules["classic_streams"]
