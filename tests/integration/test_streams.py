"""The output of real processes on its way into streams."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pty
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from circus.stream import FileStream, StdoutStream
from circus.stream.redirector import Redirector
from tests.helpers.waiting import DEADLINE


class Kept:
    """A stream that keeps its chunks."""

    def __init__(self) -> None:
        self.chunks: list[Mapping[str, Any]] = []

    def __call__(self, data: Mapping[str, Any]) -> None:
        self.chunks.append(data)

    @property
    def text(self) -> bytes:
        return b"".join(each["data"] for each in self.chunks)


class Worker:
    """A process with pipes, as the redirector sees one."""

    def __init__(self, wid: int, code: str, *arguments: str, **streams: int | None) -> None:
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
        self.child = subprocess.Popen([sys.executable, "-I", "-S", "-c", code, *arguments], **pipes)
        self.pid, self.wid = self.child.pid, wid
        self.stdout, self.stderr = self.child.stdout, self.child.stderr
        self.redirected = False

    async def ended(self) -> None:
        await until(lambda: self.child.poll() is not None)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.005)


def list_files(folder: Path) -> list[Path]:
    return list(folder.iterdir())


@pytest.fixture
async def redirect() -> AsyncIterator[Callable[..., Redirector]]:
    """Makes redirectors that run and are stopped afterwards."""
    made: list[Redirector] = []

    def make(stdout: Any, stderr: Any = None, **options: Any) -> Redirector:
        made.append(Redirector(stdout, stderr))
        made[-1].report(**options)
        made[-1].start()
        return made[-1]

    yield make
    for each in made:
        each.close()


async def test_output_and_errors_reach_their_streams(redirect: Any) -> None:
    out, err = Kept(), Kept()
    redirector = redirect(out, err)
    worker = Worker(3, "import sys; print('hello'); print('oops', file=sys.stderr)")
    redirector.add_redirections(worker)
    await worker.ended()
    assert redirector.remove_redirections(worker) is True
    assert out.chunks == [{"data": b"hello\n", "pid": worker.pid, "name": "stdout", "wid": 3}]
    assert err.chunks == [{"data": b"oops\n", "pid": worker.pid, "name": "stderr", "wid": 3}]


async def test_last_words_arrive_although_nothing_was_read_before(redirect: Any) -> None:
    out = Kept()
    redirector = Redirector(out, None, loop=asyncio.get_running_loop())
    worker = Worker(1, "import os; os.write(1, b'line\\nlast words'); os._exit(1)", stderr=None)
    redirector.add_redirections(worker)
    await worker.ended()
    redirector.remove_redirections(worker)
    assert out.text == b"line\nlast words"


async def test_a_line_written_in_parts_arrives_as_one(redirect: Any) -> None:
    out = Kept()
    redirector = redirect(out)
    worker = Worker(
        1,
        "import os,sys\n"
        "os.write(1, b'caf\\xc3'); sys.stdin.readline(); os.write(1, b'\\xa9 au lait\\nmore'); sys.stdin.readline()",
        stdin=subprocess.PIPE,
    )
    redirector.add_redirections(worker)
    worker.child.stdin.write(b"\n")
    worker.child.stdin.flush()
    await until(lambda: out.chunks)
    assert [each["data"] for each in out.chunks] == ["café au lait\n".encode()]
    worker.child.stdin.close()
    await worker.ended()
    redirector.remove_redirections(worker)
    assert out.chunks[-1]["data"] == b"more"


async def test_a_line_too_long_to_keep_comes_in_pieces_that_say_so(redirect: Any) -> None:
    out = Kept()
    redirector = redirect(out)
    worker = Worker(1, "print('x' * 200_000)", stderr=None)
    redirector.add_redirections(worker)
    await worker.ended()
    redirector.remove_redirections(worker)
    assert out.text == b"x" * 200_000 + b"\n"
    assert [each.get("partial", False) for each in out.chunks] == [True] * (len(out.chunks) - 1) + [False]


async def test_what_is_read_is_counted(redirect: Any) -> None:
    counted: list[tuple[str, int, int]] = []
    redirector = redirect(Kept(), None, on_chunk=lambda *chunk: counted.append(chunk))
    worker = Worker(1, "import sys; sys.stdout.write('one\\ntwo\\nthree'); sys.stderr.write('err\\n')")
    redirector.add_redirections(worker)
    await worker.ended()
    redirector.remove_redirections(worker)
    totals = {
        name: (sum(each[1] for each in counted if each[0] == name), sum(each[2] for each in counted if each[0] == name))
        for name in ("stdout", "stderr")
    }
    assert totals == {"stdout": (13, 3), "stderr": (4, 1)}


async def test_a_pipe_without_a_stream_never_makes_its_process_wait(redirect: Any) -> None:
    redirector = redirect(None, None)
    worker = Worker(1, "print('x' * 1_000_000)")
    redirector.add_redirections(worker)
    await worker.ended()
    redirector.remove_redirections(worker)
    assert worker.child.returncode == 0


async def test_a_child_that_holds_the_pipe_is_read_until_it_ends(redirect: Any) -> None:
    out = Kept()
    redirector = redirect(out)
    worker = Worker(
        1,
        "import os, sys\n"
        "os.write(1, b'from the worker')\n"
        "if os.fork() == 0:\n"
        "    sys.stdin.readline()\n"
        "    os.write(1, b' and its child\\n')\n"
        "os._exit(0)",
        stdin=subprocess.PIPE,
        stderr=None,
    )
    redirector.add_redirections(worker)
    await worker.ended()
    assert redirector.remove_redirections(worker) is False
    assert out.text == b"from the worker"
    assert out.chunks[-1]["partial"] is True
    worker.child.stdin.close()
    await until(lambda: out.text.endswith(b"\n"))
    assert out.text == b"from the worker and its child\n"


async def test_close_delivers_what_is_there_and_closes_everything(redirect: Any) -> None:
    out = Kept()
    redirector = redirect(out)
    worker = Worker(1, "import os,sys; os.write(1, b'a\\nb'); sys.stdin.readline()", stdin=subprocess.PIPE)
    redirector.add_redirections(worker)
    await until(lambda: out.chunks)
    redirector.close()
    assert out.text == b"a\nb"
    assert worker.stdout.closed
    worker.child.stdin.close()
    await worker.ended()


async def test_a_pid_that_comes_back_is_not_mixed_up_with_the_old_one(redirect: Any) -> None:
    out = Kept()
    redirector = redirect(out)
    first = Worker(1, "import os,sys\nif os.fork() == 0: sys.stdin.readline()\nos._exit(0)", stdin=subprocess.PIPE)
    redirector.add_redirections(first)
    await first.ended()
    redirector.remove_redirections(first)
    second = Worker(1, "print('second')")
    pid, second.pid = second.pid, first.pid
    redirector.add_redirections(second)
    await second.ended()
    assert redirector.remove_redirections(second) is True
    assert out.chunks == [{"data": b"second\n", "pid": first.pid, "name": "stdout", "wid": 1}]
    assert pid != first.pid
    first.child.stdin.close()


async def test_another_stream_takes_over_between_two_lines(redirect: Any) -> None:
    first, second = Kept(), Kept()
    redirector = redirect(first)
    worker = Worker(1, "import os,sys; os.write(1, b'a\\nb'); sys.stdin.readline(); print('!')", stdin=subprocess.PIPE)
    redirector.add_redirections(worker)
    await until(lambda: first.chunks)
    redirector.change_stream("stdout", second)
    assert redirector.get_stream("stdout") is second
    worker.child.stdin.close()
    await worker.ended()
    redirector.remove_redirections(worker)
    assert (first.text, second.text) == (b"a\n", b"b!\n")


async def test_reading_can_be_stopped_and_started_again_as_in_0_19(redirect: Any) -> None:
    out = Kept()
    redirector = redirect(out)
    worker = Worker(1, "import sys\nfor line in sys.stdin: print(line, end='', flush=True)", stdin=subprocess.PIPE)
    redirector.add_redirections(worker)
    assert worker.redirected is True
    worker.child.stdin.write(b"one\n")
    worker.child.stdin.flush()
    await until(lambda: out.text == b"one\n")
    assert redirector.stop() == 2
    assert redirector.running is False
    worker.child.stdin.write(b"two\n")
    worker.child.stdin.close()
    await worker.ended()
    assert out.text == b"one\n"
    assert redirector.start() == 2
    await until(lambda: out.text == b"one\ntwo\n")
    assert redirector.get_stream("stdout") is out
    assert redirector.get_stream("nothing") is None
    redirector.remove_redirections(worker)
    assert worker.redirected is False


async def test_a_stream_that_raises_ends_neither_the_loop_nor_the_other_stream(redirect: Any) -> None:
    def broken(_chunk: Mapping[str, Any]) -> None:
        raise SystemExit("no more")

    err = Kept()
    redirector = redirect(broken, err)
    worker = Worker(1, "import sys; print('lost'); print('kept', file=sys.stderr)")
    redirector.add_redirections(worker)
    await worker.ended()
    redirector.remove_redirections(worker)
    assert redirector.drops == {"stdout": (5, 1), "stderr": (0, 0)}
    assert err.text == b"kept\n"


async def test_many_writers_on_one_file_tear_and_lose_no_line(tmp_path: Path, redirect: Any) -> None:
    code = (
        "import os, sys\n"
        "mark = sys.argv[1]\n"
        "block = ''.join(f'{mark} {n} {\"=\" * (n % 90)} {mark}\\n' for n in range(2000)).encode()\n"
        "for start in range(0, len(block), 4096): os.write(1, block[start:start + 4096])\n"
    )
    stream = FileStream(str(tmp_path / "log"), max_bytes=200_000, backup_count=50)
    redirector = redirect(stream)
    workers = [Worker(wid, code, f"w{wid}", stderr=None) for wid in range(1, 11)]
    for worker in workers:
        redirector.add_redirections(worker)
    for worker in workers:
        await worker.ended()
        redirector.remove_redirections(worker)
    stream.close()
    found = sorted(b"".join(path.read_bytes() for path in list_files(tmp_path)).decode().splitlines())
    wanted = sorted(f"w{wid} {n} {'=' * (n % 90)} w{wid}" for wid in range(1, 11) for n in range(2000))
    assert found == wanted


async def test_a_full_disk_is_survived_and_left_behind(tmp_path: Path, redirect: Any) -> None:
    link = tmp_path / "log"
    link.symlink_to("/dev/full")
    stream = FileStream(str(link))
    redirector = redirect(stream)
    lost = Worker(1, "print('lost')", stderr=None)
    redirector.add_redirections(lost)
    await lost.ended()
    redirector.remove_redirections(lost)
    assert redirector.drops["stdout"] == (5, 1)
    link.unlink()
    stream.reopen()
    kept = Worker(1, "print('kept')", stderr=None)
    redirector.add_redirections(kept)
    await kept.ended()
    redirector.remove_redirections(kept)
    stream.close()
    assert link.read_bytes() == b"kept\n"


async def test_a_missing_folder_is_told_at_the_start_and_used_once_it_is_there(
    tmp_path: Path, redirect: Any, caplog: pytest.LogCaptureFixture
) -> None:
    stream = FileStream(str(tmp_path / "logs" / "log"))
    redirector = redirect(stream, None, label="web")
    assert f"stdout of web is lost until it can be written again: {tmp_path}/logs/log: No such file" in caplog.text
    (tmp_path / "logs").mkdir()
    worker = Worker(1, "print('kept')", stderr=None)
    redirector.add_redirections(worker)
    await worker.ended()
    redirector.remove_redirections(worker)
    stream.close()
    assert (tmp_path / "logs" / "log").read_bytes() == b"kept\n"


@contextlib.contextmanager
def slow_output() -> Iterator[int]:
    """Our standard output is a pipe that nobody reads until the test does. (As a fixture it would come too early:
    pytest puts its own output in place for each phase of a test.)
    """
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    with os.fdopen(writer, "w") as out, contextlib.redirect_stdout(out):
        yield reader
    os.close(reader)


async def test_nobody_reading_our_output_holds_up_the_worker_and_not_the_loop(redirect: Any) -> None:
    redirector = redirect(StdoutStream(), StdoutStream())
    worker = Worker(
        1,
        "import sys\nfor n in range(60_000): print(f'{n:09d}')\nprint('done', file=sys.stderr)",
    )
    redirector.add_redirections(worker)
    got = bytearray()

    def read_all(reader: int) -> bool:
        with contextlib.suppress(BlockingIOError):
            got.extend(os.read(reader, 30_000))
        return worker.child.poll() is not None and len(got) == 600_005

    with slow_output() as reader:
        await until(lambda: read_all(reader))
        redirector.remove_redirections(worker)
    lines = bytes(got).splitlines()
    assert [each for each in lines if each != b"done"] == [b"%09d" % number for number in range(60_000)]
    assert lines.count(b"done") == 1
    assert redirector.drops == {"stdout": (0, 0), "stderr": (0, 0)}


async def test_what_nobody_ever_read_is_counted_at_the_end(redirect: Any) -> None:
    redirector = redirect(StdoutStream())
    worker = Worker(1, "import os\nfor _ in range(10): os.write(1, (b'x' * 9 + b'\\n') * 1200)", stderr=None)
    redirector.add_redirections(worker)
    with slow_output() as reader:
        await worker.ended()
        redirector.close()
        size, lines = redirector.drops["stdout"]
        got = os.read(reader, 1 << 20)
    assert size + len(got) == 120_000
    assert lines >= 12_000 - got.count(b"\n") - 1


async def test_a_terminal_that_goes_away_is_an_end_of_file(redirect: Any) -> None:
    controller, terminal = pty.openpty()
    out = Kept()
    redirector = redirect(out)

    class OnTerminal:
        pid, wid, stderr = 1 << 22, 1, None
        stdout = os.fdopen(controller, "rb", buffering=0)

    os.write(terminal, b"typed\n")
    redirector.add_redirections(OnTerminal())
    await until(lambda: out.chunks)
    os.close(terminal)
    await until(lambda: OnTerminal.stdout.closed)
    assert out.text == b"typed\r\n"
