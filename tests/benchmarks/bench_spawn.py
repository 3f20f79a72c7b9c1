"""Starting 1,000 /bin/sleep, against a bare loop over the same command in the same run."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator

from tests.benchmarks.bare import start_bare
from tests.benchmarks.daemons import PROCESSES, SLEEP, daemon, usage
from tests.benchmarks.report import Row, median

ROUNDS = 3


def run() -> Iterator[Row]:
    ours, bare, cpu, noted, noted_cpu = [], [], [], [], []
    for _ in range(ROUNDS):
        with start_bare(PROCESSES, shlex.split(SLEEP)) as seconds:
            bare.append(seconds)
        for option, times, used in (("", ours, cpu), ("orphans = adopt\n", noted, noted_cpu)):
            elapsed, spent = _start(option)
            times.append(elapsed)
            used.append(spent)
    ratios = [one / other for one, other in zip(ours, bare, strict=True)]
    yield Row(
        what=f"start {PROCESSES}: ratio to the bare loop",
        measured=median(ratios),
        unit="times",
        target=1.4,
        note=f"rounds {', '.join(f'{ratio:.2f}' for ratio in ratios)}",
    )
    yield Row(what=f"start {PROCESSES}: from command to answer", measured=median(ours), unit="s")
    yield Row(what=f"start {PROCESSES}: bare vfork+exec loop", measured=median(bare), unit="s")
    yield Row(what="daemon CPU for each process started", measured=median(cpu) / PROCESSES * 1e6, unit="us")
    ratios = [one / other for one, other in zip(noted, ours, strict=True)]
    yield Row(
        what=f"start {PROCESSES} with orphans = adopt: ratio to without",
        measured=median(ratios),
        unit="times",
        target=1.05,
        note=f"rounds {', '.join(f'{ratio:.2f}' for ratio in ratios)}",
    )
    more = [(one - other) / PROCESSES * 1e6 for one, other in zip(noted_cpu, cpu, strict=True)]
    yield Row(what="the same: more daemon CPU for each process started", measured=median(more), unit="us")


def _start(option: str) -> tuple[float, float]:
    """(seconds from the command to its answer, CPU seconds of the daemon) for a thousand processes."""
    ini = f"[watcher:s]\ncmd = {SLEEP}\nnumprocesses = {PROCESSES}\nautostart = False\n{option}"
    with daemon(ini) as made:
        before = usage(made.pid)
        began = time.perf_counter()
        reply = made.ok("start", name="s", waiting=True, timeout=60.0)
        elapsed = time.perf_counter() - began
        spent = usage(made.pid) - before
        started = len(reply["info"]["started"])
        assert started == PROCESSES, f"{started} were started"
    return elapsed, spent.cpu_seconds
