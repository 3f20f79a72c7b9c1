"""Dashboards for Grafana. A part of `out/`; names of metrics come from the exporter's catalogue and from nowhere else."""

from __future__ import annotations

from typing import Final

from dashboards.grafana import deploys, internals, overview, process, watcher
from dashboards.grafana.frame import text

FRAMES: Final = (overview.frame, watcher.frame, process.frame, deploys.frame, internals.frame)


def files() -> dict[str, str]:
    """Each dashboard as Grafana reads it, by its path below `out/`."""
    frames = [make() for make in FRAMES]
    return {f"grafana/dashboards/{frame.uid}.json": text(frame) for frame in frames}
