"""How the processes of one watcher are made and what happens to their output.

Works out once what all of them share: words, environment, limits, user, sockets, streams. Invariant: a process that it
made is given back through `release`, which drains its pipes before they are closed.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from circus.events.bus import Bus
from circus.exc import CircusError, SocketError, SpawnError
from circus.handover import PipeRecord, ProcessRecord
from circus.process import Launch, Process
from circus.runtime.argv import CommandBuilder
from circus.runtime.child_setup import resolve_identity, resolve_limits
from circus.runtime.reaper import Reaper
from circus.sockets import CircusSocket, CircusSockets
from circus.spec.watcher import WatcherSpec
from circus.stream.outputs import Outputs, Streams, make_streams
from circus.wire.events import Cause

logger = logging.getLogger("circus")

# What a process has under the same name as a spec.
_GIVEN = (
    "cmd", "args", "working_dir", "shell", "uid", "gid", "rlimits", "executable", "close_child_stdin",
    "close_child_stdout", "close_child_stderr",
)  # fmt: skip

# What the environment of a process is made of.
_ENVIRONMENT = ("env", "copy_env", "copy_path", "virtualenv", "virtualenv_py_ver")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How processes of one spec are made: everything about them that is the same for all."""

    spec: WatcherSpec
    builder: CommandBuilder
    launch: Launch
    lasting: Launch
    """The same, for processes that another circusd may take over."""
    streams: Streams


