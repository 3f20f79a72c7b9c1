"""One request to a collector and what became of it, over HTTP or gRPC.

Owns connections and the reading of answers. It refuses to decide what is tried again. Invariant: `send` raises nothing but
a cancellation; whatever happens is an `Outcome`.
"""

from __future__ import annotations

import asyncio
import gzip
import ssl
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from circus.exc import CircusError
from circus_exporters.attempts import AGENT, Answer, Outcome, Poster, shown
from circus_exporters.otel.options import SECTION, Target

_TRY_AGAIN_HTTP = (408, 429, 502, 503, 504)
_TRY_AGAIN_GRPC = (
    "CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS", "RESOURCE_EXHAUSTED",
)  # fmt: skip
_RESPONSES: dict[str, Any] = {"traces": ExportTraceServiceResponse, "metrics": ExportMetricsServiceResponse}


class Transport(Protocol):
    """A way to one collector."""

    async def send(self, request: Message) -> Outcome: ...
    async def close(self) -> None: ...


def transport(target: Target) -> Transport:
    """The way to a target; CircusError says what is missing for it."""
    return GrpcTransport(target) if target.protocol == "grpc" else HttpTransport(target)


def _taken(answer: Any) -> Outcome:
    partial = answer.partial_success
    rejected = getattr(partial, "rejected_spans", 0) or getattr(partial, "rejected_data_points", 0)
    return Outcome(rejected=rejected, problem=None)


class HttpTransport:
    """Protobuf over HTTP; the connection is kept between requests."""

    def __init__(self, target: Target) -> None:
        self._target = target
        tls: ssl.SSLContext | bool = True
        if target.certificate or target.client_certificate:
            try:
                tls = ssl.create_default_context(cafile=target.certificate)
                if target.client_certificate:
                    tls.load_cert_chain(target.client_certificate, target.client_key)
            except OSError as error:  # ssl.SSLError is one
                raise CircusError(
                    f"[{SECTION}]: the certificates for {target.shown} cannot be used: {error}"
                ) from error
        headers = {"Content-Type": "application/x-protobuf", **dict(target.headers)}
        if target.compression == "gzip":
            headers["Content-Encoding"] = "gzip"
        self._poster = Poster(target.url, headers, target.timeout, tls)

    async def send(self, request: Message) -> Outcome:
        body = request.SerializeToString()
        if self._target.compression == "gzip":
            body = gzip.compress(body, 6)
        answer = await self._poster.send(body)
        return answer if isinstance(answer, Outcome) else self._read(answer)

    def _read(self, answer: Answer) -> Outcome:
        if answer.status == 200:
            told = _RESPONSES[self._target.signal]()
            try:
                told.ParseFromString(answer.body)
            except DecodeError:
                return Outcome(problem=f"it answers in something else than OTLP: {shown(answer.body)}")
            return _taken(told)
        if 200 <= answer.status < 300:
            return Outcome()
        return Outcome(problem=answer.problem, again=answer.status in _TRY_AGAIN_HTTP, wait=answer.wait)

    async def close(self) -> None:
        await self._poster.close()


class GrpcTransport:
    """OTLP over gRPC, which is an extra: grpcio is a large compiled library."""

    def __init__(self, target: Target) -> None:
        try:
            self._grpc: Any = import_module("grpc.aio")
            root: Any = import_module("grpc")
            stubs: Any = import_module(
                "opentelemetry.proto.collector."
                + (
                    "trace.v1.trace_service_pb2_grpc"
                    if target.signal == "traces"
                    else "metrics.v1.metrics_service_pb2_grpc"
                )
            )
        except ImportError as error:
            raise CircusError(
                f"[{SECTION}]: protocol grpc needs grpcio: pip install 'circus[otlp-grpc]' ({error})"
            ) from error
        self._target = target
        parts = urlsplit(target.url)
        address = f"{parts.hostname}:{parts.port or 4317}" if ":" not in (parts.hostname or "") else parts.netloc
        compression = root.Compression.Gzip if target.compression == "gzip" else None
        # A collector that comes back is found again soon; without this gRPC waits up to two minutes.
        options = [("grpc.max_reconnect_backoff_ms", 5000), ("grpc.primary_user_agent", AGENT)]
        if parts.scheme == "https":
            self._channel = self._grpc.secure_channel(
                address, self._credentials(root), options=options, compression=compression
            )
        else:
            self._channel = self._grpc.insecure_channel(address, options=options, compression=compression)
        stub = stubs.TraceServiceStub if target.signal == "traces" else stubs.MetricsServiceStub
        self._export = stub(self._channel).Export

    def _credentials(self, root: Any) -> Any:
        target, files = self._target, []
        for path in (target.certificate, target.client_key, target.client_certificate):
            try:
                files.append(None if path is None else Path(path).read_bytes())
            except OSError as error:
                raise CircusError(f"[{SECTION}]: cannot read {path}: {error.strerror}") from error
        return root.ssl_channel_credentials(*files)

    async def send(self, request: Message) -> Outcome:
        try:
            answer = await self._export(request, timeout=self._target.timeout, metadata=self._target.headers)
        except self._grpc.AioRpcError as error:
            code = error.code().name
            return Outcome(problem=f"it answers {code}: {error.details()}", again=code in _TRY_AGAIN_GRPC)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # the library raises many kinds; none of them may end the exporter
            return Outcome(problem=f"{type(error).__name__}: {error}")
        return _taken(answer)

    async def close(self) -> None:
        await self._channel.close()
