"""What is known of a process at its end: who lives on, whether memory ran out, its last words and last measures.

Collects for the lifecycle, which judges. Invariant: everything is collected before anything of the process is closed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from circus.core import stimuli as told
from circus.core.exit_status import ExitStatus, Leftover
from circus.process import Process
from circus.reach import Reach
from circus.runtime.oom import Witness
from circus.stats.sampler import Sampler

LINES: Final = 5
LONGEST: Final = 200
"""Characters of a line; the whole of it is in the log."""
_SIGKILL: Final = 9

Tail = Callable[[int, str, int, int], list[str]]


class Findings:
    """For all watchers of an arbiter.

    Args:
        reach: knows who belonged to a process.
        sampler: has measured it, if anybody wanted to know.
        witness: knows of OOM kills.
    """

    def __init__(self, reach: Reach, sampler: Sampler, witness: Witness) -> None:
        self._reach, self._sampler, self._witness = reach, sampler, witness

    def at_the_end(self, process: Process, status: ExitStatus, scope: str, tail: Tail) -> told.Reaped:
        """All of it, as the lifecycle is told. `tail` gives the last lines by slot, output, number of lines and pid."""
        evidence = self._witness.ask(process.pid, process.age()) if status.signum == _SIGKILL else None
        words = {name: _cut(tail(process.wid, name, LINES, process.pid)) for name in ("stdout", "stderr")}
        return told.Reaped(
            process.wid,
            process.generation,
            status,
            # Who is only named is asked for when the record is made, by `who_lives_on`.
            leftovers=None if scope == "main" else self._reach.leftovers(process, scope),
            evidence=evidence,
            tail={name: lines for name, lines in words.items() if lines} or None,
            sample=self._sample(process),
        )

    def who_lives_on(self, process: Process | None) -> tuple[Leftover, ...] | None:
        """Who is left of the tree of a process that ended by itself; None where nobody can know."""
        return None if process is None else self._reach.leftovers(process, "main")

    def _sample(self, process: Process) -> dict[str, Any] | None:
        sample = self._sampler.last(process.name, process.wid)
        if sample is None or sample.pid != process.pid:
            return None
        known = msgspec.to_builtins(sample)
        return {name: value for name, value in known.items() if value is not None and name not in _TOLD_ELSEWHERE}


_TOLD_ELSEWHERE: Final = frozenset({"wid", "pid", "generation", "started"})


def _cut(lines: list[str]) -> list[str]:
    return [line if len(line) <= LONGEST else f"{line[:LONGEST]}…" for line in lines]