class Launcher:
    """Makes processes of a spec.

    Args:
        spec: what to run.
        environ: the environment that `copy_env` copies.
        sockets: all sockets of the arbiter.
        bus: where captured output and what was lost of it are told.

    Raises:
        CircusError: limits, user or environment cannot be had on this system.
        ValueError: a stream cannot be made.
    """

    def __init__(
        self,
        spec: WatcherSpec,
        environ: Mapping[str, str],
        sockets: CircusSockets,
        bus: Bus,
    ) -> None:
        self._environ, self._sockets, self._bus = environ, sockets, bus
        self._recipe = self._made(spec, None)
        self.outputs = Outputs(self._recipe.streams, bus, self._tell_loss)
        self.process_class: type[Process] = Process
        """What the processes are made of."""
        self.watcher: Any = None
        """Whose processes they are, as they are told."""

    @property
    def spec(self) -> WatcherSpec:
        """What is run."""
        return self._recipe.spec

    def recipe(self, spec: WatcherSpec, after: Recipe | None = None) -> Recipe:
        """Make everything ready for another spec, without using it yet; `after` is the one that will be in use by then.

        What does not change is kept: streams that go on, and an environment that a hook has put something into.

        Raises:
            CircusError: limits, user, environment or words cannot be had.
            ValueError: a stream cannot be made.
            OSError: a stream cannot be opened.
        """
        recipe = self._made(spec, after or self._recipe)
        recipe.builder.build(1, self._fds())
        return recipe

    def respecify(self, recipe: Recipe) -> None:
        """Make the processes to come by a recipe; streams that have changed are changed under the living ones."""
        self._recipe = recipe
        self.outputs.change(recipe.streams)

    def _made(self, spec: WatcherSpec, before: Recipe | None) -> Recipe:
        builder = CommandBuilder(spec, self._environ)
        if before is not None and all(getattr(spec, name) == getattr(before.spec, name) for name in _ENVIRONMENT):
            builder.env = before.builder.env
        streams = make_streams(spec, builder.env, None if before is None else before.streams)
        launch = Launch(
            limits=resolve_limits(spec.rlimits),
            identity=resolve_identity(spec.uid, spec.gid),
            pipe_stdout=streams.captured("stdout"),
            pipe_stderr=streams.captured("stderr"),
            close_stdin=spec.close_child_stdin,
            close_stdout=spec.close_child_stdout,
            close_stderr=spec.close_child_stderr,
            stdin_data=spec.stdin_data,
            death_signal=spec.parent_death_signal,
            given={
                **{option: getattr(spec, option) for option in _GIVEN},
                "pipe_stdout": streams.captured("stdout"),
                "pipe_stderr": streams.captured("stderr"),
            },
        )
        # Only pipes differ, and most watchers have none.
        lasting = replace(launch, lasting=True) if launch.pipe_stdout or launch.pipe_stderr else launch
        return Recipe(spec=spec, builder=builder, launch=launch, lasting=lasting, streams=streams)

    @property
    def socket_names(self) -> set[str]:
        """The sockets it names in its command or gives on standard input."""
        stdin = {self.spec.stdin_socket.lower()} if self.spec.stdin_socket else set()
        return set(self._recipe.builder.sockets) | stdin

    @property
    def env(self) -> dict[str, str]:
        """The environment of the processes to come; changes are in force for the next one."""
        return self._recipe.builder.env

    @env.setter
    def env(self, env: dict[str, str]) -> None:
        self._recipe.builder.env = env

    def launch(
        self,
        wid: int,
        generation: int,
        reaper: Reaper,
        mark: Mapping[str, str] | None = None,
        context: str | None = None,
        *,
        lasting: bool = False,
        door: int | None = None,
    ) -> Process:
        """Start a process; `mark` is put into its environment, `context` is the trace that its start belongs to, and its
        output can be read on by another circusd if `lasting`. `door` is the way into its cgroup.

        Raises:
            SpawnError: nothing was started.
        """
        clones: list[CircusSocket] = []
        try:
            fds = self._fds()
            for name in self._recipe.builder.sockets:
                if name in fds and self._sockets[name].so_reuseport:
                    clones.append(self._sockets[name].reuseport_clone())
                    fds[name] = clones[-1].fileno()
            command = self._recipe.builder.build(wid, fds)
            if self.spec.propagate_trace:
                mark = {**(mark or {}), **self._identity(wid, generation, command.env, context)}
            if mark:
                command = command.marked(mark)
            launch = self._recipe.lasting if lasting else self._recipe.launch
            process = self.process_class.launch(
                self.spec,
                wid,
                generation,
                command,
                launch if door is None else replace(launch, door=door),
                reaper=reaper,
                inherit=list(fds.values()) if self.spec.use_sockets else [clone.fileno() for clone in clones],
                stdin=self._stdin(fds),
                watcher=self.watcher,
            )
        except SocketError as error:
            raise SpawnError("socket", str(error), error.os_errno) from error
        except OSError as error:
            raise SpawnError("fork", str(error), error.errno) from error
        except CircusError:
            raise
        except Exception as error:  # of a process class of somebody's own; the daemon goes on
            logger.exception("a process of '%s' cannot be made", self.spec.name)
            raise SpawnError("exec", f"{self.process_class.__name__}: {error}") from error
        finally:
            for clone in clones:
                clone.close()
        self.outputs.add(process)
        return process

    def take_over(self, record: ProcessRecord, pipes: Iterable[PipeRecord], reaper: Reaper) -> Process:
        """A process that another program has started, with the pipes of its output."""
        ends = {pipe.name: os.fdopen(pipe.fd, "rb", buffering=0) for pipe in pipes}
        return self.process_class.taken_over(
            self.spec, record, self._recipe.launch, ends, reaper=reaper, watcher=self.watcher
        )

    def _identity(self, wid: int, generation: int, env: Mapping[str, str], context: str | None) -> dict[str, str]:
        """What tells an OpenTelemetry SDK in the process who it is; what the user has said already stays."""
        from urllib.parse import quote  # rare

        name = self.spec.name
        own = {"circus.watcher.name": quote(name), "circus.process.wid": str(wid)}
        own["service.instance.id"] = f"{self._bus.boot}-{quote(name)}-{wid}-{generation}"
        given = env.get("OTEL_RESOURCE_ATTRIBUTES", "")
        taken = {part.partition("=")[0].strip() for part in given.split(",")}
        added = [f"{key}={value}" for key, value in own.items() if key not in taken]
        found = {"OTEL_RESOURCE_ATTRIBUTES": ",".join([*filter(None, [given]), *added])}
        if "OTEL_SERVICE_NAME" not in env and "service.name" not in taken:
            found["OTEL_SERVICE_NAME"] = name
        if context is not None:
            found["TRACEPARENT"] = context
        return found

    def _fds(self) -> dict[str, int]:
        return {name: sock.fileno() for name, sock in self._sockets.items()}

    def _stdin(self, fds: Mapping[str, int]) -> int | None:
        if self.spec.stdin_socket is None:
            return None
        try:
            return fds[self.spec.stdin_socket.lower()]
        except KeyError:
            raise SpawnError("socket", f"stdin_socket names no socket: {self.spec.stdin_socket!r}") from None

    def release(self, process: Process) -> None:
        """The process is gone: what it wrote is delivered, its pipes are closed."""
        if process.redirected:
            self.outputs.release(process)
        else:
            process.close_output_channels()

    def tail(self, wid: int, stream_name: str, count: int, pid: int | None = None) -> list[str]:
        """The last lines of stdout or stderr of a slot; of one process if `pid`, then with all that it has written."""
        return self.outputs.tail(wid, stream_name, count, pid=pid)

    def open_streams(self) -> None:
        """Be ready for output; again takes up all files anew, after somebody moved them away."""
        self.outputs.open()

    def close_streams(self) -> None:
        """No output will come; again is harmless."""
        self.outputs.close()

    def _tell_loss(self, data: Mapping[str, Any]) -> None:
        self._bus.record("stream.dropped", self.spec.name, Cause(kind="timer", name="stream.dropped"), data)
