"""The options of `[exporter:otlp]` together with the environment variables that every OpenTelemetry SDK reads.

Owns which of the two counts: the section, then the variable of the one signal, then that of all, then the default.
Invariant: an option object that exists is valid; what is wrong is told with where it was written.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeVar
from urllib.parse import unquote, urlsplit

from circus.exc import ConfigError, Mistake
from circus.spec import exporters

NAME: Final = "otlp"
SECTION: Final = f"exporter:{NAME}"
SIGNALS: Final = ("traces", "metrics")
SAMPLERS: Final = (
    "always_on", "always_off", "traceidratio",
    "parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio",
)  # fmt: skip
_PORTS: Final = {"http/protobuf": 4318, "grpc": 4317}

Protocol = Literal["http/protobuf", "grpc"]
Signal = Literal["traces", "metrics"]
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where one signal goes. `url` is complete for HTTP; for gRPC its path means nothing. Times in seconds."""

    signal: Signal
    protocol: Protocol
    url: str
    headers: tuple[tuple[str, str], ...] = ()
    timeout: float = 10.0
    compression: Literal["none", "gzip"] = "none"
    certificate: str | None = None
    client_certificate: str | None = None
    client_key: str | None = None

    @property
    def shown(self) -> str:
        """The URL for people: without a password that may be in it."""
        parts = urlsplit(self.url)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


@dataclass(frozen=True, slots=True, kw_only=True)
class OtlpOptions:
    """What is exported, and where to; a signal without a target is not. Times in seconds."""

    traces: Target | None = None
    metrics: Target | None = None
    metrics_interval: float = 60.0
    max_queue: int = 20_000
    batch: int = 512
    delay: float = 5.0
    sampler: str = "parentbased_always_on"
    ratio: float = 1.0
    service_name: str = "circus"
    resource: Mapping[str, str] = field(default_factory=dict)


def pairs(text: str) -> dict[str, str]:
    """`key=value,key=value` with percent-encoded values; raises ValueError."""
    found: dict[str, str] = {}
    for part in filter(None, map(str.strip, text.split(","))):
        key, equals, value = part.partition("=")
        if not equals or not key.strip():
            raise ValueError
        found[key.strip()] = unquote(value.strip())
    return found


class _Reader:
    """Looks options up and collects what is wrong with them."""

    def __init__(self, section: Mapping[str, str], environ: Mapping[str, str], where: str | None) -> None:
        self._section, self._environ, self._where = section, environ, where
        self.values, wrong = exporters.read_options(NAME, section)
        self.mistakes = [
            Mistake(where, None, SECTION, option, section[option] if option is not None else None, expected)
            for option, expected in wrong.items()
        ]

    def text(self, option: str | None, *variables: str) -> tuple[str, str] | None:
        """(text, where it stands)."""
        if option is not None and self._section.get(option, "").strip():
            return self._section[option].strip(), option
        for variable in variables:
            if self._environ.get(variable, "").strip():
                return self._environ[variable].strip(), variable
        return None

    def value(
        self, option: str | None, variables: tuple[str, ...], parse: Callable[[str], T], expected: str, default: T
    ) -> T:
        found = self.text(option, *variables)
        if found is None:
            return default
        text, name = found
        try:
            return parse(text)
        except ValueError:
            section = SECTION if name == option else "environment"
            mistake = Mistake(
                self._where if name == option else None, None, section, name, text, f"expected {expected}"
            )
            if not any(known.option == name for known in self.mistakes):
                self.mistakes.append(mistake)
            return default


def _number(low: float, factor: float = 1.0) -> Callable[[str], float]:
    def parse(text: str) -> float:
        value = float(text) * factor
        if not low <= value < float("inf"):
            raise ValueError
        return value

    return parse


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError
    return value


def _one_of(*words: str) -> Callable[[str], Any]:
    def parse(text: str) -> str:
        if text.lower() not in words:
            raise ValueError
        return text.lower()

    return parse


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError
    _ = parts.port  # ValueError for one that is no number
    return text


def _path(text: str) -> str:
    if not os.access(text, os.R_OK):
        raise ValueError
    return text


