"""The tutorial is run as it is written: files are saved, commands typed, and what they print is what the page shows."""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator

import pytest

from tests.helpers.daemon import REPOSITORY
from tests.helpers.ports import reserved_port
from tests.helpers.waiting import DEADLINE, wait_until

PAGE = REPOSITORY / "docs/tutorials/first-app.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
DAEMON = "circusd circus.ini"
FILES = {"python": "hello.py", "ini": "circus.ini"}


def steps(page: str) -> Iterator[tuple[str, list[str]]]:
    """The commands of the page with the lines shown below each."""
    for kind, text in BLOCK.findall(page):
        if kind == "console":
            for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
                command, *shown = part.splitlines()
                yield command, shown


def without_numbers(line: str) -> str:
    """A line as it is each time: numbers differ, and what follows an ellipsis is not shown."""
    return re.sub(r"[\d.]+", "N", re.sub(r" +", " ", line)).partition("…")[0].strip()


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl: apt install curl")
def test_the_first_tutorial_works_as_it_is_written(tmp_path: pathlib.Path) -> None:
    with reserved_port() as web, reserved_port() as metrics, tempfile.TemporaryDirectory(prefix="circus-") as runtime:
        page = PAGE.read_text().replace("8080", str(web)).replace("9464", str(metrics))
        for kind, text in BLOCK.findall(page):
            if kind in FILES:
                (tmp_path / FILES[kind]).write_text(text)
        path = f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}"
        env = {**os.environ, "PATH": path, "CIRCUS_RUNTIME_DIR": runtime}
        daemon: subprocess.Popen[bytes] | None = None

        def type_in(command: str) -> str:
            done = subprocess.run(
                ["bash", "-c", command], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=DEADLINE
            )
            assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
            return done.stdout

        try:
            for command, shown in steps(page):
                if command == DAEMON:
                    daemon = subprocess.Popen(DAEMON.split(), cwd=tmp_path, env=env, stderr=subprocess.DEVNULL)
                    wait_until(lambda: "active" in _status(tmp_path, env))
                    continue
                wanted = [without_numbers(line) for line in shown if without_numbers(line)]
                printed = [without_numbers(line) for line in type_in(command).splitlines()]
                for line in wanted:
                    assert any(other.startswith(line) for other in printed), f"{command}: no {line!r} in {printed}"
            assert daemon is not None
            assert daemon.wait(DEADLINE) == 0
        finally:
            if daemon is not None and daemon.poll() is None:
                daemon.send_signal(signal.SIGTERM)
                daemon.wait(DEADLINE)


def _status(directory: pathlib.Path, env: dict[str, str]) -> str:
    done = subprocess.run(["circusctl", "status"], cwd=directory, env=env, capture_output=True, text=True)
    return done.stdout
