"""What should happen to a process's output: the class of the stream and its options as they were written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSpec:
    """`cls` is a built-in name or a dotted path; without it `stream` (an object, from the API) or a `filename` in
    `options` decides. Options are keyword arguments of the class: text from an ini file, any type from the API.
    """

    cls: str | None = None
    stream: object | None = None
    options: Mapping[str, object] = field(default_factory=dict)
