"""A plugin section: the class to use and the options it gets, all text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginSpec:
    """`name` is the whole section title (`plugin:flapping`), `use` the dotted class."""

    name: str
    use: str
    options: Mapping[str, str] = field(default_factory=dict)
