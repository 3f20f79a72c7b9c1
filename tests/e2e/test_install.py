"""What the first tutorial says about installing is typed in, in a copy of the checkout."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sysconfig

from tests.helpers import session
from tests.helpers.daemon import REPOSITORY

PATIENCE = 300.0
PAGE = REPOSITORY / "docs/tutorials/first-app.md"


def test_the_commands_that_install_circus_install_its_programs(tmp_path: pathlib.Path) -> None:
    block = next(block for block in session.read(PAGE.read_text()) if block.language == "sh")
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    for name in ("circus", "exporters", "README.md", "LICENSE", "pyproject.toml"):
        (checkout / name).symlink_to(REPOSITORY / name)
    # What Circus depends on is here already, so that no registry is asked.
    env = {
        **os.environ,
        "PYTHONPATH": sysconfig.get_path("purelib"),
        "PIP_NO_BUILD_ISOLATION": "0",
        "PIP_NO_INDEX": "1",
    }
    script = f"set -e\n{block.text}\ncommand -v circusctl\ncircusctl --version\nls venv/bin\n"
    done = subprocess.run(
        ["bash", "-c", script], cwd=checkout, env=env, capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stdout + done.stderr
    there = done.stdout.split()
    assert str(checkout / "venv/bin/circusctl") in there
    assert "circusctl 1." in done.stdout
    assert {"circusd", "circusctl", "circus-top", "circus-exporter", "circus-plugin", "circusd-stats"} <= set(there)
