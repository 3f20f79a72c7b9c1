"""A real Alertmanager that passes on what it gets to a webhook, on a port of its own choice or a given one, alone or as one
of a cluster; and a webhook that keeps what it is told.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import pathlib
import subprocess
import threading
from collections.abc import Sequence
from typing import Any, Self

from prometheus_client.parser import text_string_to_metric_families

from tests.helpers import real
from tests.helpers.ports import listening_ports
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
    """One server, which sends to `url`, or does what the text of a whole `config` says. `cluster` is the address that it has
    among others; `peers` are those of the others.
    """

    def __init__(
        self,
        directory: pathlib.Path,
        url: str = "",
        port: int = 0,
        *,
        config: str | None = None,
        cluster: str = "",
        peers: Sequence[str] = (),
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._port = port
        (directory / "alertmanager.yml").write_text(config or CONFIG.format(url=url))
        self._cluster = int(cluster.rpartition(":")[2] or 0)
        self._words = [f"--cluster.listen-address={cluster}", *(f"--cluster.peer={peer}" for peer in peers)]
        if cluster:
            self._words += [f"--cluster.advertise-address={cluster}", "--cluster.settle-timeout=5s"]
            self._words += ["--cluster.peer-timeout=3s", "--cluster.probe-interval=500ms"]
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
                    *self._words,
                ],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
            )
        try:
            wait_until(self._ready, what=log.read_text)
        except BaseException:
            self.kill()
            raise
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
        """Its address is the port that does not belong to the cluster."""
        assert self._process is not None
        for port in listening_ports(self._process.pid):
            if port != self._cluster:
                self.url = f"http://127.0.0.1:{port}"
                with contextlib.suppress(OSError):
                    return get(f"{self.url}/-/ready", 1.0)[0] == 200
        return False

    @property
    def address(self) -> str:
        """Where Prometheus sends to."""
        return self.url.removeprefix("http://")

    def looked(self) -> float:
        """How often it has looked whether it, or another member of its cluster, has told something already."""
        page = get(f"{self.url}/metrics")[2]
        return next(
            sample.value
            for family in text_string_to_metric_families(page)
            for sample in family.samples
            if sample.name == "alertmanager_nflog_queries_total"
        )

    def members(self) -> int:
        """How many there are in its cluster, itself included."""
        return len(json.loads(get(f"{self.url}/api/v2/status")[2])["cluster"].get("peers", ()))


class Webhook:
    """Takes what Alertmanager posts, on any path. `told` are the single alerts, in the order of their arrival."""

    def __init__(self) -> None:
        told: list[tuple[str, dict[str, Any]]] = []
        self.told = told

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                told.extend((self.path, alert) for alert in body["alerts"])
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="webhook")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def names(self, status: str) -> set[tuple[str, str]]:
        """(alert, watcher or nothing) of those that were told with a status, `firing` or `resolved`."""
        return {
            (alert["labels"]["alertname"], alert["labels"].get("watcher", ""))
            for _, alert in list(self.told)
            if alert["status"] == status
        }
