"""A way to a page that lets only plain text through, because Prometheus cannot be told not to ask for OpenMetrics."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.helpers.prometheus import get


@contextmanager
def text_only(port: int) -> Iterator[int]:
    """The port of a server that fetches its pages from another port of this machine, as text."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            try:
                status, kind, text = get(f"http://127.0.0.1:{port}{self.path}", accept="text/plain")
            except OSError:
                self.send_error(502)
                return
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()
