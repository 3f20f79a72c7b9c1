"""An address that takes webhooks, for tests: everything that it gets is kept.

It can be told to refuse, to be slow, and to come back on the same port.
"""

from __future__ import annotations

import http.server
import json
import threading
import time
from dataclasses import dataclass
from typing import Any

from tests.helpers.waiting import wait_until


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request as it arrived; `answered` is the status that it got, `at` the monotonic time."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    answered: int
    at: float


class Webhooks:
    """On a port of its own. `answers` are (status, headers) for the requests to come, 200 when it is empty; `always` is
    one for all that follow.
    """

    def __init__(self, port: int = 0) -> None:
        self.answers: list[tuple[int, dict[str, str]]] = []
        self.always: int | None = None
        self.seconds = 0.0
        self.requests: list[Request] = []
        self._lock = threading.Lock()
        hooks = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                time.sleep(hooks.seconds)
                with hooks._lock:
                    status, headers = hooks.answers.pop(0) if hooks.answers else (hooks.always or 200, {})
                    told = {name.lower(): value for name, value in self.headers.items()}
                    hooks.requests.append(
                        Request(method=self.command, path=self.path, headers=told, body=body, answered=status,
                                at=time.monotonic())
                    )  # fmt: skip
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def do_GET(self) -> None:
                self.do_POST()

            def log_message(self, *_: Any) -> None: ...

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            allow_reuse_address = True

            def handle_error(self, *_: Any) -> None:
                """Who asked has left."""

        self._server = Server(("127.0.0.1", port), Handler)
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Nobody listens there any more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def documents(self) -> list[dict[str, Any]]:
        """The bodies of the requests that were taken."""
        with self._lock:
            return [json.loads(each.body) for each in self.requests if each.answered == 200 and each.body]

    def alerts(self, **labels: str) -> list[tuple[str, str, str | None, str | None]]:
        """(status, alertname, watcher, wid) of all alerts that were taken, in order, with these labels."""
        return [
            (each["status"], each["labels"]["alertname"], each["labels"].get("watcher"), each["labels"].get("wid"))
            for document in self.documents()
            for each in document["alerts"]
            if all(each["labels"].get(name) == value for name, value in labels.items())
        ]

    def wait_alerts(
        self, number: int, deadline: float = 30.0, **labels: str
    ) -> list[tuple[str, str, str | None, str | None]]:
        """`alerts` once there are so many."""
        wait_until(
            lambda: len(self.alerts(**labels)) >= number, deadline,
            what=lambda: f"{number} of {labels}; got {self.alerts()}, {len(self.requests)} requests",
        )  # fmt: skip
        return self.alerts(**labels)
