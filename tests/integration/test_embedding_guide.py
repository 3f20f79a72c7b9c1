"""The guide to embedding is run as it is written: programs are saved, started, and print what the page shows."""

from __future__ import annotations

import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile

import pytest

from tests.helpers.daemon import REPOSITORY
from tests.helpers.page import steps, type_in
from tests.helpers.waiting import DEADLINE, wait_until

PAGE = REPOSITORY / "docs/guides/embedding.md"
SECTION = re.compile(r"^## (.+?)$(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
PROGRAM = re.compile(r"`(\w+\.py)`:\n\n```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SECTIONS = dict(SECTION.findall(PAGE.read_text()))
RUN = [title for title, text in SECTIONS.items() if PROGRAM.search(text)]


def test_every_program_of_the_page_is_run() -> None:
    assert len(RUN) == PAGE.read_text().count("```python")
    assert all(list(steps(SECTIONS[title])) for title in RUN)


@pytest.mark.parametrize("title", RUN)
def test_a_program_of_the_page_does_what_is_shown(title: str, tmp_path: pathlib.Path) -> None:
    with tempfile.TemporaryDirectory(prefix="circus-") as runtime:
        for file, text in PROGRAM.findall(SECTIONS[title]):
            (tmp_path / file).write_text(text)
        path = f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}"
        env = {**os.environ, "PATH": path, "CIRCUS_RUNTIME_DIR": runtime}
        background: subprocess.Popen[bytes] | None = None
        try:
            for command, shown in steps(SECTIONS[title]):
                if command.endswith(" &"):
                    background = subprocess.Popen(command.removesuffix(" &").split(), cwd=tmp_path, env=env)
                    wait_until(lambda: "active" in _status(tmp_path, env))
                else:
                    type_in(command, shown, tmp_path, env)
            assert background is None or background.wait(DEADLINE) == 0
        finally:
            if background is not None and background.poll() is None:
                background.send_signal(signal.SIGTERM)
                background.wait(DEADLINE)


def _status(directory: pathlib.Path, env: dict[str, str]) -> str:
    command = ["circusctl", "--timeout", "1", "status"]
    done = subprocess.run(command, cwd=directory, env=env, capture_output=True, text=True)
    return done.stdout
