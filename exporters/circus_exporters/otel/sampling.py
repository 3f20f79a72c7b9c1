"""Which traces are exported, by the sampler that `OTEL_TRACES_SAMPLER` names.

Pure. Invariant: all spans of a trace have the same answer, in whichever exporter, because it comes from the trace id and
from what the caller said.
"""

from __future__ import annotations

from collections.abc import Callable

from circus_exporters.otel.spans import Span

_BITS = 64


def sampler(kind: str, ratio: float) -> Callable[[Span], bool]:
    """`kind` as in the variable; `ratio` from 0 to 1 for those that take one."""
    own = kind.removeprefix("parentbased_")
    bound = {"always_on": 1 << _BITS, "always_off": 0, "traceidratio": round(ratio * (1 << _BITS))}[own]
    by_parent = own != kind

    def wants(span: Span) -> bool:
        if by_parent and span.sampled is not None:
            return span.sampled
        return int(span.trace[16:], 16) < bound

    return wants