def read_options(
    section: Mapping[str, str], environ: Mapping[str, str] = os.environ, *, where: str | None = None
) -> OtlpOptions:
    """The options of a section as it was written; `where` is the file, for messages. Raises ConfigError."""
    reader = _Reader(section, environ, where)
    disabled = reader.value(None, ("OTEL_SDK_DISABLED",), lambda text: text.lower() == "true", "true or false", False)
    targets: dict[str, Target | None] = dict.fromkeys(SIGNALS)
    for signal in SIGNALS:
        exporter = reader.value(
            None, (f"OTEL_{signal.upper()}_EXPORTER",), _one_of("otlp", "none"), "otlp or none", "otlp"
        )
        if not disabled and reader.values.get(signal, True) and (signal in section or exporter == "otlp"):
            targets[signal] = _target(reader, signal)
    ratio = reader.value(None, ("OTEL_TRACES_SAMPLER_ARG",), _number(0.0), "a number from 0 to 1", 1.0)
    milliseconds = "a number of milliseconds"
    options = OtlpOptions(
        traces=targets["traces"],
        metrics=targets["metrics"],
        metrics_interval=reader.value("metrics_interval", (), _number(0.0), "a number of seconds", None)
        or reader.value(None, ("OTEL_METRIC_EXPORT_INTERVAL",), _number(0.001, 0.001), milliseconds, 60.0),
        max_queue=reader.value("max_queue", ("OTEL_BSP_MAX_QUEUE_SIZE",), _count, "an integer, at least 1", 20_000),
        batch=reader.value(None, ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE",), _count, "an integer, at least 1", 512),
        delay=reader.value(None, ("OTEL_BSP_SCHEDULE_DELAY",), _number(0.0, 0.001), milliseconds, 5.0),
        sampler=reader.value(
            None, ("OTEL_TRACES_SAMPLER",), _one_of(*SAMPLERS), f"one of {', '.join(SAMPLERS)}", "parentbased_always_on"
        ),
        ratio=min(ratio, 1.0),
        service_name=(reader.text("service_name", "OTEL_SERVICE_NAME") or ("", ""))[0],
        resource=reader.value("resource", ("OTEL_RESOURCE_ATTRIBUTES",), pairs, "key=value,key=value", {}),
    )
    if reader.mistakes:
        raise ConfigError(reader.mistakes)
    return options


def _target(reader: _Reader, signal: Any) -> Target:
    def variables(suffix: str) -> tuple[str, str]:
        return f"OTEL_EXPORTER_OTLP_{signal.upper()}_{suffix}", f"OTEL_EXPORTER_OTLP_{suffix}"

    protocol: Protocol = reader.value(
        "protocol", variables("PROTOCOL"), _one_of(*_PORTS), f"one of {', '.join(_PORTS)}", "http/protobuf"
    )
    own, base = variables("ENDPOINT")
    wanted = "http://HOST:PORT or https://HOST:PORT"
    url = None
    if reader.text("endpoint") is None:  # what is meant for one signal is used as it is
        url = reader.value(None, (own,), _url, wanted, None)
    if url is None:
        url = reader.value("endpoint", (base,), _url, wanted, f"http://localhost:{_PORTS[protocol]}")
        if protocol == "http/protobuf":
            url = f"{url.rstrip('/')}/v1/{signal}"
    file = "a file that can be read"
    none: dict[str, str] = {}
    headers = reader.value("headers", variables("HEADERS"), pairs, "key=value,key=value", none)
    return Target(
        signal=signal,
        protocol=protocol,
        url=url,
        headers=tuple((key.lower(), value) for key, value in headers.items()),
        timeout=reader.value("timeout", (), _number(0.001), "a number of seconds", None)
        or reader.value(None, variables("TIMEOUT"), _number(0.001), "a number of seconds", 10.0),
        compression=reader.value(
            "compression", variables("COMPRESSION"), _one_of("none", "gzip"), "none or gzip", "none"
        ),
        certificate=reader.value("certificate", variables("CERTIFICATE"), _path, file, None),
        client_certificate=reader.value("client_certificate", variables("CLIENT_CERTIFICATE"), _path, file, None),
        client_key=reader.value("client_key", variables("CLIENT_KEY"), _path, file, None),
    )
