"""The tutorial is run as it is written: files are saved, commands typed, and what they print is what the page shows."""

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

PAGE = REPOSITORY / "docs/tutorials/first-app.md"
DAEMON = "circusd circus.ini"
FILES = {"python": "hello.py", "ini": "circus.ini"}


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl: apt install curl")
def test_the_first_tutorial_works_as_it_is_written(tmp_path: pathlib.Path) -> None:
    with reserved_port() as web, reserved_port() as metrics, tempfile.TemporaryDirectory(prefix="circus-") as runtime:
        page = PAGE.read_text().replace("8080", str(web)).replace("9464", str(metrics))
        for kind, text in blocks(page):
            if kind in FILES:
                (tmp_path / FILES[kind]).write_text(text)
        path = f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}"
        env = {**os.environ, "PATH": path, "CIRCUS_RUNTIME_DIR": runtime}
        daemon: subprocess.Popen[bytes] | None = None

        try:
            for command, shown in steps(page):
                if command == DAEMON:
                    daemon = subprocess.Popen(DAEMON.split(), cwd=tmp_path, env=env, stderr=subprocess.DEVNULL)
                    wait_until(lambda: "active" in _status(tmp_path, env))
                    continue
                type_in(command, shown, tmp_path, env)
            assert daemon is not None
            assert daemon.wait(DEADLINE) == 0
        finally:
            if daemon is not None and daemon.poll() is None:
                daemon.send_signal(signal.SIGTERM)
                daemon.wait(DEADLINE)


def _status(directory: pathlib.Path, env: dict[str, str]) -> str:
    done = subprocess.run(["circusctl", "status"], cwd=directory, env=env, capture_output=True, text=True)
    return done.stdout
