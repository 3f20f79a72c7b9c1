"""Faults around the output of workers: floods, readers that do not read, disks that are full."""

from __future__ import annotations

import os
import pathlib
import re
import signal
import subprocess
from collections.abc import Callable

import pytest
import zmq

from tests import workers
from tests.helpers import proc
from tests.helpers.daemon import Daemon, script
from tests.helpers.waiting import wait_until

Start = Callable[..., Daemon]


def lines(file: pathlib.Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


def resident(pid: int) -> int:
    """Bytes of memory that a process has."""
    return int(re.search(r"VmRSS:\s*(\d+) kB", pathlib.Path(f"/proc/{pid}/status").read_text())[1]) * 1024


def commanded(tmp_path: pathlib.Path, name: str, then: str) -> tuple[str, Callable[[], object]]:
    """A watcher's `cmd` that waits and then runs a shell command, and what makes it begin."""
    go = tmp_path / f"go-{name}"
    os.mkfifo(go)
    return f"[watcher:{name}]\ncmd = sh -c 'cat {go}; {then}; exec sleep 1000'\n", lambda: go.write_text("")


def test_beside_a_flood_the_lines_of_others_come_in_order_and_in_between(
    circusd: Start, tmp_path: pathlib.Path
) -> None:
    shared = tmp_path / "shared"
    stream = f"stdout_stream.filename = {shared}\nclose_child_stderr = true\n"
    flood, begin = commanded(tmp_path, "flood", f"yes {'x' * 99} | head -c 100000000; echo the end")
    daemon = circusd(
        f"{flood}{stream}[watcher:quiet]\ncmd = {workers.python('chatty', 0, 0.001)}\n{stream}", options={"debug": "no"}
    )
    wait_until(lambda: lines(shared))
    begin()

    def last() -> bytes:
        with shared.open("rb") as file:
            file.seek(-min(100_000, shared.stat().st_size), os.SEEK_END)
            return file.read()

    wait_until(lambda: b"the end\n" in last(), 60)
    daemon.ok("stop", name="quiet", waiting=True)
    found = lines(shared)
    quiet = [(place, line) for place, line in enumerate(found) if line.startswith("out ")]
    assert [line for _, line in quiet] == [f"out {number}" for number in range(1, len(quiet) + 1)]
    assert found.count("x" * 99) == 1_000_000
    assert len(found) == 1_000_000 + 1 + len(quiet)
    first, end = found.index("x" * 99), found.index("the end")
    between = [place for place, _ in quiet if first < place < end]
    assert len(between) > 5, "the quiet one had to wait until the flood was over"


def test_a_subscriber_that_never_reads_lines_costs_no_memory_and_holds_up_nobody(
    circusd: Start, tmp_path: pathlib.Path
) -> None:
    flood, begin = commanded(tmp_path, "flood", f"yes {'x' * 99} | head -c 300000000; echo the end")
    daemon = circusd(f"{flood}stdout_stream.filename = /dev/null\n[watcher:web]\ncmd = sleep 1000\n")
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    deaf = context.socket(zmq.SUB)
    deaf.setsockopt(zmq.RCVHWM, 1)
    deaf.setsockopt(zmq.SUBSCRIBE, b"log.")
    deaf.connect(daemon.pubsub_endpoint)
    try:
        events = daemon.events("watcher.web.", "log.flood.")
        before = resident(daemon.pid)
        begin()
        events.wait_for(lambda message: message.topic.startswith("log."))
        (pid,) = daemon.pids("web")
        os.kill(pid, signal.SIGKILL)
        events.wait_for_topic("watcher.web.spawn")
        wait_until(lambda: daemon.ok("tail", name="flood", lines=1)["chunks"][-1]["lines"] == ["the end"], 60)
        # What libzmq keeps for the deaf one, what the other has not read yet, and nothing of the rest.
        assert resident(daemon.pid) - before < 64 << 20
        counted = daemon.ok("telemetry")["arbiter"]
        assert counted["events_dropped"]["log:limit"] > 0
        assert daemon.telemetry("flood")["counters"]["stream_bytes"]["stdout"] == 300_000_008
    finally:
        deaf.close(0)
        context.destroy(0)


def test_a_follower_that_was_stopped_for_a_while_misses_no_line(circusd: Start, tmp_path: pathlib.Path) -> None:
    orders = tmp_path / "orders"
    os.mkfifo(orders)
    loop = f"exec 3<> {orders}; while read -r line <&3; do echo $line; done"
    daemon = circusd(f"[watcher:web]\ncmd = sh -c '{loop}'\nstdout_stream.filename = {tmp_path / 'out'}\n")
    daemon.wait_pids("web", 1)
    command = [script("circusctl"), "--endpoint", daemon.endpoint, "tail", "-f", "web"]
    shown = tmp_path / "shown"
    with shown.open("wb") as out:
        follower = subprocess.Popen(command, stdout=out, stderr=out)
    try:
        orders.write_text("first\n")
        wait_until(lambda: lines(shown) == ["first"])
        follower.send_signal(signal.SIGSTOP)
        said = [f"line {number}" for number in range(1000)]
        for start in range(0, 1000, 100):
            orders.write_text("".join(f"{line}\n" for line in said[start : start + 100]))
        wait_until(lambda: lines(tmp_path / "out")[-1:] == said[-1:])
        follower.send_signal(signal.SIGCONT)
        wait_until(lambda: lines(shown)[-1:] == said[-1:], what=lambda: lines(shown)[-5:])
        assert lines(shown) == ["first", *said]
    finally:
        follower.send_signal(signal.SIGINT)
        follower.wait()


def test_nobody_reading_the_output_of_circusd_holds_up_its_workers_and_not_circusd(
    circusd: Start, tmp_path: pathlib.Path
) -> None:
    console = tmp_path / "console"
    os.mkfifo(console)
    reader = os.open(console, os.O_RDONLY | os.O_NONBLOCK)
    try:
        flood = f"yes {'x' * 99} | head -c 20000000; echo the end"
        daemon = circusd(
            f"[watcher:flood]\ncmd = sh -c '{flood}; exec sleep 1000'\ncapture = yes\n"
            "[watcher:web]\ncmd = sleep 1000\n",
            through=["sh", "-c", f'exec "$0" "$@" > {console}'],
        )
        # A full pipe on the way to us, a full pipe on the way to circusd, and what it keeps: then the worker waits.
        wait_until(lambda: (daemon.telemetry("flood")["counters"]["stream_bytes"]["stdout"]) >= 65536)
        (pid,) = daemon.pids("web")
        os.kill(pid, signal.SIGKILL)
        daemon.wait_pids("web", 1, without=[pid])
        assert daemon.telemetry("flood")["counters"]["stream_bytes"]["stdout"] < 5_000_000
        got = bytearray()

        def all_there() -> bool:
            try:
                got.extend(os.read(reader, 1 << 20))
            except BlockingIOError:
                return False
            return got.endswith(b"the end\n")

        wait_until(all_there, pause=0.0)
        assert got == (b"x" * 99 + b"\n") * 200_000 + b"the end\n"
        assert daemon.stop() == []
    finally:
        os.close(reader)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a small disk")
def test_a_disk_that_fills_up_and_is_emptied_again_costs_the_lines_in_between(
    circusd: Start, tmp_path: pathlib.Path
) -> None:
    disk, orders = tmp_path / "disk", tmp_path / "orders"
    disk.mkdir()
    os.mkfifo(orders)
    loop = f"exec 3<> {orders}; while read -r line <&3; do echo $line; echo $line >&2; done"
    daemon = circusd(
        f"[watcher:web]\ncmd = sh -c '{loop}'\nstdout_stream.filename = {disk / 'log'}\n"
        f"stderr_stream.filename = {tmp_path / 'err'}\n",
        through=["unshare", "-m", "sh", "-c", f'mount -t tmpfs -o size=64k none {disk} && exec "$0" "$@"'],
    )
    there = pathlib.Path(f"/proc/{daemon.pid}/root{disk}/log")  # as circusd sees it
    daemon.wait_pids("web", 1)
    said: list[str] = []

    def say(count: int) -> None:
        new = [f"{number:04d} {'=' * 90}" for number in range(len(said), len(said) + count)]
        said.extend(new)
        for start in range(0, count, 40):
            orders.write_text("".join(f"{line}\n" for line in new[start : start + 40]))
        wait_until(lambda: lines(tmp_path / "err")[-1:] == said[-1:])

    def dropped() -> int:
        return int(daemon.telemetry("web")["counters"]["stream_drops"]["stdout"])

    say(1000)
    wait_until(dropped)
    first = lines(there)
    os.truncate(there, 0)
    say(100)
    wait_until(lambda: lines(there)[-1:] == said[-1:])
    assert lines(tmp_path / "err") == said
    # Whole lines up to the end of the disk, then perhaps the half that still fitted.
    whole = first if first[-1] in said else first[:-1]
    assert whole == said[: len(whole)]
    again = [line for line in lines(there) if line in said]
    assert again == said[len(said) - len(again) :]
    assert len(whole) + dropped() + len(again) == len(said)
    told = daemon.ok("events", watcher="web", record="stream.dropped")["records"]
    assert told[0]["data"]["reason"] == f"{disk}/log: No space left on device"
    assert "stdout of web is written again" in daemon.log_text()
    assert proc.alive(daemon.pids("web")[0])
