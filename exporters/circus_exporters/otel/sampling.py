"""Which traces are exported, by the sampler of OpenTelemetry's SDK that `OTEL_TRACES_SAMPLER` names.

Pure. Invariant: all spans of a trace have the same answer, in whichever exporter, because it comes from the trace id and
from what the caller said.
"""

from __future__ import annotations

from collections.abc import Callable

from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Decision, TraceIdRatioBased

from circus_exporters.otel.spans import Span


def sampler(kind: str, ratio: float) -> Callable[[Span], bool]:
    """`kind` as in the variable; `ratio` from 0 to 1 for those that take one."""
    word = kind.removeprefix("parentbased_")
    own = {"always_on": ALWAYS_ON, "always_off": ALWAYS_OFF, "traceidratio": TraceIdRatioBased(ratio)}[word]
    by_parent = word != kind

    def wants(span: Span) -> bool:
        # As the SDK's ParentBased has it; that one wants a context made for each span.
        if by_parent and span.sampled is not None:
            return span.sampled
        return own.should_sample(None, int(span.trace, 16), span.name).decision is Decision.RECORD_AND_SAMPLE

    return wants
