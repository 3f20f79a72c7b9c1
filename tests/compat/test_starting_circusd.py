"""How circusd begins and ends, or does not: output and status of 0.19.0 and of ours for the same command lines.

What differs must be in starting.toml with its reason, and what is there must still differ.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import pytest
import zmq

from tests.helpers import differences, proc, real
from tests.helpers.channels import Caller
from tests.helpers.daemon import script
from tests.helpers.differences import Difference
from tests.helpers.old_circus import clean_environment
from tests.helpers.waiting import DEADLINE, wait_until

pytestmark = pytest.mark.real

KNOWN = differences.entries(pathlib.Path(__file__).with_name("starting.toml"))


class Case(NamedTuple):
    """A command line, and what lies where it is run. In the texts `{taken}` is a port that somebody has."""

    words: str
    ini: str = ""
    files: tuple[tuple[str, str], ...] = ()


CASES = {
    "version": Case("--version"),
    "no configuration": Case(""),
    "a configuration that is not there": Case("nowhere.ini"),
    "an unknown option": Case("--nonsense"),
    "a level that is none": Case("--log-level loud circus.ini"),
    "text before any section": Case("circus.ini", "cmd = sleep 1\n"),
    "a line that is nothing": Case("circus.ini", "[watcher:w]\nnonsense\n"),
    "a number that is none": Case("circus.ini", "[watcher:w]\ncmd = sleep 1\nnumprocesses = many\n"),
    "a boolean that is none": Case("circus.ini", "[watcher:w]\ncmd = sleep 1\nshell = maybe\n"),
    "a signal that is none": Case("circus.ini", "[watcher:w]\ncmd = sleep 1\nstop_signal = NOTHING\n"),
    "a plugin that is not there": Case("circus.ini", "[plugin:p]\nuse = nowhere.at.All\n"),
    "a pid file of somebody who lives": Case("--pidfile here.pid circus.ini", files=(("here.pid", "{pid}\n"),)),
    "a pid file in no directory": Case("--pidfile nowhere/here.pid circus.ini"),
    "a logger file of no kind": Case("--logger-config some.txt circus.ini", files=(("some.txt", ""),)),
    "an endpoint that is taken": Case("circus.ini", "[circus]\nendpoint = tcp://127.0.0.1:{taken}\n"),
    "a socket that is taken": Case("circus.ini", "[socket:s]\nhost = 127.0.0.1\nport = {taken}\n"),
    "a path that is taken": Case("circus.ini", "[socket:s]\npath = here.sock\n", (("here.sock", ""),)),
    "a web console that is not there": Case("circus.ini", "[circus]\nhttpd = True\n"),
}  # fmt: skip


def ran(case: Case, program: str, directory: pathlib.Path, taken: int) -> dict[str, str]:
    """What there was to see: the status, and whether anything was said, on what, and whether it was a traceback."""
    directory.mkdir(parents=True)
    known = {"{taken}": str(taken), "{pid}": str(os.getpid())}

    def filled(text: str) -> str:
        for word, value in known.items():
            text = text.replace(word, value)
        return text

    channels = f"endpoint = ipc://{directory}/c\npubsub_endpoint = ipc://{directory}/e\nmulticast_endpoint =\n"
    (directory / "circus.ini").write_text(filled(case.ini) + "\n[circus]\n" + channels)
    for name, text in case.files:
        (directory / name).write_text(filled(text))
    with contextlib.ExitStack() as after:
        process = subprocess.Popen(
            [program, *case.words.split()],
            cwd=directory,
            env={**clean_environment(), "PYTHONWARNINGS": "ignore", "COLUMNS": "200"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
        )
        after.callback(_ended, process)
        if runs := _answers(process, f"ipc://{directory}/c"):
            process.terminate()
        out, err = process.communicate(timeout=DEADLINE)
    lines = [line for line in err.splitlines() if not line.startswith("20") or "[INFO]" not in line]
    return {
        "status": "runs" if runs else str(process.returncode),
        "out": out.strip().replace(str(directory), "DIR").replace(str(os.getpid()), "PID").partition("\n")[0],
        "errors": "a traceback" if "Traceback" in err else "a line" if lines else "",
    }


def _answers(process: subprocess.Popen[str], endpoint: str) -> bool:
    """Whether it comes to answer; False when it ends instead."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context(io_threads=1)
    try:
        with Caller(endpoint, context) as caller:
            caller.send_raw(b'{"command": "numwatchers"}')
            return wait_until(lambda: (caller.receive_raw(0.02) and "yes") or process.poll() is not None) == "yes"
    finally:
        context.destroy(linger=0)


def _ended(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        proc.end(process.pid)


@pytest.fixture(scope="module")
def found() -> Iterator[list[Difference]]:
    old, new = real.old_circus("circusd"), script("circusd")
    directory = pathlib.Path(tempfile.mkdtemp(prefix="circus-"))
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(4) as pool:
        taken = server.getsockname()[1]
        begun = {
            name: [
                pool.submit(ran, case, program, directory / f"{number}{side}", taken)
                for side, program in (("o", old), ("n", new))
            ]
            for number, (name, case) in enumerate(CASES.items())
        }
        told = {name: [each.result() for each in pair] for name, pair in begun.items()}
    yield [
        Difference(script="circusd", step=name, path=what, old=was[what], new=now[what])
        for name, (was, now) in told.items()
        for what in was
        if was[what] != now[what]
    ]
    shutil.rmtree(directory)


def test_circusd_begins_and_ends_as_before(found: list[Difference]) -> None:
    told = "\n".join(str(one) for one in found if not any(entry.explains(one) for entry in KNOWN))
    assert not told, told


def test_every_listed_difference_is_still_there(found: list[Difference]) -> None:
    stale = [entry for entry in KNOWN if not any(map(entry.explains, found))]
    assert not stale, "does not differ any more:\n" + "\n".join(map(str, stale))
