"""Programs that use circus as a library print the same with circus 0.19.0 and with ours, line by line.

What is in `programs` runs with either; a program says itself what it leaves out because it differs on purpose.
"""

from __future__ import annotations

import difflib
import pathlib
import subprocess
import sys
import tempfile

import pytest

from tests.helpers import real
from tests.helpers.old_circus import clean_environment
from tests.helpers.waiting import DEADLINE

PROGRAMS = sorted(pathlib.Path(__file__).parent.glob("programs/*.py"))


def run(python: str, program: pathlib.Path) -> tuple[list[str], str]:
    """What a program prints, and what it complains of. Nothing of the present directory is on its import path."""
    with tempfile.TemporaryDirectory(prefix="circus-") as place:
        done = subprocess.run(
            [python, "-I", str(program), place],
            capture_output=True,
            text=True,
            timeout=2 * DEADLINE,
            cwd="/",
            env=clean_environment({"PYTHONWARNINGS": "ignore"}),
        )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines(), done.stderr


@pytest.mark.real
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_a_program_prints_what_it_printed_with_0_19(program: pathlib.Path) -> None:
    theirs, _ = run(real.old_circus("python"), program)
    ours, complaints = run(sys.executable, program)
    assert ours == theirs, "\n".join(difflib.unified_diff(theirs, ours, "0.19.0", "ours", lineterm=""))
    assert complaints == ""
