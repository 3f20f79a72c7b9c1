"""Dashboards for Grafana. A part of `out/`; names of metrics come from the exporter's catalogue and from nowhere else."""

from __future__ import annotations

from typing import Final

from dashboards.grafana.deploys import deploys
from dashboards.grafana.frame import text
from dashboards.grafana.internals import internals
from dashboards.grafana.overview import overview
from dashboards.grafana.process import process
from dashboards.grafana.watcher import watcher

FRAMES: Final = (overview, watcher, process, deploys, internals)


def files() -> dict[str, str]:
    """Each dashboard as Grafana reads it, by its path below `out/`."""
    frames = [make() for make in FRAMES]
    return {f"grafana/dashboards/{frame.uid}.json": text(frame) for frame in frames}
