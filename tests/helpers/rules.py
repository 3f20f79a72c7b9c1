"""The alert rules as text that promtool reads: one alert with what it needs, and the mistakes that can be planted in it."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from circus_exporters.catalogue import METRICS
from dashboards.alerts import groups
from dashboards.alerts.model import Alert, Group, Record, Rule
from dashboards.alerts.settings import Settings
from tests.helpers import real
from tests.helpers.daemon import REPOSITORY

TESTS = REPOSITORY / "dashboards" / "tests"
GROUPS = groups(Settings.load())
ALERTS = {rule.name: rule for group in GROUPS for rule in group.rules if isinstance(rule, Alert)}
RECORDS = {rule.name: rule for group in GROUPS for rule in group.rules if isinstance(rule, Record)}
SERIES = {f"{metric.name}{part}" for metric in METRICS for part in ("", "_bucket", "_sum", "_count")} | {"up"}

_NAME = re.compile(r"[a-z][a-z0-9_:]+(?=[{\[ )\n]|$)")
_COMPARISON = re.compile(r" (==|>=|<=|>|<) ")
_TURNED = {"==": "!=", ">": "<=", "<": ">=", ">=": "<", "<=": ">"}


def named(rule: Rule) -> set[str]:
    """The metrics and recorded series that an expression reads."""
    return {name for name in _NAME.findall(rule.expr) if name in SERIES or name in RECORDS}


def needed(alert: Alert) -> list[Rule]:
    """The recorded series that lead to an alert, in the order of evaluation, and the alert."""
    wanted, todo = {alert.name}, [alert]
    while todo:
        for name in named(todo.pop()) & RECORDS.keys() - wanted:
            wanted.add(name)
            todo.append(RECORDS[name])
    return [rule for group in GROUPS for rule in group.rules if rule.name in wanted]


def mistakes(alert: Alert) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """(what is wrong, rules): each metric misspelt, and each comparison of the alert turned round, one at a time.

    What leads to a recorded series is looked at with the alerts of its own group; others only misspell its name.
    """
    rules = [rule.as_dict() for rule in needed(alert)]
    own = {rule.name for rule in group_of(alert.name).rules}
    names = {name for rule in needed(alert) if rule.name in own for name in named(rule)}
    for name in sorted(names - own):
        word = re.compile(rf"\b{name}\b")
        yield f"{name} is misspelt", [{**rule, "expr": word.sub(f"{name}_x", rule["expr"])} for rule in rules]
    expr = rules[-1]["expr"]
    for found in _COMPARISON.finditer(expr):
        wrong = f"{expr[: found.start()]} {_TURNED[found[1]]} {expr[found.end() :]}"
        around = " ".join(expr[max(0, found.start() - 30) : found.end() + 20].split())
        yield f"turned round: …{around}…", [*rules[:-1], {**rules[-1], "expr": wrong}]


def run_tool(name: str, package: str, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a real program of a package."""
    return subprocess.run([real.program(name, package), *map(str, words)], capture_output=True, text=True)


def promtool(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run promtool."""
    return run_tool("promtool", "prometheus", *words)


def judged(alert: str, rules: list[dict[str, Any]], directory: Path) -> subprocess.CompletedProcess[str]:
    """The tests of an alert, run on these rules in place of the shipped ones."""
    group = {"name": "planted", "rules": rules}
    (directory / "rules.yml").write_text(yaml.safe_dump({"groups": [group]}, sort_keys=False))
    document = yaml.safe_load((TESTS / f"{alert}.yml").read_text())
    document |= {"rule_files": ["rules.yml"], "group_eval_order": ["planted"]}
    (directory / "tests.yml").write_text(yaml.safe_dump(document, sort_keys=False))
    return promtool("test", "rules", directory / "tests.yml")


def group_of(alert: str) -> Group:
    """The group that an alert is in."""
    return next(group for group in GROUPS if any(rule.name == alert for rule in group.rules))
