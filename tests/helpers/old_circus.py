"""circusd 0.19.0, from its own environment, with the face of `Daemon`.

Invariant: nothing of ours is on its import path, and when `stop` returns it is gone with all that it started.
"""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
from collections.abc import Mapping
from typing import Any

from tests.helpers import proc, real
from tests.helpers.channels import NoAnswer
from tests.helpers.daemon import Daemon
from tests.helpers.waiting import DEADLINE, wait_until

REFUSED = re.compile(r"arbiter is already running \w+ command|arbiter is restarting")

READING = {"list", "listsockets", "numprocesses", "numwatchers", "status"}


def clean_environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Without what could lead an interpreter to our code."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "CIRCUS"))}
    return {**clean, **(more or {})}


class OldDaemon(Daemon):
    """circusd 0.19.0 on an ini text.

    It refuses a command while another one runs; `call` asks again until it is not refused, which is the one
    difference that would otherwise be in everything.
    """

    def __init__(
        self,
        ini: str,
        directory: pathlib.Path,
        *,
        env: Mapping[str, str] | None = None,
        options: Mapping[str, object] | None = None,
        module: str | None = None,
    ) -> None:
        super().__init__(ini, directory, options={"stats_endpoint": None, **(options or {})}, module=module)
        self._env = clean_environment({"PYTHONUNBUFFERED": "1", "PYTHONWARNINGS": "ignore", **(env or {})})

    def _script(self, name: str) -> str:
        return real.old_circus(name)

    def call(self, command: str, *, timeout: float = DEADLINE, **properties: Any) -> dict[str, Any]:
        def answer() -> dict[str, Any] | None:
            try:
                reply = super(OldDaemon, self).call(command, timeout=timeout / again, **properties)
            except NoAnswer:
                if again == 1:
                    raise
                return None
            return None if REFUSED.search(str(reply.get("reason"))) else reply

        # What comes while it restarts itself is lost; a question can be asked again.
        again = 10 if command in READING else 1

        return wait_until(answer, what=f"{command} is always refused") or {}

    def circusctl(
        self, *words: str, stdin: str | None = None, timeout: float = DEADLINE
    ) -> subprocess.CompletedProcess[str]:
        def done() -> subprocess.CompletedProcess[str] | None:
            ran = subprocess.run(
                [*self._program("circusctl"), "--endpoint", self.endpoint, *words],
                input=stdin or "",
                capture_output=True,
                text=True,
                timeout=timeout,
                env=self._env,
                cwd=self.directory,
                check=False,
            )
            return None if REFUSED.search(ran.stdout + ran.stderr) else ran

        return wait_until(done, what=f"{words} is always refused")

    def stop(self, deadline: float = DEADLINE) -> list[str]:
        below = set() if self.process is None else proc.descendants(self.pid)
        # It drops a SIGTERM that comes while it looks after its watchers.
        if self.process is not None and self.process.poll() is None:
            try:
                self.call("quit", waiting=True)
                self.process.wait(deadline)
            except (NoAnswer, subprocess.TimeoutExpired, AssertionError):
                pass
        # It also leaves what it started while it was told to end.
        return super().stop(deadline) + self._end_survivors(below)
