"""The last lines of workers, asked for, followed and published, through the real circusd and circusctl."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests import workers
from tests.helpers.daemon import Daemon, script
from tests.helpers.waiting import wait_until

Start = Callable[..., Daemon]


@contextmanager
def following(daemon: Daemon, *words: str) -> Iterator[list[str]]:
    """What `circusctl tail -f` prints, line by line as it comes."""
    command = [script("circusctl"), "--endpoint", daemon.endpoint, "tail", "-f", *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    got: list[str] = []
    reader = threading.Thread(target=lambda: got.extend(line.rstrip("\n") for line in process.stdout or ()))
    reader.start()
    try:
        yield got
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()
        reader.join()
        if process.stdout is not None:
            process.stdout.close()


def echoing(tmp_path: pathlib.Path, *, options: str = "capture = true") -> tuple[str, pathlib.Path]:
    """A watcher `web` that says what is written to a named pipe, and this pipe."""
    orders = tmp_path / "orders"
    os.mkfifo(orders)
    loop = f"exec 3<> {orders}; echo begin; while read -r line <&3; do echo $line; echo $line >&2; done"
    return f"[watcher:web]\ncmd = sh -c '{loop}'\n{options}\n", orders


def tail(daemon: Daemon, *words: str) -> list[str]:
    done = daemon.circusctl("tail", *words)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_last_lines_of_a_worker_and_of_all(circusd: Start) -> None:
    daemon = circusd(f"[watcher:web]\ncmd = {workers.python('chatty', 15)}\nnumprocesses = 2\ncapture = yes\n")
    wait_until(lambda: tail(daemon, "web:2", "stderr")[-1:] == ["err 15"])
    assert tail(daemon, "web:2", "stderr", "-n", "3") == ["err 13", "err 14", "err 15"]
    assert tail(daemon, "-n0", "web") == []
    wait_until(lambda: len(tail(daemon, "web")) == 40)
    assert {line.partition(" | ")[0] for line in tail(daemon, "web")} == {
        "1 stdout",
        "1 stderr",
        "2 stdout",
        "2 stderr",
    }


def test_they_are_there_after_the_worker_has_ended_and_when_it_is_stopped(
    circusd: Start, tmp_path: pathlib.Path
) -> None:
    file = f"stdout_stream.filename = {tmp_path / 'out'}\n"
    daemon = circusd(f"[watcher:web]\ncmd = sh -c 'echo one; echo last words; exit 3'\nrespawn = false\n{file}")
    daemon.wait_status("web", "stopped")
    assert tail(daemon, "web") == ["one", "last words"]


def test_what_cannot_be_told_is_said(circusd: Start) -> None:
    daemon = circusd(
        "[watcher:plain]\ncmd = sleep 1000\n"
        "[watcher:shut]\ncmd = sleep 1000\nclose_child_stdout = true\nclose_child_stderr = true\n"
        "[watcher:web]\ncmd = sleep 1000\ncapture = true\nclose_child_stderr = true\n"
    )
    for words, told in {
        ("nope",): "error: program nope not found\n",
        (
            "plain",
        ): "error: the output of 'plain' is not captured but goes where that of circusd goes; capture = True, or a "
        "stream such as stdout_stream.filename, would keep its last lines\n",
        ("shut", "stdout"): "error: stdout of 'shut' is not captured but thrown away, by close_child_stdout\n",
        ("web", "stderr"): "error: stderr of 'web' is not captured but thrown away, by close_child_stderr\n",
        ("web:7",): "error: 'web' has no worker 7\n",
        ("web", "both"): "error: 'stream' is stdout or stderr, not 'both'\n",
    }.items():
        done = daemon.circusctl("tail", *words)
        assert (done.returncode, done.stdout, done.stderr) == (3, "", told)


def test_capture_can_be_switched_on_and_off(circusd: Start) -> None:
    daemon = circusd("[watcher:web]\ncmd = sh -c 'echo hello; exec sleep 1000'\n")
    wait_until(lambda: "hello\n" in daemon.log_text())
    assert daemon.circusctl("tail", "web").returncode == 3
    daemon.ok("set", name="web", options={"capture": True}, waiting=True)
    wait_until(lambda: tail(daemon, "web") == ["hello"])
    daemon.ok("set", name="web", options={"capture": False}, waiting=True)
    wait_until(lambda: daemon.log_text().count("hello\n") == 3, what=daemon.log_text)
    daemon.ok("restart", name="web", waiting=True)
    wait_until(lambda: daemon.log_text().count("hello\n") == 4, what=daemon.log_text)
    assert tail(daemon, "web") == ["hello"]


def test_following_goes_on_over_a_restart_of_the_worker_without_gap_or_duplicate(
    circusd: Start, tmp_path: pathlib.Path
) -> None:
    text, orders = echoing(tmp_path)
    daemon = circusd(text)
    daemon.wait_pids("web", 1)
    said = ["begin"]

    def say(count: int) -> None:
        new = [f"line {number}" for number in range(len(said), len(said) + count)]
        orders.write_text("".join(f"{line}\n" for line in new))
        said.extend(new)

    say(5)
    wait_until(lambda: tail(daemon, "web", "stdout") == said)
    with following(daemon, "web", "stdout", "-n", "3") as got:
        wait_until(lambda: got == said[-3:], what=lambda: got)
        say(100)
        wait_until(lambda: got and got[-1] == said[-1], what=lambda: got)
        os.kill(daemon.pids("web")[0], signal.SIGKILL)
        said.append("begin")
        wait_until(lambda: got[-1] == "begin", what=lambda: got)
        say(50)
        wait_until(lambda: got[-1] == said[-1], what=lambda: got)
        daemon.ok("restart", name="web", waiting=True)
        said.append("begin")
        say(50)
        wait_until(lambda: got[-1] == said[-1], what=lambda: got)
    assert [line for line in got if line != ""] == said[3:]


def test_following_goes_on_over_a_restart_of_circusd(circusd: Start, tmp_path: pathlib.Path) -> None:
    text, orders = echoing(tmp_path)
    daemon = circusd(text)
    wait_until(lambda: tail(daemon, "web", "stdout") == ["begin"])
    with following(daemon, "web", "stdout") as got:
        wait_until(lambda: got == ["begin"])
        daemon.ok("restart", waiting=True)
        wait_until(lambda: got == ["begin"] * 2, what=lambda: got)
        orders.write_text("more\n")
        wait_until(lambda: got == ["begin", "begin", "more"], what=lambda: got)


def test_lines_are_published_for_who_asks_for_them_by_name(circusd: Start, tmp_path: pathlib.Path) -> None:
    text, orders = echoing(tmp_path)
    daemon = circusd(text.replace("watcher:web", "watcher:Web One"))
    (pid,) = daemon.wait_pids("Web One", 1)
    with daemon.events("") as everything:
        orders.write_text("unheard\n")
        wait_until(lambda: tail(daemon, "Web One", "stderr") == ["unheard"])
        with daemon.events("log.web_one.1.stdout") as lines:
            orders.write_text("heard\n")
            (message,) = lines.wait_for_topic("log.web_one.1.stdout")
            # Once they are published, who takes everything gets them too.
            everything.wait_for_topic("log.web_one.1.stdout")
        assert "log.web_one.1.stderr" not in lines.topics()
        heard = [message.body["lines"] for message in everything.messages if message.topic.startswith("log.")]
        assert heard == [["heard"]]
    body = dict(message.body)
    assert isinstance(body.pop("time"), float)
    life = daemon.ok("tail", name="Web One")["life"]
    assert body == {
        "life": life, "watcher": "Web One", "wid": 1, "pid": pid, "stream": "stdout", "seq": 2, "lines": ["heard"],
    }  # fmt: skip


@pytest.mark.parametrize("words", [("web",), ("web:1", "stdout")])
def test_a_flood_is_followed_as_far_as_it_goes_and_what_is_left_out_is_said(
    circusd: Start, tmp_path: pathlib.Path, words: tuple[str, ...]
) -> None:
    os.mkfifo(tmp_path / "go")
    flood = f"echo ready; cat {tmp_path / 'go'}; yes | head -c 50000000; echo the end"
    daemon = circusd(f"[watcher:web]\ncmd = sh -c '{flood}'\nrespawn = false\nstdout_stream.filename = /dev/null\n")
    with following(daemon, *words) as got:
        wait_until(lambda: got == ["ready"])
        (tmp_path / "go").write_text("")
        wait_until(lambda: "the end" in got, what=lambda: got[-5:])
    left_out = " lines were written that circusd did not keep"
    shown = sum(line in {"y", "the end"} for line in got)
    assert shown + sum(int(line.split()[0]) for line in got if line.endswith(left_out)) == 25_000_001
    assert got[-1] == "the end"
