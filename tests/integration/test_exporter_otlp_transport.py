"""What becomes of one request: every answer of a collector, over real connections."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from circus_exporters.attempts import Outcome
from circus_exporters.otel.encode import trace_request
from circus_exporters.otel.options import Target
from circus_exporters.otel.spans import Span
from circus_exporters.otel.transport import GrpcTransport, HttpTransport, Transport
from tests.helpers.otlp import GrpcSink, HttpSink
from tests.helpers.ports import reserved_port

SPAN = Span(
    trace="ab" * 16, span="cd" * 8, parent=None, name="x", start=1.0, end=2.5, attributes={"a": "\udcff", "b": 1.5}
)


@pytest.fixture
def sink() -> Iterator[HttpSink]:
    made = HttpSink()
    yield made
    made.stop()


def http(sink: HttpSink, path: str = "/v1/traces", **options) -> HttpTransport:
    return HttpTransport(Target(signal="traces", protocol="http/protobuf", url=sink.endpoint + path, **options))


async def sent(transport: Transport) -> Outcome:
    try:
        return await transport.send(trace_request({"service.name": "circus"}, [SPAN]))
    finally:
        await transport.close()


async def test_headers_and_compression_arrive_and_a_text_that_is_no_text_does_no_harm(sink: HttpSink) -> None:
    outcome = await sent(http(sink, compression="gzip", headers=(("x-key", "secret"),)))
    assert outcome == Outcome()
    assert sink.headers[0]["x-key"] == "secret"
    assert sink.headers[0]["content-type"] == "application/x-protobuf"
    (span,) = sink.spans
    assert (span.trace, span.span, span.end - span.start) == ("ab" * 16, "cd" * 8, 1_500_000_000)
    assert span.attributes == {"a": "\\udcff", "b": 1.5}


@pytest.mark.parametrize(
    ("status", "headers", "again", "wait"),
    [(503, {"Retry-After": "7"}, True, 7.0), (429, {}, True, 0.0), (400, {}, False, 0.0), (401, {}, False, 0.0)],
)
async def test_what_may_be_tried_again(
    sink: HttpSink, status: int, headers: dict[str, str], again: bool, wait: float
) -> None:
    sink.answers = [(status, headers)]
    outcome = await sent(http(sink))
    assert (outcome.again, outcome.wait) == (again, wait)
    assert outcome.problem is not None
    assert outcome.problem.startswith(f"it answers {status} ")
    assert outcome.problem.endswith(": go away")


async def test_a_part_may_be_rejected(sink: HttpSink) -> None:
    sink.rejects = 1
    assert await sent(http(sink)) == Outcome(rejected=1)


async def test_another_path_is_refused(sink: HttpSink) -> None:
    outcome = await sent(http(sink, "/else"))
    assert not outcome.again
    assert outcome.problem is not None


async def test_nobody_there_may_change() -> None:
    with reserved_port() as port:
        target = Target(signal="traces", protocol="http/protobuf", url=f"http://127.0.0.1:{port}/v1/traces")
        outcome = await sent(HttpTransport(target))
    assert outcome.again
    assert outcome.problem is not None


@pytest.mark.parametrize(("code", "again"), [("UNAVAILABLE", True), ("INVALID_ARGUMENT", False)])
async def test_codes_of_grpc(code: str, again: bool) -> None:
    sink = GrpcSink()
    try:
        sink.codes = [code]
        transport = GrpcTransport(Target(signal="traces", protocol="grpc", url=sink.endpoint))
        request = trace_request({}, [SPAN])
        outcome = await transport.send(request)
        assert (outcome.again, outcome.problem) == (again, f"it answers {code}: go away")
        assert await transport.send(request) == Outcome()
        await transport.close()
    finally:
        sink.stop()
    assert len(sink.spans) == 1
