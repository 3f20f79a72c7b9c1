"""Runs the supervisors on the same work, one after the other and that several times, and prints what it took them.

`python -m tests.benchmarks.peers --json FILE` writes all numbers. `--keep FILE` makes those of such a file the ones that
docs/reference/performance.md shows.
"""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence

from tests.benchmarks.peers import kinds
from tests.benchmarks.peers.catalogue import BY_KEY
from tests.benchmarks.peers.measure import MEASUREMENTS, QUICK, Plan, measured
from tests.benchmarks.peers.page import PAGE, RESULTS, fresh, tables
from tests.benchmarks.peers.results import OURS, Results, machine, today
from tests.benchmarks.peers.supervisors import Cannot, Programs, Supervisor
from tests.benchmarks.report import number
from tests.helpers import proc

Made = tuple[type[Supervisor], dict[str, object]]


def place(text: str) -> pathlib.Path:
    """A directory, from wherever it is used."""
    return pathlib.Path(text).absolute()


def command_line() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.peers", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--circus", type=place, metavar="BIN", help="where our circusd and circusctl are")
    parser.add_argument("--circus-0.19", dest="old", type=place, metavar="BIN", help="the same of 0.19.0")
    parser.add_argument("--supervisor", type=place, metavar="BIN", help="where supervisord is")
    parser.add_argument(
        "--beside",
        action="append",
        default=[],
        metavar="NAME=BIN",
        help="one more circus of ours, for a comparison of two states of it",
    )
    parser.add_argument("--only", metavar="PEER[,PEER]", help="these alone (circus, circus 0.19, supervisor, ...)")
    parser.add_argument("--work", metavar="NAME[,NAME]", help=f"of {', '.join(MEASUREMENTS)}; all without it")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="rounds, 3 by default")
    parser.add_argument(
        "--minutes",
        type=float,
        default=25.0,
        metavar="N",
        help="no further round is begun that would not be over in time (25 by default)",
    )
    parser.add_argument("--processes", type=int, metavar="N", help="1,000 by default")
    parser.add_argument("--kills", type=int, metavar="N", help="single deaths in a round, 60 by default")
    parser.add_argument(
        "--sizes",
        default="100,1000,5000",
        metavar="N[,N]",
        help="how many processes circus alone is measured with to see how it grows; 0 leaves that out",
    )
    parser.add_argument("--quick", action="store_true", help="200 processes and one round, for a smaller machine")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write all numbers there")
    parser.add_argument("--page", type=pathlib.Path, metavar="FILE", help="measure nothing, print the tables of a file")
    parser.add_argument("--keep", type=pathlib.Path, metavar="FILE", help="measure nothing, put them on the page")
    return parser


def main() -> int:
    """0, whatever was measured; 1 when a measurement of circus itself failed; 2 when nothing could be measured."""
    given = command_line().parse_args()
    if given.page is not None:
        print(tables(Results.read(given.page)))
        return 0
    if given.keep is not None:
        Results.read(given.keep).write(RESULTS)
        PAGE.write_text(fresh(PAGE.read_text()))
        return 0
    proc.become_subreaper()
    with tempfile.TemporaryDirectory(prefix="circus-programs-") as name:
        try:
            programs = Programs(pathlib.Path(name))
        except RuntimeError as error:
            print(f"tests.benchmarks.peers: {error}", file=sys.stderr)
            return 2
        return Run(given, programs).all()


