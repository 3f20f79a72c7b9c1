"""A page of the documentation as a session: the commands on it, and whether what they print is what it shows."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.helpers.waiting import DEADLINE

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: str) -> list[tuple[str, str]]:
    """(language, text) of each block of code that names its language."""
    return BLOCK.findall(page)


def steps(page: str) -> Iterator[tuple[str, list[str]]]:
    """The commands of the page with the lines shown below each."""
    for kind, text in blocks(page):
        if kind == "console":
            for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
                command, *shown = part.splitlines()
                yield command, shown


def type_in(command: str, shown: Sequence[str], directory: Path, env: Mapping[str, str]) -> None:
    """Run one command; it must succeed and print the shown lines.

    Numbers may differ, each line may go on, and `…` stands for lines or the rest of one.
    """
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=directory,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,  # as on a terminal
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert done.returncode == 0, f"{command}: {done.stdout}"
    lacking = missing(shown, done.stdout)
    assert not lacking, f"{command}: {lacking} not in {done.stdout}"


def missing(shown: Sequence[str], printed: str) -> list[str]:
    """The shown lines, as they are compared, that were not printed."""
    wanted = [line for line in map(without_numbers, shown) if line]
    there = list(map(without_numbers, printed.splitlines()))
    return [line for line in wanted if not any(other.startswith(line) for other in there)]


def without_numbers(line: str) -> str:
    """A line as it is each time: numbers differ, and what follows an ellipsis is not shown."""
    return re.sub(r"[\d.]+", "N", re.sub(r" +", " ", line)).partition("…")[0].strip()
