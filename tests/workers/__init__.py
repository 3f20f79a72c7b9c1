"""Real little programs that the tests let Circus supervise. `python(NAME, *words)` is the command line of one."""

from __future__ import annotations

import pathlib
import shlex
import sys

HERE = pathlib.Path(__file__).resolve().parent


def python(name: str, *words: object) -> str:
    """The command line that runs `NAME.py` here with this interpreter, quoted for an ini file."""
    return shlex.join([sys.executable, str(HERE / f"{name}.py"), *map(str, words)])
