"""Make `out/` from its parts: `python -m dashboards.build`, or with `--check` only tell what is not fresh.

A part is a module with `def files() -> dict[str, str]`: paths below `out/`, and the text of each. Owns the directory
`out/`: what no part makes is removed from it. It refuses to know what the files say. Invariant: no two parts make one file,
and the same sources make the same bytes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Final

PARTS: Final = ("dashboards.alerts", "dashboards.grafana")
OUT: Final = Path(__file__).parent / "out"


def built() -> dict[str, str]:
    """Every file that belongs into `out/`, by its path there. ValueError if two parts make the same one."""
    made: dict[str, str] = {}
    for part in PARTS:
        for path, text in import_module(part).files().items():
            if path in made:
                raise ValueError(f"{part} makes {path}, which another part makes too")
            made[path] = text
    return dict(sorted(made.items()))


def stale(made: Mapping[str, str], directory: Path = OUT) -> dict[str, str]:
    """What of the directory is not as made: the path of each such file, and what is wrong with it."""
    there = {str(path.relative_to(directory)): path for path in directory.rglob("*") if path.is_file()}
    found = {path: "missing" for path in made if path not in there}
    found |= {path: "made by no part" for path in there if path not in made}
    found |= {path: "changed" for path, text in made.items() if path in there and there[path].read_text() != text}
    return dict(sorted(found.items()))


def write(made: Mapping[str, str], directory: Path = OUT) -> None:
    """Let the directory have exactly these files."""
    for path in stale(made, directory):
        if path in made:
            (directory / path).parent.mkdir(parents=True, exist_ok=True)
            (directory / path).write_text(made[path])
        else:
            (directory / path).unlink()


def main(argv: Sequence[str] | None = None) -> int:
    """The exit status: 1 if `--check` found something."""
    parser = argparse.ArgumentParser(prog="python -m dashboards.build", description="Make dashboards/out.")
    parser.add_argument("--check", action="store_true", help="write nothing, tell what is not fresh")
    arguments = parser.parse_args(argv)
    made = built()
    found = stale(made)
    for path, wrong in found.items():
        sys.stdout.write(f"{path}: {wrong}\n")
    if not arguments.check:
        write(made)
    return 1 if found and arguments.check else 0


if __name__ == "__main__":
    sys.path.insert(0, str(OUT.parents[1]))  # for `python dashboards/build.py`
    sys.exit(main())
