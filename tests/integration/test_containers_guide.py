"""The guide about containers: its entry point as process 1 of namespaces, on its configuration."""

from __future__ import annotations

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from tests.helpers import proc
from tests.helpers.daemon import REPOSITORY
from tests.helpers.session import read
from tests.helpers.waiting import DEADLINE, wait_until
from tests.integration.test_supervision_pid1 import NAMESPACE, namespaces

PAGE = (REPOSITORY / "docs/guides/containers.md").read_text()
INI = next(block.text for block in read(PAGE) if block.language == "ini")
DOCKERFILE = next(block.text for block in read(PAGE) if block.language == "dockerfile")
STUBBORN = "import signal, time\nsignal.signal(15, signal.SIG_IGN)\nprint('serving', flush=True)\ntime.sleep(1000)\n"

pytestmark = pytest.mark.skipif(not namespaces(), reason="making a pid namespace takes root and util-linux")


def words(instruction: str) -> list[str]:
    found = re.search(rf"^{instruction} (\[.*\])$", DOCKERFILE, re.MULTILINE)
    assert found is not None
    told: list[str] = json.loads(found[1])
    return told


class Container:
    def __init__(self, directory: pathlib.Path, migrate: str) -> None:
        self.directory = directory
        (directory / "circus.ini").write_text(INI.replace("host = 0.0.0.0", "host = 127.0.0.1\nport = 0"))
        (directory / "web.py").write_text(STUBBORN)
        (directory / "migrate.py").write_text(migrate)
        path = f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}"
        self.env = {**os.environ, "PATH": path, "CIRCUS_RUNTIME_DIR": str(directory / "run")}
        self.output = directory / "output"
        with self.output.open("wb") as out:
            self.process = subprocess.Popen(
                [*NAMESPACE, *words("ENTRYPOINT")], cwd=directory, env=self.env, stdout=out, stderr=out
            )

    @property
    def first(self) -> int:
        return next(iter(wait_until(lambda: proc.children(self.process.pid), what=self.output.read_text)))

    def said(self) -> list[str]:
        return self.output.read_text().splitlines()


@pytest.fixture
def directory(tmp_path: pathlib.Path) -> Iterator[pathlib.Path]:
    (tmp_path / "run").mkdir(mode=0o700)
    short = pathlib.Path(f"/tmp/circus-c{os.getpid()}")
    short.symlink_to(tmp_path)
    yield short
    short.unlink()


def test_it_ends_in_time_and_says_what_it_killed(directory: pathlib.Path) -> None:
    container = Container(directory, "print('migrated')")
    wait_until(lambda: container.said().count("serving") == 2 and "migrated" in container.said())
    assert re.search(r"^NSpid:\s+\d+\s+1$", pathlib.Path(f"/proc/{container.first}/status").read_text(), re.MULTILINE)
    healthy = subprocess.run(words("HEALTHCHECK CMD"), cwd=directory, env=container.env, capture_output=True, text=True)
    assert (healthy.returncode, healthy.stdout) == (0, "3\n")
    began = time.monotonic()
    os.kill(container.first, signal.SIGTERM)
    assert container.process.wait(2 * DEADLINE) == 0
    assert time.monotonic() - began >= 7.9
    assert [line for line in container.said() if "shutdown_timeout of 8.0 s is over" in line and "web" in line]


def test_what_fails_is_the_status_of_the_container(directory: pathlib.Path) -> None:
    container = Container(directory, "raise SystemExit(7)")
    assert container.process.wait(2 * DEADLINE) == 7
