"""A real Alertmanager on a port of its own choice, and a webhook that keeps what it is told."""

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


class Alertmanager:
    """One server. `cluster` is the address that it has among others, alone without; `peers` are addresses of others."""

    def __init__(self, directory: pathlib.Path, config: str, *, cluster: str = "", peers: Sequence[str] = ()) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        (directory / "alertmanager.yml").write_text(config)
        self._words = [f"--cluster.listen-address={cluster}", *(f"--cluster.peer={peer}" for peer in peers)]
        if cluster:
            self._words += [f"--cluster.advertise-address={cluster}", "--cluster.settle-timeout=5s"]
            self._words += ["--cluster.peer-timeout=3s", "--cluster.probe-interval=500ms"]
        self._cluster = int(cluster.rpartition(":")[2] or 0)
        self._process: subprocess.Popen[bytes] | None = None
        self.address = ""

    def __enter__(self) -> Self:
        program = real.program("prometheus-alertmanager", "prometheus-alertmanager")
        with (self._directory / "alertmanager.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    program,
                    f"--config.file={self._directory / 'alertmanager.yml'}",
                    f"--storage.path={self._directory / 'data'}",
                    "--web.listen-address=127.0.0.1:0",
                    *self._words,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            wait_until(self._ready, what=(self._directory / "alertmanager.log").read_text)
        except BaseException:
            self.end()
            raise
        return self

    def _ready(self) -> bool:
        """Its address is the port that does not belong to the cluster."""
        assert self._process is not None
        for port in listening_ports(self._process.pid):
            self.address = f"127.0.0.1:{port}"
            if port != self._cluster:
                with contextlib.suppress(OSError):
                    return get(f"http://{self.address}/-/ready", 1.0)[0] == 200
        return False

    def end(self) -> None:
        """SIGKILL, as if the machine had gone."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.terminate()
        try:
            self._process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            self.end()

    def _ask(self, path: str) -> Any:
        return json.loads(get(f"http://{self.address}/api/v2/{path}")[2])

    def alerts(self) -> list[dict[str, Any]]:
        """What it knows to fire, inhibited ones included."""
        found: list[dict[str, Any]] = self._ask("alerts")
        return found

    def looked(self) -> float:
        """How often it has looked whether it, or another member of its cluster, has told something already."""
        page = get(f"http://{self.address}/metrics")[2]
        return next(
            sample.value
            for family in text_string_to_metric_families(page)
            for sample in family.samples
            if sample.name == "alertmanager_nflog_queries_total"
        )

    def members(self) -> int:
        """How many there are in its cluster, itself included."""
        return len(self._ask("status")["cluster"].get("peers", ()))


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
