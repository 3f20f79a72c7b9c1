"""A circusd that is killed, and what it leaves: who lives, what the state file says, and an end for everybody.

Invariant: whatever a test did, no survivor is left when it is over.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
from collections.abc import Callable, Iterator

import pytest

from tests.helpers import proc
from tests.helpers.daemon import Daemon

Start = Callable[..., Daemon]


class Scene:
    """Daemons whose state files are below one runtime directory."""

    def __init__(self, circusd: Start, directory: pathlib.Path) -> None:
        self._circusd, self.directory = circusd, directory
        self.known: set[int] = set()

    def circusd(self, ini: str, **keywords: object) -> Daemon:
        """A daemon; `env` and the like as always."""
        env = {"CIRCUS_RUNTIME_DIR": str(self.directory), **(keywords.pop("env", None) or {})}  # type: ignore[dict-item]
        return self._circusd(ini, env=env, **keywords)

    def kill(self, daemon: Daemon) -> set[int]:
        """SIGKILL to circusd; who lives on."""
        left = daemon.kill()
        self.known |= left
        return left

    def state_files(self) -> list[pathlib.Path]:
        """Those of all daemons."""
        return sorted(self.directory.glob("circus/*/workers"))

    def end(self) -> None:
        """Nobody is left."""
        below = proc.descendants(os.getpid())
        for pid in self.known:
            if pid in below:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, 0)


@pytest.fixture
def scene(circusd: Start, tmp_path: pathlib.Path) -> Iterator[Scene]:
    """A place for daemons that are killed."""
    directory = tmp_path / "run"
    directory.mkdir()
    made = Scene(circusd, directory)
    yield made
    made.end()
