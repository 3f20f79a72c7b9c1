"""What a span is before any library sees it, and the ids of spans.

Owns the shape and the derivation of ids. Invariant: the same record always gives the same ids, so an exporter that
reads a record again tells the same span again and not another one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Literal

from circus.wire.events import Record

Value = str | bool | int | float
Attributes = dict[str, Value]


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One finished span. `start` and `end` are Unix times in seconds; ids are hex digits; `links` are (trace, span).

    `boot` is the life of the daemon that it tells of. `error` is the sentence of a failure nobody asked for, None where all is well. `sampled` is what the caller's trace
    context said, None where there was none.
    """

    trace: str
    span: str
    parent: str | None
    name: str
    start: float
    end: float
    attributes: Attributes = field(default_factory=dict)
    links: tuple[tuple[str, str], ...] = ()
    error: str | None = None
    kind: Literal["internal", "server"] = "internal"
    sampled: bool | None = None
    boot: str = ""


def ids(record: Record) -> tuple[str, str]:
    """(trace, span) of a record; each has them."""
    assert record.traceparent is not None
    _, trace, span, _ = record.traceparent.split("-")
    return trace, span


def derived(record: Record, phase: str) -> str:
    """The id of a further span that a record tells of; the first one has the record's own."""
    return blake2b(f"{record.boot}{record.seq}/{phase}".encode(), digest_size=8).hexdigest()


def known(attributes: Mapping[str, Value | None]) -> Attributes:
    """Those that are known; none is sent without a value."""
    return {name: value for name, value in attributes.items() if value is not None}
