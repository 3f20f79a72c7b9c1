"""What an expression asks for: its selectors, what is done with them, and which labels its series have.

Owns the reading of PromQL. It refuses to know dashboards. Invariant: what it cannot read raises ValueError.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Final

import promql_parser as promql

from circus_exporters.catalogue import METRICS
from circus_exporters.metric import Metric
from dashboards.grafana import foreign
from dashboards.grafana.promql import RANGE, RATE, TARGET

# Durations that nobody would write, in the place of Grafana's.
_STANDINS: Final = {RATE: ("59s", timedelta(seconds=59)), RANGE: ("61m", timedelta(minutes=61))}
_PARTS: Final = ("_bucket", "_count", "_sum")
_CHOOSING: Final = ("topk", "bottomk", "limitk")
_OPERATORS: Final = (
    (promql.MatchOp.Equal, "="), (promql.MatchOp.NotEqual, "!="), (promql.MatchOp.Re, "=~"), (promql.MatchOp.NotRe, "!~"),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """A selector and what stands around it, innermost last. `window` as written, `$__rate_interval` too."""

    name: str
    matchers: tuple[tuple[str, str, str], ...]
    around: tuple[str, ...]
    window: str


@cache
def parse(expression: str) -> promql.Expr:
    """The expression with stand-ins for Grafana's windows; ValueError says what is wrong with it."""
    for name, (standin, _) in _STANDINS.items():
        expression = expression.replace(name, standin)
    return promql.parse(expression)


def known() -> dict[str, Metric]:
    """Every series that there can be, by its name: of a histogram its parts."""
    found: dict[str, Metric] = {}
    for metric in (*METRICS, *foreign.METRICS):
        names = [metric.name + part for part in _PARTS] if metric.type == "histogram" else [metric.name]
        found |= dict.fromkeys(names, metric)
    return found


def selectors(expression: promql.Expr, around: tuple[str, ...] = (), window: str = "") -> Iterator[Selector]:
    """Every selector of the expression."""
    match expression:
        case promql.VectorSelector():
            told = tuple((each.name, _operator(each), each.value) for each in expression.matchers.matchers)
            yield Selector(name=expression.name or "", matchers=told, around=around, window=window)
        case promql.MatrixSelector():
            yield from selectors(expression.vector_selector, around, _window(expression.range))
        case promql.AggregateExpr():
            yield from selectors(expression.expr, (*around, str(expression.op)), window)
        case promql.Call():
            for argument in expression.args:
                yield from selectors(argument, (*around, expression.func.name), window)
        case promql.BinaryExpr():
            for side in (expression.lhs, expression.rhs):
                yield from selectors(side, around, window)
        case promql.ParenExpr() | promql.UnaryExpr() | promql.SubqueryExpr():
            yield from selectors(expression.expr, around, window)


def _operator(matcher: promql.Matcher) -> str:
    return next(sign for operator, sign in _OPERATORS if matcher.op == operator)


def _window(length: timedelta) -> str:
    return next((name for name, (_, standin) in _STANDINS.items() if standin == length), str(length))


def labels(expression: promql.Expr) -> frozenset[str] | None:
    """The labels that its series can have; None of a number. ValueError where they cannot be told."""
    match expression:
        case promql.VectorSelector():
            return _own_labels(expression.name or "")
        case promql.MatrixSelector():
            return labels(expression.vector_selector)
        case promql.ParenExpr() | promql.UnaryExpr() | promql.SubqueryExpr():
            return labels(expression.expr)
        case promql.AggregateExpr():
            return _aggregated(expression)
        case promql.Call():
            return _called(expression)
        case promql.BinaryExpr():
            return _joined(expression)
        case _:
            return None


def _own_labels(name: str) -> frozenset[str]:
    metric = known().get(name)
    if metric is None:
        raise ValueError(f"no metric {name}")
    return frozenset({*TARGET, *metric.labels, *(("le",) if name.endswith("_bucket") else ())})


def _aggregated(expression: promql.AggregateExpr) -> frozenset[str] | None:
    if str(expression.op) in _CHOOSING:
        return labels(expression.expr)
    if expression.modifier is None:
        return frozenset()
    if expression.modifier.type != promql.AggModifierType.By:
        raise ValueError("`without` does not tell which labels are left")
    return frozenset(expression.modifier.labels)


def _called(expression: promql.Call) -> frozenset[str] | None:
    name = expression.func.name
    inner = [found for argument in expression.args if (found := labels(argument)) is not None]
    if name == "vector":
        return frozenset()
    if not inner:
        return None
    if name in {"label_replace", "label_join"}:
        added = expression.args[1]
        assert isinstance(added, promql.StringLiteral)
        return inner[0] | {added.val}
    return inner[0] - {"le"} if name == "histogram_quantile" else inner[0]


def _joined(expression: promql.BinaryExpr) -> frozenset[str] | None:
    left, right = labels(expression.lhs), labels(expression.rhs)
    if left is None or right is None:
        return left if right is None else right
    operator = str(expression.op)
    if operator in {"and", "unless"}:
        return left
    if operator == "or":
        return left | right
    modifier = expression.modifier
    if modifier is None or modifier.matching is None:
        return left
    if modifier.card == promql.VectorMatchCardinality.OneToOne:
        return frozenset(modifier.matching.labels)
    return left | frozenset(modifier.group_labels or ())
