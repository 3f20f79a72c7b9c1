"""Programs and functions that are told of alerts on this machine.

Owns the process and the thread that run what is not ours, and their time limit. Invariant: whatever they do, the exporter
goes on: a program is killed with its whole process group at the limit, a function that does not return keeps its thread and
nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import shlex
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Sequence
from typing import IO, Any

from circus.exc import CircusError
from circus.spec.alerts import NotifySpec
from circus_exporters.alerts import messages
from circus_exporters.alerts.messages import Notice
from circus_exporters.attempts import Outcome, shown

_TAIL = 200


class ExecSink:
    """A program that gets the document on its standard input; status 0 says that it was delivered."""

    mixed = False

    def __init__(self, spec: NotifySpec, instance: str) -> None:
        assert spec.cmd is not None
        self._spec = spec
        self._words = shlex.split(spec.cmd)
        self._instance = instance
        self.shown = self._words[0]

    def check(self) -> None:
        if shutil.which(self._words[0]) is None:
            raise CircusError(f"[notify:{self._spec.name}]: there is no program {self._words[0]} that can be executed")

    async def deliver(self, notices: Sequence[Notice]) -> Outcome:
        document = messages.webhook(notices, receiver=self._spec.name, instance=self._instance)
        # Files, not pipes: a program that does not read, or leaves a child behind that holds its output, holds nobody up.
        with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as told:
            given.write(messages.encoded(document))
            given.seek(0)
            try:
                process = await asyncio.create_subprocess_exec(
                    *self._words, stdin=given, stdout=asyncio.subprocess.DEVNULL, stderr=told, start_new_session=True
                )
            except OSError as error:
                return Outcome(problem=f"{self._words[0]}: {error.strerror or error}", kind="error")
            try:
                status = await asyncio.wait_for(process.wait(), self._spec.timeout_seconds)
            except TimeoutError:
                problem = f"it did not end within {self._spec.timeout_seconds:g} seconds and was killed"
                return Outcome(problem=problem, again=True, kind="timeout")
            finally:
                if process.returncode is None:
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(process.pid, signal.SIGKILL)
                    await asyncio.shield(process.wait())
            if status == 0:
                return Outcome()
            how = f"status {status}" if status > 0 else signal.Signals(-status).name
            return Outcome(problem=f"it ended with {how}: {_end_of(told)}".rstrip(": "), again=True, kind="error")

    async def close(self) -> None:
        pass


def _end_of(file: IO[bytes]) -> str:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(size - _TAIL, 0))
    return shown(file.read())


class PythonSink:
    """A function that is called with the document, in a thread; returning says that it was delivered."""

    mixed = False

    def __init__(self, spec: NotifySpec, instance: str) -> None:
        assert spec.callable is not None
        self._spec = spec
        self._instance = instance
        self.shown = spec.callable
        self._function: Callable[[Any], object] | None = None
        self._running = False

    def check(self) -> None:
        try:
            self._function = _found(self.shown)
        except (Exception, SystemExit) as error:  # what a module raises when it is imported is anything
            raise CircusError(f"[notify:{self._spec.name}]: {_told(self.shown, error)}") from error

    async def deliver(self, notices: Sequence[Notice]) -> Outcome:
        if self._running:
            return Outcome(problem=f"an earlier call of {self.shown} has not returned", again=True, kind="timeout")
        if self._function is None:
            try:
                self._function = _found(self.shown)
            except (Exception, SystemExit) as error:  # as above
                return Outcome(problem=_told(self.shown, error), kind="error")
        document = messages.webhook(notices, receiver=self._spec.name, instance=self._instance)
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[str | None] = loop.create_future()
        function = self._function

        def end(problem: str | None) -> None:
            self._running = False
            if not ended.done():
                ended.set_result(problem)

        def call() -> None:
            problem = None
            try:
                function(document)
            except BaseException as error:  # SystemExit of somebody else's function is no end of ours
                problem = f"{self.shown} raised {type(error).__name__}: {error}"
            with contextlib.suppress(RuntimeError):  # the loop may be closed by now
                loop.call_soon_threadsafe(end, problem)

        # Not of a pool: one that hangs must not keep the exporter from leaving.
        self._running = True
        threading.Thread(target=call, name=f"notify-{self._spec.name}", daemon=True).start()
        try:
            problem = await asyncio.wait_for(ended, self._spec.timeout_seconds)
        except TimeoutError:
            problem = f"{self.shown} did not return within {self._spec.timeout_seconds:g} seconds"
            return Outcome(problem=problem, again=True, kind="timeout")
        if problem is not None:
            return Outcome(problem=shown(problem.encode(errors="replace")), again=True, kind="error")
        return Outcome()

    async def close(self) -> None:
        pass


def _found(dotted: str) -> Callable[[Any], object]:
    """What `package.module.function` or `package.module:function` names; raises whatever the import does."""
    module, _, name = dotted.replace(":", ".").rpartition(".")
    function = getattr(importlib.import_module(module), name)
    if not callable(function):
        raise TypeError(f"{dotted} cannot be called")
    found: Callable[[Any], object] = function
    return found


def _told(dotted: str, error: BaseException) -> str:
    return f"the function {dotted} cannot be used: {type(error).__name__}: {error}"
