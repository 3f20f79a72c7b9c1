"""What the configuration says of alerts, as the daemon needs it: their names, and whom each tells.

Knows no threshold; that is the exporter's business.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from circus.spec.arbiter import ArbiterSpec


class Configured(NamedTuple):
    """What the configuration says of alerts: whom each tells, and all who can be told."""

    alerts: Mapping[str, tuple[str, ...] | None]
    notify: tuple[str, ...]


def configured_by(spec: ArbiterSpec) -> Configured:
    """What a configuration says of alerts."""
    return Configured(
        {alert.name: _words(alert.options.get("notify")) for alert in spec.alerts},
        tuple(notify.name for notify in spec.notify),
    )


def _words(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(text.replace(",", " ").split())
