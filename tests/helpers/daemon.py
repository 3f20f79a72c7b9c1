"""The real circusd on an ini text: started, asked, listened to, stopped by pid.

Owns one daemon process, its directory of sockets and its log. Invariant: after `stop` neither the daemon nor
anything below it lives; what was left over is told, ended, and fails the test that did not ask for it.
"""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import Any, Self

import zmq

from tests.helpers import proc
from tests.helpers.channels import Caller, NoAnswer, Recorder
from tests.helpers.waiting import DEADLINE, wait_until

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]


def script(name: str) -> str:
    """The path of a console script of this installation."""
    return str(pathlib.Path(sys.executable).parent / name)


class Daemon:
    """One circusd. The ini text needs no `[circus]`; endpoints that it does not name are ipc sockets of our own
    (None among the options leaves one to circusd).

    `endpoint`, `pubsub_endpoint` and `stats_endpoint` are where to reach it; `ini` and `log` are files. `through` are
    words in front of circusd: a program that changes something and then executes it. `module` is what somebody else
    wrote and what circusd and circusctl import before they begin.
    """

    def __init__(
        self,
        ini: str,
        directory: pathlib.Path,
        *,
        env: Mapping[str, str | None] | None = None,
        arguments: Sequence[str] = (),
        options: Mapping[str, object] | None = None,
        through: Sequence[str] = (),
        module: str | None = None,
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        # A path below tmp_path can be longer than the 107 bytes that a unix socket may have.
        self._sockets = pathlib.Path(tempfile.mkdtemp(prefix="circus-"))
        self.directory = directory
        self.endpoint = f"ipc://{self._sockets}/control"
        self.pubsub_endpoint = f"ipc://{self._sockets}/events"
        self.stats_endpoint = f"ipc://{self._sockets}/stats"
        self.ini = directory / "circus.ini"
        self.log = directory / "circusd.log"
        own = {
            "endpoint": self.endpoint,
            "pubsub_endpoint": self.pubsub_endpoint,
            "stats_endpoint": self.stats_endpoint,
            "multicast_endpoint": "",
            **(options or {}),
        }
        # Sections of one name are merged; what the test wrote stays, and nothing is written a second time.
        section = "".join(match[0] for match in re.finditer(r"^\[circus\]\n(?:(?!\[).*(?:\n|$))*", ini, re.MULTILINE))
        written = set(re.findall(r"^(\w+)\s*[=:]", section, re.MULTILINE))
        given = [f"{name} = {value}\n" for name, value in own.items() if value is not None and name not in written]
        self.ini.write_text(ini + "\n[circus]\n" + "".join(given))
        self._env = {**os.environ, "PYTHONUNBUFFERED": "1", "XDG_RUNTIME_DIR": str(self._sockets)}
        for name, value in (env or {}).items():
            if value is None:
                self._env.pop(name, None)
            else:
                self._env[name] = value
        self._module = module
        self._command = [*through, *self._program("circusd"), *arguments, str(self.ini)]
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context(io_threads=1)
        self._caller: Caller | None = None
        self._recorders: list[Recorder] = []
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def environ(self) -> Mapping[str, str]:
        """What it is started with."""
        return self._env

    def _program(self, name: str) -> list[str]:
        """The words that run circusd or circusctl."""
        if self._module is None:
            return [self._script(name)]
        return [self._script("python"), "-c", f"import {self._module}, circus.{name} as program; program.main()"]

    def _script(self, name: str) -> str:
        return script(name)

    # -- life ----------------------------------------------------------------------------------------------------

    def spawn(self) -> Self:
        """Start the program and do not wait for anything."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._env,
                cwd=self.directory,
            )
        return self

    def start(self, deadline: float = DEADLINE) -> Self:
        """Start it and wait until it answers."""
        self.spawn()
        self.wait_answering(deadline)
        return self

    def wait_answering(self, deadline: float = DEADLINE) -> None:
        def answers() -> bool:
            if self.returncode is not None:
                raise AssertionError(f"circusd ended with {self.returncode}:\n{self.log_text()}")
            try:
                return bool(self.call("numwatchers", timeout=0.5)["status"] == "ok")
            except NoAnswer:
                return False

        wait_until(answers, deadline, self.log_text)

    @property
    def pid(self) -> int:
        assert self.process is not None, "not started"
        return self.process.pid

    @property
    def returncode(self) -> int | None:
        """The exit status, None while it lives."""
        return None if self.process is None else self.process.poll()

    def wait(self, deadline: float = DEADLINE) -> int:
        """Its exit status, once it has ended by itself."""
        assert self.process is not None, "not started"
        try:
            return self.process.wait(deadline)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"circusd still lives after {deadline} s:\n{self.log_text()}") from None

    def signal(self, signum: int) -> None:
        assert self.process is not None, "not started"
        self.process.send_signal(signum)

    def stop(self, deadline: float = DEADLINE) -> list[str]:
        """SIGTERM and wait, then SIGKILL; returns what had to be ended by force, in words. Safe to call twice."""
        forced = []
        if self.process is not None and self.process.poll() is None:
            below = proc.descendants(self.pid)
            self.process.terminate()
            try:
                self.process.wait(deadline)
            except subprocess.TimeoutExpired:
                forced.append(f"circusd {self.pid}: no end within {deadline} s of SIGTERM")
                below |= proc.descendants(self.pid)
                self.process.kill()
                self.process.wait()
            forced += self._end_survivors(below)
        self._close()
        return forced

    def kill(self) -> set[int]:
        """SIGKILL to the daemon alone; the pids below it that outlive it, for the test to look at and to end."""
        assert self.process is not None, "not started"
        below = proc.descendants(self.pid)
        self.process.kill()
        self.process.wait()
        return {pid for pid in below if proc.alive(pid)}

    def _end_survivors(self, pids: set[int]) -> list[str]:
        told = []
        until = time.monotonic() + 1.0  # what was signalled just before the daemon left may need a moment to die
        for pid in sorted(pids):
            while proc.alive(pid) and time.monotonic() < until:
                time.sleep(0.01)
            if proc.alive(pid):
                told.append(f"survivor {proc.describe(pid)}")
                os.kill(pid, signal.SIGKILL)
        return told

    def _close(self) -> None:
        for recorder in self._recorders:
            recorder.close()
        self._recorders.clear()
        if self._caller is not None:
            self._caller.close()
            self._caller = None
        if not self._context.closed:
            self._context.destroy(linger=0)
        shutil.rmtree(self._sockets, ignore_errors=True)

    # -- asking --------------------------------------------------------------------------------------------------

    def call(self, command: str, *, timeout: float = DEADLINE, **properties: Any) -> dict[str, Any]:
        """The reply to a command, errors included."""
        if self._caller is None:
            self._caller = self.caller()
        return self._caller.call(command, timeout=timeout, **properties)

    def ok(self, command: str, *, timeout: float = DEADLINE, **properties: Any) -> dict[str, Any]:
        """The reply to a command that must not fail."""
        reply = self.call(command, timeout=timeout, **properties)
        assert reply["status"] != "error", f"{command} {properties}: {reply.get('reason')}"
        return reply

    def caller(self) -> Caller:
        """One more connection to the control endpoint; the test closes it (`with daemon.caller() as other`)."""
        return Caller(self.endpoint, self._context)

    def pids(self, watcher: str) -> list[int]:
        pids: list[int] = self.ok("list", name=watcher)["pids"]
        return pids

    def status(self, watcher: str) -> str:
        status: str = self.call("status", name=watcher)["status"]
        return status

    def wait_status(self, watcher: str, status: str, deadline: float = DEADLINE) -> None:
        wait_until(lambda: self.status(watcher) == status, deadline, lambda: f"{watcher} is {self.status(watcher)}")

    def wait_state(self, watcher: str, state: str, deadline: float = DEADLINE) -> dict[str, Any]:
        """What `telemetry` says of a watcher once it is in that state (more of them than `status` tells: fatal, …)."""

        def there() -> dict[str, Any] | None:
            told = self.telemetry(watcher)
            return told if told["state"] == state else None

        return (
            wait_until(there, deadline, lambda: f"{watcher}: {self.telemetry(watcher)['state']}\n{self.log_text()}")
            or {}
        )

    def wait_pids(self, watcher: str, count: int, deadline: float = DEADLINE, without: Sequence[int] = ()) -> list[int]:
        """The pids of a watcher once there are `count` of them and none of `without` is among them."""

        def there() -> list[int]:
            pids = self.pids(watcher)
            return pids if len(pids) == count and not set(pids) & set(without) else []

        if count == 0:
            wait_until(lambda: not self.pids(watcher), deadline)
            return []
        return wait_until(there, deadline, lambda: f"{watcher} has {self.pids(watcher)}\n{self.log_text()}")

    def telemetry(self, watcher: str) -> dict[str, Any]:
        """The part of `telemetry` about one watcher."""
        reply = self.ok("telemetry", watchers=watcher)
        return next(found for found in reply["watchers"] if found["name"].lower() == watcher.lower())

    # -- listening -----------------------------------------------------------------------------------------------

    def events(self, *prefixes: str) -> Recorder:
        """A recorder on the events channel (everything without prefixes), in force when this returns."""
        return self._record(self.pubsub_endpoint, prefixes or ("",))

    def stats(self, *prefixes: str) -> Recorder:
        """A recorder on the stats channel."""
        return self._record(self.stats_endpoint, prefixes or ("",))

    def _record(self, endpoint: str, prefixes: tuple[str, ...]) -> Recorder:
        recorder = Recorder(endpoint, prefixes, self._context)
        self._recorders.append(recorder)
        # Questions alone do not tell that the subscription has arrived: as long as they come quickly the daemon's loop
        # reads them and nothing else. Left alone for a moment, and not kept from running, it comes to its other sockets.
        quick = 0
        for _ in range(100):
            time.sleep(0.01)
            asked = time.monotonic()
            self.call("numwatchers")
            quick = quick + 1 if time.monotonic() - asked < 0.01 else 0
            if quick == 2:
                break
        return recorder

    # -- files ---------------------------------------------------------------------------------------------------

    def log_text(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def circusctl(
        self, *words: str, stdin: str | None = None, timeout: float = DEADLINE
    ) -> subprocess.CompletedProcess[str]:
        """Run circusctl against this daemon."""
        return subprocess.run(
            [*self._program("circusctl"), "--endpoint", self.endpoint, *words],
            input=stdin if stdin is not None else "",
            capture_output=True,
            text=True,
            timeout=timeout,
            env=None if self._module is None else self._env,
            check=False,
        )
