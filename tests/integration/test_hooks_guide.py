"""The guide about hooks is run as it is written."""

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

PAGE = (REPOSITORY / "docs/guides/hooks.md").read_text()


def test_the_guide_works_as_it_is_written(tmp_path: pathlib.Path) -> None:
    (ini,) = (text for kind, text in blocks(PAGE) if kind == "ini")
    (code,) = (text for kind, text in blocks(PAGE) if kind == "python")
    (tmp_path / "circus.ini").write_text(ini)
    (tmp_path / "checks.py").write_text(code)
    log = tmp_path / "circusd.log"
    with tempfile.TemporaryDirectory(prefix="circus-") as runtime, log.open("wb") as said:
        path = f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}"
        env = {**os.environ, "PATH": path, "CIRCUS_RUNTIME_DIR": runtime}
        daemon = subprocess.Popen(
            ["circusd", "circus.ini"], cwd=tmp_path, env={**env, "PYTHONPATH": "."}, stdout=said, stderr=said
        )
        try:
            wait_until(lambda: b"its hook before_start said no" in log.read_bytes())
            for command, shown in steps(PAGE):
                type_in(command, shown, tmp_path, env)
        finally:
            daemon.send_signal(signal.SIGTERM)
            daemon.wait(DEADLINE)
