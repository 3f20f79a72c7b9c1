"""A process that a program makes for itself, and what a program can do with one of a watcher."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from circus.exc import SpawnError
from circus.process import DEAD_OR_ZOMBIE, RUNNING, UNEXISTING, Process, devnull
from tests.helpers import proc
from tests.helpers.waiting import DEADLINE, wait_until

# A program that starts processes keeps one descriptor of it; opened now, it is no leak of a test.
devnull()


@pytest.fixture
def made() -> Iterator[Any]:
    """Make processes that are gone after the test."""
    processes: list[Process] = []

    def make(cmd: str, **options: Any) -> Process:
        processes.append(Process("test", 1, cmd, **{"pipe_stdout": False, "pipe_stderr": False, **options}))
        return processes[-1]

    yield make
    for process in processes:
        if process.is_alive():
            process.send_signal(signal.SIGKILL)
            process.wait(DEADLINE)
        process.close_output_channels()


def test_it_is_started_at_once_and_tells_how_it_is(made: Any) -> None:
    process = made("sleep 1000")
    assert process.is_alive()
    assert (process.status, process.poll(), process.returncode()) == (RUNNING, None, None)
    assert process.age() >= 0
    assert process.started > 0
    process.stop()
    assert process.wait(DEADLINE) == -signal.SIGTERM
    assert (process.is_alive(), process.status, process.returncode()) == (False, UNEXISTING, -signal.SIGTERM)
    process.stop()


def test_it_waits_to_be_started_when_asked_to(made: Any) -> None:
    process = made("sleep 1000", spawn=False)
    assert (process.pid, process.is_alive(), process.status) == (0, False, UNEXISTING)
    with pytest.raises(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    process.spawn()
    assert process.is_alive()


def test_a_code_is_known_before_it_is_collected_and_after(made: Any) -> None:
    process = made("sh -c 'exit 7'")
    wait_until(lambda: process.status == DEAD_OR_ZOMBIE)
    assert process.poll() == 7
    assert (process.status, process.poll()) == (UNEXISTING, 7)


def test_waiting_has_an_end(made: Any) -> None:
    with pytest.raises(psutil.TimeoutExpired):
        made("sleep 1000").wait(0.05)


def test_output_comes_through_pipes_unless_told_otherwise(made: Any) -> None:
    process = made("sh -c 'echo out; echo err >&2'", pipe_stdout=True, pipe_stderr=True)
    assert (process.stdout.read(), process.stderr.read()) == (b"out\n", b"err\n")
    process.wait(DEADLINE)
    process.close_output_channels()
    assert (process.stdout, process.stderr) == (None, None)


def test_text_is_expanded_and_the_environment_is_exactly_what_was_given(made: Any) -> None:
    process = made(
        "sh -c 'echo $(circus.wid) $(circus.env.NAME)-$NAME-$HOME' ", env={"NAME": "web"}, args=None, pipe_stdout=True
    )
    assert process.stdout.read() == b"1 web-web-\n"
    process.wait(DEADLINE)


def test_words_to_execute_can_be_asked_for(made: Any) -> None:
    assert made("echo 'a b'", args=["$(circus.wid)", "c"], spawn=False).format_args() == ["echo", "a b", "1", "c"]
    assert made("echo $X", shell=True, spawn=False).format_args() == ["echo $X"]


def test_limits_directory_and_user_are_in_force(made: Any, tmp_path: Path) -> None:
    program = "import os, resource; print(os.getcwd(), os.getuid(), resource.getrlimit(resource.RLIMIT_NOFILE)[0])"
    process = made(
        sys.executable, args=["-c", program], working_dir=str(tmp_path), rlimits={"nofile": 100}, pipe_stdout=True
    )
    assert process.stdout.read().decode().split() == [str(tmp_path), str(os.getuid()), "100"]
    process.wait(DEADLINE)


def test_what_cannot_be_started_is_an_error(made: Any) -> None:
    with pytest.raises(SpawnError, match="not found"):
        made("/no/such/program")


def test_children_are_found_and_signalled(made: Any) -> None:
    process = made("sh -c 'sleep 1000 & sleep 1000 & wait'")
    children = wait_until(lambda: len(found := process.children()) == 2 and found) or []
    assert process.is_child(children[0])
    assert not process.is_child(os.getpid())
    with pytest.raises(ProcessLookupError):
        process.send_signal_child(os.getpid(), signal.SIGTERM)
    process.send_signal_child(children[0], signal.SIGKILL)
    wait_until(lambda: not proc.alive(children[0]))
    process.send_signal_children(signal.SIGKILL)
    assert process.wait(DEADLINE) >= 0


def test_what_it_uses_is_told_in_the_form_of_0_19(made: Any) -> None:
    process = made("sh -c 'sleep 1000 & wait'")
    # A forked child is named after the shell until it has executed its own program.
    wait_until(lambda: [child["cmdline"] for child in process.info()["children"]] == ["sleep"])
    info = process.info()
    assert info["pid"] == process.pid
    assert info["wid"] == 1
    assert info["cmdline"] == "sh"
    assert info["mem_info1"][-1] in "BKMG"
    assert [child["cmdline"] for child in info["children"]] == ["sleep"]
    process.send_signal_children(signal.SIGKILL)
    process.wait(DEADLINE)
    assert process.info() == "No such process (stopped?)"


def test_programs_that_reached_for_the_worker_find_psutil(made: Any) -> None:
    process = made("sleep 1000")
    worker = process._worker
    assert isinstance(worker, psutil.Process)
    assert (worker.pid, worker.poll(), worker.returncode, worker.stdout) == (process.pid, None, None, None)
    assert worker.name() == "sleep"
    worker.terminate()
    assert worker.wait(DEADLINE) == -signal.SIGTERM


def test_a_subclass_may_say_other_words(made: Any) -> None:
    class Polite(Process):
        def format_args(self, sockets_fds: Any = None) -> list[str]:
            return ["echo", "please", *super().format_args(sockets_fds)]

    process = Polite("test", 1, "run", pipe_stderr=False)
    assert process.stdout is not None
    assert process.stdout.read() == b"please run\n"
    process.wait(DEADLINE)
    process.close_output_channels()
