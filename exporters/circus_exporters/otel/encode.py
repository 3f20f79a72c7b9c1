"""Spans as a request of OTLP.

Owns the protobuf of traces and of the resource. It refuses to know where spans come from and how requests are sent.
The messages are filled directly: the SDK would draw ids of its own, and its spans are made while things happen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Status
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Encoded

from circus_exporters.otel.semantics import SCHEMA_URL, SCOPE, SERVICE_INSTANCE
from circus_exporters.otel.spans import Span, Value

_KINDS = {"internal": Encoded.SPAN_KIND_INTERNAL, "server": Encoded.SPAN_KIND_SERVER}


def nanoseconds(seconds: float) -> int:
    """Unix time as OTLP has it."""
    return round(seconds * 1e6) * 1000  # a float has no more digits


def key_value(name: str, value: Value) -> KeyValue:
    if isinstance(value, bool):
        return KeyValue(key=name, value=AnyValue(bool_value=value))
    if isinstance(value, int):
        return KeyValue(key=name, value=AnyValue(int_value=value))
    if isinstance(value, float):
        return KeyValue(key=name, value=AnyValue(double_value=value))
    # A name that came in as bytes of no encoding cannot stand in protobuf.
    return KeyValue(key=name, value=AnyValue(string_value=value.encode("utf-8", "backslashreplace").decode()))


def resource(attributes: Mapping[str, Value]) -> Resource:
    return Resource(attributes=[key_value(name, value) for name, value in attributes.items()])


def scope() -> InstrumentationScope:
    return InstrumentationScope(name=SCOPE)


def _span(span: Span) -> Encoded:
    trace = bytes.fromhex(span.trace)
    error = span.error
    return Encoded(
        trace_id=trace,
        span_id=bytes.fromhex(span.span),
        parent_span_id=bytes.fromhex(span.parent) if span.parent is not None else b"",
        flags=1,
        name=span.name,
        kind=_KINDS[span.kind],
        start_time_unix_nano=nanoseconds(span.start),
        end_time_unix_nano=nanoseconds(span.end),
        attributes=[key_value(name, value) for name, value in span.attributes.items()],
        links=[
            Encoded.Link(trace_id=bytes.fromhex(of), span_id=bytes.fromhex(linked), flags=1)
            for of, linked in span.links
        ],
        status=None
        if error is None
        else Status(code=Status.STATUS_CODE_ERROR, message=error.encode("utf-8", "backslashreplace").decode()),
    )


def trace_request(of: Mapping[str, Value], spans: Iterable[Span]) -> ExportTraceServiceRequest:
    """Spans in one request; `of` describes the daemon, whose lives are told apart: some may tell of the one before."""
    by_boot: dict[str, list[Encoded]] = {}
    for span in spans:
        by_boot.setdefault(span.boot, []).append(_span(span))
    return ExportTraceServiceRequest(
        resource_spans=[
            ResourceSpans(
                resource=resource({**of, SERVICE_INSTANCE: boot}), schema_url=SCHEMA_URL,
                scope_spans=[ScopeSpans(scope=scope(), schema_url=SCHEMA_URL, spans=encoded)],
            )
            for boot, encoded in by_boot.items()
        ]
    )  # fmt: skip
