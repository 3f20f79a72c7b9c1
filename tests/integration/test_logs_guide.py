"""The guide about logs is run as it is written: its configuration, its commands and its class."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys
import tempfile

from tests.helpers.daemon import REPOSITORY
from tests.helpers.page import blocks, steps, type_in
from tests.helpers.waiting import DEADLINE, wait_until

PAGE = (REPOSITORY / "docs/guides/logs.md").read_text()


def test_the_guide_works_as_it_is_written(tmp_path: pathlib.Path) -> None:
    (ini,) = (text for kind, text in blocks(PAGE) if kind == "ini")
    (own,) = (text for kind, text in blocks(PAGE) if kind == "python")
    (tmp_path / "circus.ini").write_text(
        f"{ini}\n[watcher:loud]\ncmd = sh -c 'echo hello; exec sleep 1000'\nstdout_stream.class = shouting.Shouting\n"
    )
    (tmp_path / "shouting.py").write_text(own)
    log = tmp_path / "web.log"
    with tempfile.TemporaryDirectory(prefix="circus-") as runtime, (tmp_path / "circusd.log").open("wb") as said:
        path = f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}"
        env = {**os.environ, "PATH": path, "CIRCUS_RUNTIME_DIR": runtime, "PYTHONPATH": str(tmp_path)}
        daemon = subprocess.Popen(["circusd", "circus.ini"], cwd=tmp_path, env=env, stdout=said, stderr=said)
        try:
            wait_until(lambda: log.exists() and len(log.read_text().splitlines()) > 20)
            for command, shown in steps(PAGE):
                type_in(command, shown, tmp_path, env)
            wait_until(lambda: (tmp_path / "shouts").read_text() == "HELLO\n")
        finally:
            daemon.send_signal(signal.SIGTERM)
            daemon.wait(DEADLINE)
    assert "\nhello\n" in (tmp_path / "circusd.log").read_text()
    assert (tmp_path / "web.log.moved").read_text().endswith("\n")
