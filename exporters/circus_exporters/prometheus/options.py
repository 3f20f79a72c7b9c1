"""The options of `[exporter:prometheus]` as the exporter uses them.

Owns nothing but their shape: names, kinds and defaults are rows in `circus.spec.fields`, which circusd checks too.
Invariant: an option object that exists is valid.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

from circus.exc import ConfigError, Mistake
from circus.spec import exporters

ProcessDetail = Literal["auto", "full", "cpu_mem", "off"]

NAME: Final = "prometheus"
SECTION: Final = f"exporter:{NAME}"
DEFAULT_HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 9464


@dataclass(frozen=True, slots=True, kw_only=True)
class PrometheusOptions:
    """What the section says; a test holds the defaults to those of the rows."""

    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    processes: ProcessDetail = "auto"
    max_series: int = 100_000
    web_config: str | None = None


def read_options(section: Mapping[str, str], *, where: str | None = None) -> PrometheusOptions:
    """The options of a section as it was written; `where` is the file, for messages. Raises ConfigError."""
    values, wrong = exporters.read_options(NAME, section)
    if wrong:
        raise ConfigError(
            [
                Mistake(
                    file=where, line=None, section=SECTION, option=option,
                    value=section[option] if option is not None else None, expected=expected,
                )
                for option, expected in wrong.items()
            ]
        )  # fmt: skip
    return PrometheusOptions(**cast("dict[str, Any]", values))
