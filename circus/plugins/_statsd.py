"""Where circus 0.19 had its statsd plugin once, and configurations still name it."""

from __future__ import annotations

from circus.plugins.statsd import StatsdEmitter

__all__ = ["StatsdEmitter"]
