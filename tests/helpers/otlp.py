"""A collector that takes OTLP over HTTP and gRPC, for tests: everything that it gets is parsed and kept.

It can be told to refuse, to be silent, and to come back on the same port.
"""

from __future__ import annotations

import contextlib
import gzip
import http.server
import socket
import threading
from collections.abc import Iterable
from concurrent import futures
from dataclasses import dataclass
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from tests.helpers.waiting import wait_until


def _plain(attributes: Iterable[Any]) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}


@dataclass(frozen=True, slots=True, kw_only=True)
class Got:
    """A span as it arrived; times in nanoseconds, ids in hex."""

    trace: str
    span: str
    parent: str
    name: str
    start: int
    end: int
    kind: int
    attributes: dict[str, Any]
    links: list[tuple[str, str]]
    error: str | None
    resource: dict[str, Any]

    @property
    def watcher(self) -> str | None:
        return self.attributes.get("circus.watcher.name")

    @property
    def wid(self) -> int | None:
        return self.attributes.get("circus.process.wid")


class Collected:
    """What arrived, by whichever protocol."""

    def __init__(self) -> None:
        self.spans: list[Got] = []
        self.metrics: list[ExportMetricsServiceRequest] = []
        self.headers: list[dict[str, str]] = []
        self.requests = 0
        self._lock = threading.Lock()

    def take_traces(self, request: ExportTraceServiceRequest) -> None:
        with self._lock:
            self.requests += 1
            for resource in request.resource_spans:
                of = _plain(resource.resource.attributes)
                for span in (each for scope in resource.scope_spans for each in scope.spans):
                    self.spans.append(
                        Got(
                            trace=span.trace_id.hex(), span=span.span_id.hex(), parent=span.parent_span_id.hex(),
                            name=span.name, start=span.start_time_unix_nano, end=span.end_time_unix_nano,
                            kind=span.kind, attributes=_plain(span.attributes),
                            links=[(link.trace_id.hex(), link.span_id.hex()) for link in span.links],
                            error=span.status.message if span.status.code == 2 else None, resource=of,
                        )
                    )  # fmt: skip

    def take_metrics(self, request: ExportMetricsServiceRequest) -> None:
        with self._lock:
            self.metrics.append(request)

    def named(self, name: str, **attributes: Any) -> list[Got]:
        """Spans of a name, each id once, with these values of `watcher`, `wid` and the like."""
        found = {
            (span.trace, span.span): span
            for span in list(self.spans)
            if span.name == name and all(getattr(span, key) == value for key, value in attributes.items())
        }
        return list(found.values())

    def wait_named(self, name: str, number: int = 1, **attributes: Any) -> list[Got]:
        wait_until(
            lambda: len(self.named(name, **attributes)) >= number,
            what=lambda: f"{number} of {name} {attributes}; got {sorted({span.name for span in self.spans})}",
        )
        return self.named(name, **attributes)

    def tree(self, root: Got) -> Any:
        """(name, [children]) of a span and what is below it, in the order of their beginning."""
        below = {(span.trace, span.span): span for span in list(self.spans) if span.trace == root.trace}
        children = sorted((each for each in below.values() if each.parent == root.span), key=lambda each: each.start)
        return root.name, [self.tree(child) for child in children]


class HttpSink(Collected):
    """On a port of its own. `answers` are (status, headers) for the requests to come, 200 when it is empty."""

    def __init__(self, port: int = 0) -> None:
        super().__init__()
        self.answers: list[tuple[int, dict[str, str]]] = []
        self.rejects = 0
        self._connections: list[socket.socket] = []
        sink = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                sink.headers.append({name.lower(): value for name, value in self.headers.items()})
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                status, headers = sink.answers.pop(0) if sink.answers else (200, {})
                answer = b"go away"
                if status == 200 and self.path == "/v1/traces":
                    sink.take_traces(ExportTraceServiceRequest.FromString(body))
                    told = ExportTraceServiceResponse()
                    told.partial_success.rejected_spans, sink.rejects = sink.rejects, 0
                    answer = told.SerializeToString()
                elif status == 200 and self.path == "/v1/metrics":
                    sink.take_metrics(ExportMetricsServiceRequest.FromString(body))
                    answer = ExportMetricsServiceResponse().SerializeToString()
                elif status == 200:
                    status = 404
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            allow_reuse_address = True

            def process_request(self, request: Any, client_address: Any) -> None:
                sink._connections.append(request)
                super().process_request(request, client_address)

        self._server = Server(("127.0.0.1", port), Handler)
        self.port: int = self._server.server_address[1]
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        for connection in self._connections:  # a kept connection would go on being served
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class GrpcSink(Collected):
    """On a port of its own; `codes` are the names of errors for the requests to come."""

    def __init__(self) -> None:
        super().__init__()
        import grpc
        from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2_grpc as metric_stubs
        from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as stubs

        self.codes: list[str] = []
        sink = self

        class Service(stubs.TraceServiceServicer):
            def Export(self, request: ExportTraceServiceRequest, context: Any) -> ExportTraceServiceResponse:
                if sink.codes:
                    context.abort(grpc.StatusCode[sink.codes.pop(0)], "go away")
                sink.take_traces(request)
                return ExportTraceServiceResponse()

        class Metrics(metric_stubs.MetricsServiceServicer):
            def Export(self, request: ExportMetricsServiceRequest, context: Any) -> ExportMetricsServiceResponse:
                sink.take_metrics(request)
                return ExportMetricsServiceResponse()

        self._server = grpc.server(futures.ThreadPoolExecutor(max_workers=2))
        stubs.add_TraceServiceServicer_to_server(Service(), self._server)
        metric_stubs.add_MetricsServiceServicer_to_server(Metrics(), self._server)
        self.port: int = self._server.add_insecure_port("127.0.0.1:0")
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self._server.start()

    def stop(self) -> None:
        self._server.stop(0).wait()
