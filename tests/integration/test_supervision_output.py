"""The output of workers, from their pipes to files and to the daemon's own output, through the real circusd."""

from __future__ import annotations

import os
import pathlib
import signal
import sys
from collections.abc import Callable, Iterable

import pytest

from tests import workers
from tests.helpers.daemon import Daemon
from tests.helpers.waiting import wait_until

Start = Callable[..., Daemon]


def lines(file: pathlib.Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


def test_output_and_errors_go_to_their_files(circusd: Start, tmp_path: pathlib.Path) -> None:
    out, err = tmp_path / "out", tmp_path / "err"
    streams = f"stdout_stream.class = FileStream\nstdout_stream.filename = {out}\nstderr_stream.filename = {err}\n"
    daemon = circusd(f"[watcher:web]\ncmd = {workers.python('chatty', 3)}\n{streams}")
    wait_until(lambda: len(lines(out)) == len(lines(err)) == 3, what=daemon.log_text)
    assert lines(out) == ["out 1", "out 2", "out 3"]
    assert lines(err) == ["err 1", "err 2", "err 3"]
    assert "out 1" not in daemon.log_text()


def test_the_console_gets_what_is_for_it(circusd: Start) -> None:
    options = "stdout_stream.class = StdoutStream\nclose_child_stderr = true\n"
    daemon = circusd(f"[watcher:web]\ncmd = {workers.python('chatty', 2)}\n{options}")
    wait_until(lambda: "out 1\nout 2\n" in daemon.log_text())


def test_output_without_a_stream_is_that_of_the_daemon(circusd: Start) -> None:
    daemon = circusd(f"[watcher:web]\ncmd = {workers.python('chatty', 1)}\n")
    wait_until(lambda: {"out 1", "err 1"} <= set(daemon.log_text().splitlines()))


@pytest.mark.parametrize("end", ["exit 0", "kill -9 $$"], ids=["exits", "is killed"])
def test_the_last_lines_before_an_end_are_not_lost(circusd: Start, tmp_path: pathlib.Path, end: str) -> None:
    out = tmp_path / "out"
    # 60 kB stay in the pipe when the writer is gone at once; the last line has no newline.
    text = f'sh -c "yes line | head -n 12000; printf %s end; {end}"'
    daemon = circusd(
        f"[watcher:once]\ncmd = {text}\nrespawn = false\nautostart = false\nstdout_stream.filename = {out}\n"
    )
    events = daemon.events("watcher.once.stop")
    daemon.ok("start", name="once")
    events.wait_for_topic("watcher.once.stop")
    assert lines(out)[-1] == "end"
    assert lines(out).count("line") == 12000


def test_what_a_stopped_worker_says_while_it_stops_is_kept(circusd: Start, tmp_path: pathlib.Path) -> None:
    out = tmp_path / "out"
    daemon = circusd(f"[watcher:web]\ncmd = {workers.python('slow_start', 0)}\nstdout_stream.filename = {out}\n")
    wait_until(lambda: "ready" in lines(out))
    daemon.ok("stop", name="web", waiting=True)
    assert lines(out) == ["starting", "ready", "stopping"]


def test_what_workers_say_while_the_daemon_leaves_is_kept(circusd: Start, tmp_path: pathlib.Path) -> None:
    out = tmp_path / "out"
    daemon = circusd(f"[watcher:web]\ncmd = {workers.python('slow_start', 0)}\nstdout_stream.filename = {out}\n")
    wait_until(lambda: "ready" in lines(out))
    assert daemon.stop() == []
    assert lines(out) == ["starting", "ready", "stopping"]


def test_a_replacement_writes_to_the_same_file(circusd: Start, tmp_path: pathlib.Path) -> None:
    out = tmp_path / "out"
    daemon = circusd(f"[watcher:web]\ncmd = {workers.python('chatty', 1)}\nstdout_stream.filename = {out}\n")
    wait_until(lambda: lines(out) == ["out 1"])
    os.kill(daemon.pids("web")[0], signal.SIGKILL)
    wait_until(lambda: lines(out) == ["out 1"] * 2)
    daemon.ok("restart", name="web", waiting=True)
    wait_until(lambda: lines(out) == ["out 1"] * 3)


def test_processes_on_one_file_tear_no_line(circusd: Start, tmp_path: pathlib.Path) -> None:
    out = tmp_path / "out"
    cmd = workers.python("chatty", 500, 0, 900)
    daemon = circusd(
        f"[watcher:web]\ncmd = {cmd}\nnumprocesses = 3\nstdout_stream.filename = {out}\nclose_child_stderr = true\n"
    )
    wait_until(lambda: len(lines(out)) == 1500, what=daemon.log_text)
    assert {line.rstrip(".") for line in lines(out)} == {f"out {number}" for number in range(1, 501)}
    assert {len(line) for line in lines(out)} == {900}


# Takes orders from its standard input's place, a file: writes its lines in pieces that end within lines.
TORN = """
import os, sys
mark, count = sys.argv[1] + "." + str(os.getpid()), int(sys.argv[2])
block = "".join(f"{mark} {number:06d} {'=' * (number % 90)} {mark}\\n" for number in range(count)).encode()
for start in range(0, len(block), 4096):
    os.write(1, block[start:start + 4096])
os.write(1, b"done " + mark.encode() + b"\\n")
sys.stdin.read()
import signal
signal.pause()
"""


def test_fifty_writers_tear_and_lose_no_line_over_a_graceful_reload(circusd: Start, tmp_path: pathlib.Path) -> None:
    out, program, count = tmp_path / "out", tmp_path / "torn.py", 500
    program.write_text(TORN)
    daemon = circusd(
        f"[watcher:web]\ncmd = {sys.executable} -I -S {program} w$(circus.wid) {count}\nnumprocesses = 50\n"
        f"stdout_stream.filename = {out}\nstdout_stream.max_bytes = 700000\nstdout_stream.backup_count = 500\n"
    )
    daemon.ok("reload", name="web", waiting=True)

    def written() -> list[str]:
        return [line for file in tmp_path.glob("out*") for line in lines(file)]

    alive = set(daemon.wait_pids("web", 50))
    wait_until(lambda: {int(line.rpartition(".")[2]) for line in written() if line.startswith("done ")} >= alive)
    found: dict[str, list[int]] = {}
    for line in written():
        if line.startswith("done "):
            continue
        mark, number, filling, end = (
            (line + " ").split(" ")[:4] if "= " in line else (*line.split(" ")[:2], "", line.split(" ")[-1])
        )
        assert mark == end, f"torn: {line!r}"
        assert filling == "=" * (int(number) % 90), f"torn: {line!r}"
        found.setdefault(mark, []).append(int(number))
    assert all(len(set(numbers)) == len(numbers) for numbers in found.values())
    complete = {mark for mark, numbers in found.items() if sorted(numbers) == list(range(count))}
    assert {int(mark.partition(".")[2]) for mark in complete} >= alive
    # Who was stopped in the middle of writing left no hole: all lines up to its last one are there.
    for numbers in found.values():
        assert sorted(numbers) == list(range(len(numbers)))
    assert len(found) >= 50
    assert daemon.telemetry("web")["counters"]["stream_drops"]["stdout"] == 0


def test_each_worker_has_a_file_of_its_own(circusd: Start, tmp_path: pathlib.Path) -> None:
    daemon = circusd(
        f"[watcher:web]\ncmd = sh -c 'echo I am $(circus.wid); exec sleep 1000'\nnumprocesses = 2\n"
        f"stdout_stream.filename = {tmp_path}/{{watcher}}-{{wid}}.log\nstderr_stream.filename = {tmp_path}/$(circus.wid).err\n"
    )
    for wid in (1, 2):
        wait_until(lambda wid=wid: lines(tmp_path / f"web-{wid}.log") == [f"I am {wid}"], what=daemon.log_text)
    os.kill(daemon.pids("web")[1], signal.SIGKILL)
    wait_until(lambda: lines(tmp_path / "web-2.log") == ["I am 2"] * 2)
    daemon.ok("incr", name="web", waiting=True)
    wait_until(lambda: lines(tmp_path / "web-3.log") == ["I am 3"])
    assert sorted(file.name for file in tmp_path.glob("*.err")) == ["1.err", "2.err", "3.err"]


def test_a_full_disk_loses_lines_that_are_counted_and_told_and_nothing_else(
    circusd: Start, tmp_path: pathlib.Path
) -> None:
    err, orders = tmp_path / "err", tmp_path / "orders"
    os.mkfifo(orders)
    daemon = circusd(
        f"[watcher:web]\ncmd = sh -c 'exec 3<> {orders}; while read line <&3; do echo out $line; echo err $line >&2; done'\n"
        f"stdout_stream.filename = /dev/full\nstderr_stream.filename = {err}\n"
    )
    (pid,) = daemon.wait_pids("web", 1)
    events = daemon.events("lifecycle.web.stream.")
    for number in (1, 2, 3):
        orders.write_text(f"{number}\n")
        wait_until(lambda number=number: lines(err)[-1:] == [f"err {number}"])
    (told,) = events.wait_for_topic("lifecycle.web.stream.dropped")
    assert told.body["data"]["stream"] == "stdout"
    assert told.body["data"]["reason"] == "/dev/full: No space left on device"
    wait_until(lambda: daemon.telemetry("web")["counters"]["stream_drops"] == {"stdout": 3, "stderr": 0})
    assert daemon.pids("web") == [pid]
    daemon.ok("stop", name="web", waiting=True)
    told = daemon.ok("events", watcher="web", record="stream.dropped")["records"]
    assert sum(record["data"]["lines"] for record in told) == 3
    assert sum(record["data"]["bytes"] for record in told) == 18


def test_captured_output_is_passed_on_unchanged(circusd: Start) -> None:
    # Bytes that are no text too; the two outputs of this daemon are one file.
    daemon = circusd("[watcher:web]\ncmd = printf 'one\\ntwo \\377\\nthe end'\ncapture = true\nrespawn = false\n")
    # Lines of the log may come between those of the output.
    wait_until(lambda: b"\none\ntwo \xff\n" in (log := daemon.log.read_bytes()) and b"the end" in log)
    counters = daemon.telemetry("web")["counters"]
    assert counters["stream_lines"] == {"stdout": 3, "stderr": 0}


def test_captured_output_is_counted(circusd: Start, tmp_path: pathlib.Path) -> None:
    out = tmp_path / "out"
    daemon = circusd(f"[watcher:web]\ncmd = {workers.python('chatty', 5)}\nstdout_stream.filename = {out}\n")
    wait_until(lambda: len(lines(out)) == 5)
    counters = daemon.telemetry("web")["counters"]
    assert counters["stream_lines"]["stdout"] == 5
    assert counters["stream_bytes"]["stdout"] == out.stat().st_size


def test_a_file_that_cannot_be_opened_does_not_keep_the_worker_from_running(
    circusd: Start, tmp_path: pathlib.Path
) -> None:
    daemon = circusd(
        f"[watcher:web]\ncmd = {workers.python('chatty', 1)}\nstdout_stream.filename = {tmp_path / 'no' / 'dir' / 'out'}\n"
    )
    daemon.wait_status("web", "active")
    wait_until(lambda: "no/dir" in daemon.log_text())
    assert len(daemon.pids("web")) == 1


def test_a_flood_is_captured_while_others_are_served(circusd: Start, tmp_path: pathlib.Path) -> None:
    quiet = tmp_path / "quiet"
    flood = f"[watcher:flood]\ncmd = yes {'x' * 99}\nstdout_stream.filename = /dev/null\n"
    daemon = circusd(
        f"{flood}[watcher:quiet]\ncmd = {workers.python('chatty', 0, 0.01)}\nstdout_stream.filename = {quiet}\n"
    )
    wait_until(lambda: len(lines(quiet)) > 5)
    (pid,) = daemon.wait_pids("flood", 1)
    os.kill(pid, signal.SIGKILL)
    daemon.wait_pids("flood", 1, without=[pid])


def test_a_child_that_holds_the_pipe_does_not_hold_up_the_end(circusd: Start, tmp_path: pathlib.Path) -> None:
    out = tmp_path / "out"
    text = 'sh -c "sleep 1000 & echo $!; exit 0"'
    daemon = circusd(f"[watcher:web]\ncmd = {text}\nrespawn = false\nstdout_stream.filename = {out}\n")
    orphan = int(wait_until(lambda: lines(out))[0])
    daemon.wait_status("web", "stopped")
    # It was left alone, as kill_scope says, and circusd has left all the same.
    assert [survivor.split()[1] for survivor in daemon.stop()] == [str(orphan)]


@pytest.mark.parametrize("how", ["SIGUSR1", "SIGHUP", "reload"])
def test_files_moved_away_are_taken_up_anew(circusd: Start, tmp_path: pathlib.Path, how: str) -> None:
    out, orders = tmp_path / "out", tmp_path / "orders"
    os.mkfifo(orders)
    daemon = circusd(
        f"[watcher:web]\ncmd = sh -c 'trap : HUP; exec 3<> {orders}; while :; do read line <&3 && echo $line; done'\n"
        f"stdout_stream.filename = {out}\nsend_hup = true\n"
    )
    daemon.wait_pids("web", 1)
    orders.write_text("one\n")
    wait_until(lambda: lines(out) == ["one"])
    out.rename(tmp_path / "moved")
    orders.write_text("two\n")
    wait_until(lambda: lines(tmp_path / "moved") == ["one", "two"])
    if how == "reload":
        daemon.ok("reload", name="web", waiting=True)
    else:
        daemon.signal(signal.Signals[how])
    wait_until(out.exists)
    daemon.wait_pids("web", 1)
    orders.write_text("three\n")
    wait_until(lambda: lines(out) == ["three"], what=daemon.log_text)
    assert lines(tmp_path / "moved") == ["one", "two"]


COUNT = (
    "import os, itertools\n"
    "for number in itertools.count():\n"
    "    line = b'%07d ' % number + b'=' * (number % 70) + b'\\n'\n"
    "    os.write(1, line[:9]); os.write(1, line[9:])\n"
)


def counted(files: Iterable[pathlib.Path]) -> int:
    """How many lines of COUNT are in these files: all from the first on, each once and whole."""
    found = sorted(line for file in files for line in lines(file))
    if not found[-1].endswith("=" * (int(found[-1][:7]) % 70)):
        found.pop()  # what it was writing when it was stopped
    assert found == [f"{number:07d} {'=' * (number % 70)}" for number in range(len(found))]
    return len(found)


@pytest.mark.parametrize("kind", ["WatchedFileStream", "FileStream"])
def test_files_that_somebody_rotates_under_a_worker_that_writes_lose_no_line(
    circusd: Start, tmp_path: pathlib.Path, kind: str
) -> None:
    (tmp_path / "count.py").write_text(COUNT)
    (tmp_path / "logs").mkdir()
    out = tmp_path / "logs" / "out"
    daemon = circusd(
        f"[watcher:web]\ncmd = {sys.executable} -I -S {tmp_path / 'count.py'}\n"
        f"stdout_stream.class = {kind}\nstdout_stream.filename = {out}\n"
    )
    for number in range(20):
        wait_until(lambda: out.exists() and out.stat().st_size > 10_000, what=daemon.log_text)
        out.rename(out.with_suffix(f".{number}"))
        if kind == "FileStream":
            daemon.signal(signal.SIGUSR1)
    wait_until(lambda: out.exists() and out.stat().st_size > 10_000)
    daemon.ok("stop", name="web", waiting=True)
    assert counted(out.parent.iterdir()) > 2000
    assert len(list(out.parent.iterdir())) == 21


def test_streams_are_changed_under_a_worker_that_writes(circusd: Start, tmp_path: pathlib.Path) -> None:
    program = tmp_path / "count.py"
    program.write_text(COUNT)
    one = tmp_path / "logs" / "one"
    one.parent.mkdir()
    daemon = circusd(
        f"[watcher:web]\ncmd = {sys.executable} -I -S {program}\n"
        f"stdout_stream.class = WatchedFileStream\nstdout_stream.filename = {one}\n"
    )
    wait_until(lambda: len(lines(one)) > 100)
    (pid,) = daemon.pids("web")
    log = one.parent / "two"
    for options in (
        {"stdout_stream.filename": str(log)},
        {"stdout_stream.class": "FileStream", "stdout_stream.max_bytes": 300_000, "stdout_stream.backup_count": 1000},
        {"stdout_stream.max_bytes": 200_000},
        {"stdout_stream.filename": str(one.parent / "three-$(circus.wid)")},
        {"stdout_stream.class": "TimedRotatingFileStream", "stdout_stream.rotate_when": "S"},
    ):
        before = sum(len(lines(file)) for file in one.parent.iterdir())
        daemon.ok("set", name="web", options=options, waiting=True)
        shown = daemon.ok("options", name="web")["options"]["stdout_stream_conf"]
        assert {f"stdout_stream.{key}": value for key, value in shown.items()}.items() >= options.items()
        wait_until(lambda before=before: sum(len(lines(file)) for file in one.parent.iterdir()) > before + 1000)
    shown = daemon.ok("options", name="web")["options"]["stdout_stream_conf"]
    assert shown["class"] == "TimedRotatingFileStream"
    refused = daemon.call("set", name="web", options={"stdout_stream.filename": "/no/such/dir/log"}, waiting=True)
    assert refused["status"] == "error"
    assert "No such file or directory" in refused["reason"]
    assert daemon.pids("web") == [pid]
    daemon.ok("stop", name="web", waiting=True)
    assert counted(one.parent.iterdir()) > 5000
    assert len({file.name.partition(".")[0] for file in one.parent.iterdir()}) == 3
