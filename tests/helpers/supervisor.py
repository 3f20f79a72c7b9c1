"""The real supervisor, from its own environment: what it reads in a configuration, and its daemon on one.

Invariant: nothing of ours is on its import path.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import signal
import subprocess
from collections.abc import Iterator, Mapping
from typing import Any

from tests.helpers import real
from tests.helpers.daemon import REPOSITORY
from tests.helpers.old_circus import clean_environment
from tests.helpers.waiting import DEADLINE

HERE = REPOSITORY / "tests/compat/supervisor"


def program(name: str) -> str:
    """The path of a program of supervisor."""
    home = pathlib.Path(os.environ.get("CIRCUS_SUPERVISOR_VENV") or REPOSITORY / ".venv-supervisor")
    found = home / "bin" / name
    if not found.exists():
        real.missing(f"supervisor is not installed in {home}: make test installs it")
    return str(found)


def parsed(*configurations: pathlib.Path, environ: Mapping[str, str]) -> list[list[dict[str, Any]] | None]:
    """Each process that supervisor would have, in the order of their starts, for each file; None where it refuses one."""
    done = subprocess.run(
        [program("python"), HERE / "parsed.py", *configurations],
        capture_output=True,
        text=True,
        env=clean_environment(environ),
        timeout=2 * DEADLINE,
    )
    assert done.returncode == 0, done.stderr
    found: list[list[dict[str, Any]] | None] = json.loads(done.stdout)
    return found


@contextlib.contextmanager
def supervisord(configuration: pathlib.Path, environ: Mapping[str, str]) -> Iterator[int]:
    """The daemon in the foreground; gives its pid, and ends it."""
    with (configuration.parent / "supervisord.out").open("wb") as out:
        daemon = subprocess.Popen(
            [program("supervisord"), "-n", "-c", configuration],
            cwd=configuration.parent,
            env=clean_environment(environ),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
        )
        try:
            yield daemon.pid
        finally:
            daemon.send_signal(signal.SIGTERM)
            daemon.wait(DEADLINE)
