"""A real Alertmanager that passes on what it gets to a webhook, on a port of its own choice or a given one."""

from __future__ import annotations

import json
import pathlib
import subprocess
from typing import Any, Self

from tests.helpers import real
from tests.helpers.ports import wait_listening
from tests.helpers.prometheus import get
from tests.helpers.waiting import DEADLINE, wait_until

CONFIG = """\
route:
  receiver: hook
  group_by: [alertname, watcher, wid]
  group_wait: 10ms
  group_interval: 1s
  repeat_interval: 4h
receivers:
  - name: hook
    webhook_configs:
      - url: {url}
        send_resolved: true
"""


class Alertmanager:
    """One server, which sends to `url`."""

    def __init__(self, directory: pathlib.Path, url: str, port: int = 0) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._port = port
        (directory / "alertmanager.yml").write_text(CONFIG.format(url=url))
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""

    def __enter__(self) -> Self:
        program = real.program("prometheus-alertmanager", "prometheus-alertmanager")
        log = self._directory / "alertmanager.log"
        with log.open("ab") as file:
            self._process = subprocess.Popen(
                [
                    program,
                    f"--config.file={self._directory / 'alertmanager.yml'}",
                    f"--storage.path={self._directory / 'data'}",
                    f"--web.listen-address=127.0.0.1:{self._port}",
                    "--cluster.listen-address=",
                ],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
            )
        self.url = f"http://127.0.0.1:{wait_listening(self._process.pid)}"
        wait_until(self._ready, what=log.read_text)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.terminate()
        try:
            self._process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it at once."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def alerts(self) -> list[dict[str, Any]]:
        """What it takes for active."""
        _, _, text = get(f"{self.url}/api/v2/alerts?active=true")
        found: list[dict[str, Any]] = json.loads(text)
        return found

    def _ready(self) -> bool:
        try:
            return get(f"{self.url}/-/ready", 1.0)[0] == 200
        except OSError:
            return False
