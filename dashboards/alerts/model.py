"""What a rule file consists of: recorded series, alerts, groups, and how they are written as YAML.

Owns the layout of the files. It refuses to know metrics and thresholds. Invariant: the same rules give the same text.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import yaml

HEADER: Final = (
    "# Made by `python -m dashboards.build` from dashboards/alerts and dashboards/config.yaml; do not edit.\n"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A series that other rules and dashboards read under this name; `about` tells what it is."""

    name: str
    expr: str
    about: str

    def as_dict(self) -> dict[str, Any]:
        return {"record": self.name, "expr": _tidy(self.expr)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One alert. `summary` stays the same for as long as it fires, `description` tells the values of the moment.

    `after` and `keep` are durations as Prometheus writes them: how long the expression has to be true, and how long the
    alert stays when it is not any more; nothing for at once.
    """

    name: str
    severity: str
    expr: str
    summary: str
    description: str
    runbook: str
    after: str = ""
    keep: str = ""

    def as_dict(self) -> dict[str, Any]:
        durations = {"for": self.after, "keep_firing_for": self.keep}
        return {
            "alert": self.name,
            "expr": _tidy(self.expr),
            **{key: value for key, value in durations.items() if value},
            "labels": {"severity": self.severity},
            "annotations": {
                "summary": self.summary,
                "description": " ".join(self.description.split()),
                "runbook_url": self.runbook,
            },
        }


Rule = Record | Alert


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Rules that are evaluated one after the other, so that an alert sees what was recorded before it."""

    name: str
    interval: str
    rules: tuple[Rule, ...]

    def as_dict(self) -> dict[str, Any]:
        return {"name": self.name, "interval": self.interval, "rules": [rule.as_dict() for rule in self.rules]}


def rule_file(groups: Iterable[Group]) -> str:
    """The text of a file that Prometheus reads by `rule_files`."""
    document = {"groups": [group.as_dict() for group in groups]}
    text: str = yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=math.inf)
    return HEADER + text


def _tidy(expr: str) -> str:
    """An expression without the indentation that it has in the source."""
    lines = [line.rstrip() for line in expr.strip().splitlines()]
    rest = [len(line) - len(line.lstrip()) for line in lines[1:] if line]
    cut = min(rest, default=0)
    return "\n".join([lines[0], *(line[cut:] for line in lines[1:])])


class _Dumper(yaml.SafeDumper):  # type: ignore[misc]  # the library has no types
    """Blocks for what has several lines, and lists set in as people write them."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        super().increase_indent(flow, False)


def _text(dumper: _Dumper, data: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", data, style="|" if "\n" in data else None)


_Dumper.add_representer(str, _text)
