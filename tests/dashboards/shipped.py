"""The dashboards as they are shipped, and their queries with variables put in, as Grafana would."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from dashboards import build

DASHBOARDS: Final = {
    path.stem: json.loads(path.read_text()) for path in sorted((build.OUT / "grafana/dashboards").glob("*.json"))
}
# Prometheus looks once a second, and Grafana takes four times that at least.
WINDOWS: Final = {"$__rate_interval": "5s", "$__range": "40s"}
VARIABLE: Final = re.compile(r"\$(\w+)")
LABEL_VALUES: Final = re.compile(r"label_values\((?P<selector>.+), (?P<label>\w+)\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One query of a panel."""

    dashboard: str
    panel: dict[str, Any]
    target: dict[str, Any]

    @property
    def expression(self) -> str:
        text: str = self.target["expr"]
        return text

    def __str__(self) -> str:
        return f"{self.dashboard}: {self.panel['title']} {self.target['refId']}"


def panels() -> Iterator[tuple[str, dict[str, Any]]]:
    """Each panel that shows something, and the dashboard that it is on."""
    for name, dashboard in DASHBOARDS.items():
        for panel in dashboard["panels"]:
            if panel["type"] != "row":
                yield name, panel


def asked() -> Iterator[Asked]:
    """Every query of every panel."""
    for name, panel in panels():
        for target in panel["targets"]:
            yield Asked(dashboard=name, panel=panel, target=target)


def variables(dashboard: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The variables with a query, by name."""
    return {each["name"]: each for each in dashboard["templating"]["list"] if each["type"] == "query"}


def put_in(text: str, **chosen: str) -> str:
    """The text with windows, and with variables as `chosen`, All where nothing is; the `$1` of a label_replace stays."""
    for name, value in WINDOWS.items():
        text = text.replace(name, value)
    every = dict.fromkeys(("job", "instance", "watcher", "wid"), ".+")
    return VARIABLE.sub(lambda found: {**every, **chosen}.get(found[1], found[0]), text)
