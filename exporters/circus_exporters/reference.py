"""The reference page of the metrics and of the section that serves them, made from the tables in the code.

    python -m circus_exporters.reference > docs/reference/metrics.md

Owns the layout of the page; a test holds the committed one fresh.
"""

from __future__ import annotations

import sys
from typing import Final

from circus.spec.fields import EXPORTERS
from circus_exporters.catalogue import METRICS, SOURCES
from circus_exporters.metric import Group, Metric
from circus_exporters.prometheus.options import NAME, SECTION

_INTRODUCTION: Final = """\
# Metrics

What `circus-exporter` serves at `/metrics`. This page is made from the code; do not edit it.

Counters are kept by the daemon, so killing the exporter loses none; they begin at 0 with the daemon, and so do those of
a watcher that is removed and added again. Labels whose values are known beforehand have all their series from the
start, at 0, so that the first failure is seen as an increase. There is no label for host or daemon: `instance` and
`job` come with the scrape.

Identity is `watcher` and `wid`, the slot of the watcher: a small number that the next process in that slot takes over.
The pid stands on `circus_process_info` alone; `* on (watcher, wid) group_left (pid) circus_process_info` joins it.

When no daemon answers, `circus_up` is 0 and only what the exporter knows of itself is left. When the last sample is
older than ten sampling intervals (30 seconds at least), the series of processes are left out, because they would
say what is not known any more.
"""
_PROCESS_NOTE: Final = (
    "A series for each slot. How much is shown is the option `processes`; with `cpu_mem` it is what is marked with *."
)
_TITLES: Final[dict[Group, tuple[str, str]]] = {
    "target": ("The daemon and the exporter", ""),
    "watcher": ("Watchers", "A series for each watcher, whatever its processes do."),
    "process": ("Processes", _PROCESS_NOTE),
    "internals": ("Inside the daemon", ""),
}


def metrics_page() -> str:
    """The whole page."""
    sources = ", ".join(f"{letter} = {meaning}" for letter, meaning in SOURCES.items())
    options = [
        f"| `{row.name}` | {'none' if row.ini is None else row.ini} | {row.doc} |" for row in EXPORTERS[NAME].values()
    ]
    parts = [
        _INTRODUCTION,
        f"## [{SECTION}]\n",
        "\n".join(["| option | default | meaning |", "|---|---|---|", *options, ""]),
        "## Sources\n",
        f"{sources}.\n",
    ]
    for group, (title, note) in _TITLES.items():
        parts.append(f"## {title}\n")
        if note:
            parts.append(f"{note}\n")
        rows = [_row(metric) for metric in METRICS if metric.group == group]
        parts.append("\n".join(["| metric | type | labels | meaning | source |", "|---|---|---|---|---|", *rows, ""]))
    parts.append(
        "Beside these, `process_*` is the exporter's own process, as the client library of Prometheus tells it.\n"
    )
    return "\n".join(parts)


def _row(metric: Metric) -> str:
    mark = " *" if metric.group == "process" and metric.detail == "cpu_mem" else ""
    labels = ", ".join(_label(metric, label) for label in metric.labels) or "none"
    if metric.prefix:
        labels += f", `{metric.prefix}NAME`"
    return f"| `{metric.name}`{mark} | {metric.type} | {labels} | {metric.help} | {metric.source} |"


def _label(metric: Metric, label: str) -> str:
    values = metric.closed.get(label)
    return f"`{label}` ({', '.join(values)})" if values else f"`{label}`"


if __name__ == "__main__":
    sys.stdout.write(metrics_page())
