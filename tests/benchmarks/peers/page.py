"""The tables of the page about performance, made from the results of a run. Invariant: a goal that was missed is there."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Iterable, Sequence

from tests.benchmarks.peers.catalogue import Work
from tests.benchmarks.peers.results import OURS, Results
from tests.benchmarks.report import number

RESULTS = pathlib.Path(__file__).with_name("results.json")
PAGE = pathlib.Path(__file__).resolve().parents[3] / "docs/reference/performance.md"
BLOCK = re.compile(r"(<!-- made from the results of a run -->\n).*?(<!-- end -->)", re.DOTALL)


def fresh(text: str) -> str:
    """The text of the page with the tables of the results that are kept beside this module."""
    return BLOCK.sub(lambda found: f"{found[1]}{tables(Results.read(RESULTS))}\n{found[2]}", text)


def tables(results: Results) -> str:
    """Markdown: on what machine, the work of all, how it grows, what was missed, what is not there and why."""
    parts = [_head(results), _comparison(results), _growth(results), _missed(results), _reasons(results), _how(results)]
    return "\n\n".join(part for part in parts if part)


def _head(results: Results) -> str:
    made = results.machine
    versions = ", ".join(f"{name} {version}".strip() for name, version in results.versions.items())
    rounds = len({each.round for each in results.numbers if each.size == results.processes})
    return (
        f"Measured on {results.date}, {made['system']}, {made['cores']} cores ({made['processor']}), "
        f"{made['memory_gb']} GB, Python {made['python']}; {rounds} round{'s' if rounds > 1 else ''}, one supervisor "
        f"after the other in each. Versions: {versions}."
    )


def _comparison(results: Results) -> str:
    peers = [peer for peer in results.peers() if peer != OURS]
    head = ["work", OURS, "goal", "", *peers, "load"]
    rows = []
    for work in results.works():
        ours = results.folded(OURS, work.key)
        loads = results.loads(work.key)
        rows.append(
            [
                title(work, results.processes),
                _cell(work, ours, results, OURS),
                "" if work.goal is None else f"{'≥' if work.least else '≤'} {number(work.goal)}",
                _verdict(work, ours),
                *(_peer(work, results, peer) for peer in peers),
                "" if loads is None else f"{loads[0]:.1f}-{loads[1]:.1f}",
            ]
        )
    return _table(head, rows)


def title(work: Work, processes: int) -> str:
    unit = f" ({work.unit})" if work.unit else ""
    return f"{work.what.format(n=f'{processes:,}', half=f'{processes // 2:,}')}{unit}"


def _cell(work: Work, value: float | None, results: Results, peer: str) -> str:
    if value is None:
        return "failed" if _failed(results, peer, work) else "-"
    if not work.key.startswith("failed"):
        return number(value)
    asked = sum(results.values(peer, work.key.replace("failed", "asked")))
    return f"{number(value)} of {asked:,.0f}"


def _peer(work: Work, results: Results, peer: str) -> str:
    value = results.folded(peer, work.key)
    ratio = results.ratio(peer, work.key)
    told = _cell(work, value, results, peer)
    return told if ratio is None or not ratio else f"{told} ({number(ratio)}x)"


def _failed(results: Results, peer: str, work: Work) -> bool:
    return work.key in results.failed.get(peer, {})


def _verdict(work: Work, value: float | None) -> str:
    met = None if value is None else work.met(value)
    return "" if met is None else ("met" if met else "**missed**")


GROWTH = (
    "Circus alone, with that many processes. What is done for all of them is divided by their number; what stays "
    "the same from left to right costs no more for each when there are more."
)


def _growth(results: Results) -> str:
    sizes = results.sizes()
    if len(sizes) < 2:
        return ""
    head = ["work", *(f"{size:,}" for size in sizes), f"{sizes[-1]:,} against {sizes[0]:,}"]
    rows = []
    for work in results.works():
        values = [results.folded(OURS, work.key, size) for size in sizes]
        if sum(value is not None for value in values) < 2:
            continue
        costs = [
            None if value is None else value / (size if work.grows else 1)
            for value, size in zip(values, sizes, strict=True)
        ]
        scale, unit = _small(work)
        first, last = costs[0], costs[-1]
        rows.append(
            [
                f"{work.what.format(n='all', half='half')} ({unit})",
                *("-" if cost is None else number(cost * scale) for cost in costs),
                "" if not first or last is None else f"{number(last / first)}x",
            ]
        )
    return "\n\n".join(
        [
            "## As processes become more",
            GROWTH,
            _table(head, rows),
        ]
    )


SMALL = {"s": (1e6, "µs"), "ms": (1e3, "µs"), "s/min": (1e6, "µs/min"), "MB": (1e3, "kB"), "% of a core": (1e4, "µs/s")}


def _small(work: Work) -> tuple[float, str]:
    """The factor and the unit of one process's part."""
    if not work.grows:
        return 1.0, work.unit
    factor, unit = SMALL[work.unit]
    return factor, f"{unit} for each"


def _missed(results: Results) -> str:
    lines = []
    for work in results.works():
        value = results.folded(OURS, work.key)
        if value is not None and work.met(value) is False:
            least = min(results.values(OURS, work.key)), max(results.values(OURS, work.key))
            lines.append(
                f"- {title(work, results.processes)}: {number(value)} where {number(work.goal)} is the goal "
                f"(rounds from {number(least[0])} to {number(least[1])})"
            )
    return "\n".join(["## Goals missed", "", *lines]) if lines else ""


def _reasons(results: Results) -> str:
    """A dash in the table has its reason here."""
    lines = []
    for peer in results.peers():
        for key, reason in results.cannot.get(peer, {}).items():
            lines.append(f"- {peer}, {_short(key, results)}: {reason}")
        for key, reason in results.failed.get(peer, {}).items():
            lines.append(f"- {peer}, {_short(key, results)}: failed: {reason}")
    return "\n".join(["## What is not there", "", *lines]) if lines else ""


def _short(key: str, results: Results) -> str:
    for work in results.works():
        if work.key == key:
            return work.what.format(n=f"{results.processes:,}", half=f"{results.processes // 2:,}")
    return key


def _how(results: Results) -> str:
    lines = [f"- {title(work, results.processes)}: {work.hint}" for work in results.works() if work.hint]
    return "\n".join(["## What each number is", "", *lines])


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, ["---"] * len(head), *rows])