class Run:
    """One run: who, what, how often."""

    def __init__(self, given: argparse.Namespace, programs: Programs) -> None:
        plan = QUICK if given.quick else Plan()
        if given.processes:
            plan = dataclasses.replace(plan, processes=given.processes)
        if given.kills:
            plan = dataclasses.replace(plan, kills=given.kills)
        self._plan = plan
        self._programs = programs
        self._json: pathlib.Path | None = given.json
        self._peers = peers(given)
        self._work = given.work.split(",") if given.work else list(MEASUREMENTS)
        self._minutes = float(given.minutes)
        self._rounds = 1 if given.quick else given.rounds
        sizes = [int(size) for size in given.sizes.split(",") if int(size)]
        self._sizes = [size for size in sizes if size != plan.processes and (not given.quick or size <= 500)]
        versions = {name: self._version(made) for name, made in self._peers.items()}
        self._results = Results(date=today(), machine=machine(), versions=versions, processes=plan.processes)

    def _version(self, made: Made) -> str:
        kind, keywords = made
        return kind(pathlib.Path("/"), self._programs, **keywords).version()

    def all(self) -> int:
        began = time.monotonic()
        for turn in range(self._rounds):
            each = (time.monotonic() - began) / 60 / max(1, turn)
            # What is done once for each size takes about as long as one more round.
            if turn and each * (turn + 2) > self._minutes:
                print(f"a round takes {each:.0f} minutes: this was the last of {self._rounds}", flush=True)
                break
            names = list(self._peers)
            # Each begins a round once, so that none is always measured in the wake of the same other one.
            order = names[turn % len(names) :] + names[: turn % len(names)]
            for work in self._work:
                for peer in order:
                    self._measure(work, peer, self._plan, turn)
        for size in self._sizes:
            plan = dataclasses.replace(self._plan, processes=size)
            for work in self._work:
                if OURS in self._peers and work in {"fleet", "numbers"}:
                    self._measure(work, OURS, plan, 0)
        print(f"\n{tables(self._results)}\n\n({(time.monotonic() - began) / 60:.1f} minutes)")
        return 1 if self._results.failed.get(OURS) else 0

    def _measure(self, work: str, peer: str, plan: Plan, turn: int) -> None:
        results, (kind, keywords) = self._results, self._peers[peer]
        if work in results.cannot.get(peer, {}):
            return
        try:
            for key, value in measured(work, kind, self._programs, plan, **keywords):
                if isinstance(value, Cannot):
                    results.cannot.setdefault(peer, {})[key] = str(value)
                    continue
                made = results.add(peer, key, plan.processes, turn, value)
                unit = BY_KEY[key].unit if key in BY_KEY else ""
                what = f"{peer:12} {plan.processes:5} {key:15} {number(value):>8} {unit}"
                print(f"[round {turn + 1}, load {made.load:4.1f}] {what}", flush=True)
        except Exception as error:  # the others are still worth measuring
            told = " ".join(f"{type(error).__name__}: {error}".split())
            results.failed.setdefault(peer, {})[work] = told[:200]
            print(f"   {peer}, {work}: {told}\n{''.join(getattr(error, '__notes__', []))}", flush=True)
        finally:
            for left in proc.own_children():
                proc.end(left)
        if self._json is not None:
            results.write(self._json)


def peers(given: argparse.Namespace) -> dict[str, Made]:
    """Who is there, in the order of the table; who is not is told."""
    found: dict[str, Made] = {}
    own = given.circus or pathlib.Path(sys.executable).parent
    found[OURS] = (kinds.Circus, {"bin": own})
    for pair in given.beside:
        name, _, where = pair.partition("=")
        found[name] = (kinds.Circus, {"bin": place(where)})
    for kind, there in ((kinds.OldCircus, given.old), (kinds.Supervisord, given.supervisor)):
        if there is not None:
            found[kind.name] = (kind, {"bin": there})
    for kind, program in ((kinds.Runit, "runsvdir"), (kinds.S6, "s6-svscan")):
        if shutil.which(program):
            found[kind.name] = (kind, {})
        else:
            print(f"no {program} here; {kind.name} is left out (on Debian: apt install {kind.name})", file=sys.stderr)
    found[kinds.Bare.name] = (kinds.Bare, {})
    return chosen(found, given.only.split(",") if given.only else list(found))


def chosen(found: Mapping[str, Made], names: Sequence[str]) -> dict[str, Made]:
    unknown = set(names) - set(found)
    if unknown:
        raise SystemExit(f"no peer {', '.join(sorted(unknown))}; there are {', '.join(found)}")
    return {name: found[name] for name in found if name in names}


if __name__ == "__main__":
    sys.exit(main())
