"""The options of `[exporter:prometheus]`: read, checked, all mistakes told together.

Owns their names, defaults and meaning; refuses to know where the text came from. Invariant: an option object that
exists is valid.
"""

from __future__ import annotations

import difflib
import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

from circus.exc import ConfigError, Mistake

ProcessDetail = Literal["auto", "full", "cpu_mem", "off"]

SECTION: Final = "exporter:prometheus"
DEFAULT_HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 9464
_DETAILS: Final = ("auto", "full", "cpu_mem", "off")


@dataclass(frozen=True, slots=True, kw_only=True)
class PrometheusOptions:
    """`host` and `port` of /metrics (0 takes any free port); `processes` is how much to show of each process:
    `full`, `cpu_mem` (five series each), `off`, or `auto`, which is full detail for up to 500 processes.
    """

    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    processes: ProcessDetail = "auto"


def _host(text: str) -> str:
    if not text or "/" in text or any(map(str.isspace, text)):
        raise ValueError
    if ":" in text:
        ipaddress.IPv6Address(text)
    return text


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise ValueError
    return port


def _processes(text: str) -> ProcessDetail:
    if text not in _DETAILS:
        raise ValueError
    return cast("ProcessDetail", text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option: how its text is read (ValueError if it is wrong), what is expected, and what it means."""

    read: Callable[[str], Any]
    expected: str
    doc: str


OPTIONS: Final[Mapping[str, Option]] = {
    "host": Option(
        read=_host,
        expected="expected a host name or address, without port",
        doc="Where to listen. Metrics tell much about a machine: open it to others with care.",
    ),
    "port": Option(
        read=_port,
        expected="expected a port number from 0 to 65535",
        doc="The port; 0 takes any free one and logs it. One that is taken is tried again every second.",
    ),
    "processes": Option(
        read=_processes,
        expected=f"expected one of {', '.join(_DETAILS)}",
        doc="How much to show of each process: `full`, `cpu_mem` (five series), `off`, or `auto`: `full` for up to 500 "
        "processes, `cpu_mem` for more.",
    ),
}


def read_options(section: Mapping[str, str], *, where: str | None = None) -> PrometheusOptions:
    """The options of a section as it was written; `where` is the file, for messages. Raises ConfigError."""
    mistakes: list[Mistake] = []
    values: dict[str, Any] = {}
    for option, text in section.items():
        known = OPTIONS.get(option)
        if known is None:
            expected = f"no such option; there are {', '.join(OPTIONS)}"
            near = difflib.get_close_matches(option, OPTIONS, n=1)
            if near:
                expected = f"no such option; did you mean {near[0]}?"
        else:
            expected = known.expected
            try:
                values[option] = known.read(text.strip())
                continue
            except ValueError:
                pass
        mistakes.append(Mistake(file=where, line=None, section=SECTION, option=option, value=text, expected=expected))
    if mistakes:
        raise ConfigError(mistakes)
    return PrometheusOptions(**values)
