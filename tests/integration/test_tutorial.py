"""The tutorials are run as they are written: files are saved, commands typed, and what they print is what the page shows."""

from __future__ import annotations

import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile

import pytest

from tests.helpers.daemon import REPOSITORY
from tests.helpers.page import blocks, steps, type_in
from tests.helpers.ports import reserved_port
from tests.helpers.waiting import DEADLINE, wait_until

DAEMON = "circusd circus.ini"
TUTORIALS = REPOSITORY / "docs/tutorials"


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl: apt install curl")
def test_the_first_tutorial_works_as_it_is_written(tmp_path: pathlib.Path) -> None:
    page = (TUTORIALS / "first-app.md").read_text()
    with reserved_port() as web, reserved_port() as metrics:
        page = page.replace("8080", str(web)).replace("9464", str(metrics))
        follow(page, tmp_path, {"python": ["hello.py"], "ini": ["circus.ini"]})


def test_the_tutorial_about_plugins_works_as_it_is_written(tmp_path: pathlib.Path) -> None:
    page = (TUTORIALS / "my-own-plugin.md").read_text()
    follow(page, tmp_path, {"python": ["diary.py", "counter.py"], "ini": ["circus.ini"]})


def follow(page: str, directory: pathlib.Path, names: dict[str, list[str]]) -> None:
    """Save the blocks of code under these names, in order, and type the commands in; the page ends with circusd."""
    files = {kind: iter(these) for kind, these in names.items()}
    for kind, text in blocks(page):
        if kind in files and (name := next(files[kind], None)) is not None:
            (directory / name).write_text(text)
    with tempfile.TemporaryDirectory(prefix="circus-") as runtime:
        path = f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}"
        env = {**os.environ, "PATH": path, "CIRCUS_RUNTIME_DIR": runtime}
        daemon: subprocess.Popen[bytes] | None = None
        try:
            for command, shown in steps(page):
                if command.endswith(DAEMON):
                    settings = dict(word.split("=", 1) for word in command.removesuffix(DAEMON).split())
                    daemon = subprocess.Popen(
                        DAEMON.split(), cwd=directory, env=env | settings, stderr=subprocess.DEVNULL
                    )
                    wait_until(lambda: "active" in _status(directory, env))
                    continue
                type_in(command, shown, directory, env)
            assert daemon is not None
            assert daemon.wait(DEADLINE) == 0
        finally:
            if daemon is not None and daemon.poll() is None:
                daemon.send_signal(signal.SIGTERM)
                daemon.wait(DEADLINE)


def _status(directory: pathlib.Path, env: dict[str, str]) -> str:
    done = subprocess.run(["circusctl", "status"], cwd=directory, env=env, capture_output=True, text=True)
    return done.stdout
