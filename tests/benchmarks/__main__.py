"""Runs the benchmarks named on the command line, or all, one after the other, and prints one table."""

from __future__ import annotations

import argparse
import importlib
import os
import pathlib
import platform
import sys
import time

from tests.benchmarks.report import Row, table
from tests.helpers import proc

HERE = pathlib.Path(__file__).parent


def main() -> int:
    """0, whatever was measured; 1 when a benchmark could not be run."""
    known = sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py"))
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=main.__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of: {', '.join(known)}")
    names = parser.parse_args().names or known
    unknown = set(names) - set(known)
    if unknown:
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    proc.become_subreaper()
    print(
        f"{platform.system()} {platform.release()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, "
        f"Python {platform.python_version()}\n"
    )
    failed = []
    for name in names:
        module = importlib.import_module(f"tests.benchmarks.bench_{name}")
        print(f"-- {name}: {(module.__doc__ or '').splitlines()[0]}", flush=True)
        began = time.monotonic()
        rows: list[Row] = []
        try:
            rows.extend(module.run())
        except Exception as error:  # the other benchmarks are still worth running
            failed.append(name)
            print(f"   {type(error).__name__}: {error}")
        finally:
            for left in proc.own_children():
                proc.end(left)
        print(table(rows))
        print(f"   ({time.monotonic() - began:.0f} s)\n", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
