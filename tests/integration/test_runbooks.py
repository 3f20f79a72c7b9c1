"""What the runbooks say to type can be typed: every command on them, on a real daemon."""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.helpers.daemon import REPOSITORY, Daemon
from tests.helpers.metrics import scrape
from tests.helpers.page import steps
from tests.helpers.ports import reserved_port
from tests.helpers.waiting import DEADLINE, wait_until

PAGES = sorted((REPOSITORY / "docs/runbooks").glob("*.md"))
INLINE = re.compile(r"`(circusctl [^`]+|circusd --check [^`]+)`", re.DOTALL)
LEFT_TO_PEOPLE = ("--ssh", "SEQ")
INI = """
[exporter:prometheus]
port = {port}

[exporter:otlp]
endpoint = http://127.0.0.1:9

[watcher:web]
cmd = sh -c 'echo hello; exec sleep 1000'
numprocesses = 2
capture = True

[alert:down]

[notify:ops]
type = exec
cmd = cat
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """Where somebody sits who was woken."""

    daemon: Daemon
    port: int

    def type_in(self, command: str) -> None:
        pid = wait_until(lambda: self.daemon.pids("web"))[0] if "PID" in command else 0
        words = command.replace("PID", str(pid)).replace("127.0.0.1:9464", f"127.0.0.1:{self.port}")
        words = words.replace("NAME", "down" if "test-alert" in command else "web")
        path = f"{pathlib.Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        env = {**os.environ, "CIRCUSCTL_ENDPOINT": self.daemon.endpoint, "PATH": path}
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", words],
            cwd=self.daemon.directory, env=env, capture_output=True, text=True, timeout=DEADLINE * 2,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"


@pytest.fixture(scope="module")
def host(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with reserved_port() as port:
        daemon = Daemon(INI.format(port=port), tmp_path_factory.mktemp("host"))
        request.node._daemons = [daemon]
        try:
            daemon.start()
            wait_until(
                lambda: (page := scrape(port)) is not None and page.value("circus_sample_interval_seconds"),
                what=daemon.log_text,
            )
            yield Host(daemon=daemon, port=port)
        finally:
            assert not daemon.stop()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_a_runbook_says_can_be_typed(host: Host, page: pathlib.Path) -> None:
    text = page.read_text()
    typed = [command for command, _ in steps(text)]
    assert len(typed) == (0 if page.stem == "index" else 3)
    typed += [" ".join(command.split()) for command in INLINE.findall(text)]
    host.daemon.ok("start", waiting=True)
    wait_until(lambda: scrape(host.port), what=host.daemon.log_text)  # a page before this may have restarted it
    if "circusctl why" in text:
        host.daemon.ok("kill", name="web", waiting=True)
    for command in typed:
        if not any(words in command for words in LEFT_TO_PEOPLE):
            host.type_in(command)
