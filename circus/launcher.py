"""How the processes of one watcher are made and what happens to their output.

Works out once what all of them share: words, environment, limits, user, sockets, streams. Invariant: a process that it
made is given back through `release`, which drains its pipes before they are closed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from circus.exc import SocketError, SpawnError
from circus.process import Launch, Process
from circus.runtime.argv import CommandBuilder
from circus.runtime.child_setup import resolve_identity, resolve_limits
from circus.runtime.reaper import Reaper
from circus.sockets import CircusSocket, CircusSockets
from circus.spec.watcher import WatcherSpec
from circus.stream import get_stream
from circus.stream.redirector import Redirector

logger = logging.getLogger("circus")


class Launcher:
    """Makes processes of a spec.

    Args:
        spec: what to run.
        environ: the environment that `copy_env` copies.
        sockets: all sockets of the arbiter.
        on_chunk: told (stream name, bytes, lines) of captured output.
        on_drop: told the same of output that its stream could not take.

    Raises:
        SpawnError: limits or user cannot be had on this system.
        ValueError: a stream cannot be made.
    """

    def __init__(
        self,
        spec: WatcherSpec,
        environ: Mapping[str, str],
        sockets: CircusSockets,
        on_chunk: Callable[[str, int, int], None],
        on_drop: Callable[[str, int, int], None],
    ) -> None:
        self.spec = spec
        self._sockets = sockets
        self._on_chunk, self._on_drop = on_chunk, on_drop
        self._builder = CommandBuilder(spec, environ)
        self._launch = Launch(
            limits=resolve_limits(spec.rlimits),
            identity=resolve_identity(spec.uid, spec.gid),
            pipe_stdout=spec.stdout_stream is not None,
            pipe_stderr=spec.stderr_stream is not None,
            close_stdin=spec.close_child_stdin,
            close_stdout=spec.close_child_stdout,
            close_stderr=spec.close_child_stderr,
            stdin_data=spec.stdin_data,
        )
        self._stdout, self._stderr = (
            None if wanted is None else get_stream(wanted, variables=None)
            for wanted in (spec.stdout_stream, spec.stderr_stream)
        )
        self._redirector: Redirector | None = None

    @property
    def socket_names(self) -> set[str]:
        """The sockets it names in its command or gives on standard input."""
        stdin = {self.spec.stdin_socket.lower()} if self.spec.stdin_socket else set()
        return set(self._builder.sockets) | stdin

    @property
    def env(self) -> dict[str, str]:
        """The environment of the processes to come; changes are in force for the next one."""
        return self._builder.env

    def launch(self, wid: int, generation: int, reaper: Reaper) -> Process:
        """Start a process.

        Raises:
            SpawnError: nothing was started.
        """
        clones: list[CircusSocket] = []
        try:
            fds = {name: sock.fileno() for name, sock in self._sockets.items()}
            for name in self._builder.sockets:
                if name in fds and self._sockets[name].so_reuseport:
                    clones.append(self._sockets[name].reuseport_clone())
                    fds[name] = clones[-1].fileno()
            process = Process.launch(
                self.spec.name,
                wid,
                generation,
                self._builder.build(wid, fds),
                self._launch,
                reaper=reaper,
                inherit=list(fds.values()) if self.spec.use_sockets else [clone.fileno() for clone in clones],
                stdin=self._stdin(fds),
            )
        except SocketError as error:
            raise SpawnError("socket", str(error), error.os_errno) from error
        except OSError as error:
            raise SpawnError("fork", str(error), error.errno) from error
        finally:
            for clone in clones:
                clone.close()
        if self._redirector is not None and (process.stdout or process.stderr):
            self._redirector.add_redirections(process)
            process.redirected = True
        return process

    def _stdin(self, fds: Mapping[str, int]) -> int | None:
        if self.spec.stdin_socket is None:
            return None
        try:
            return fds[self.spec.stdin_socket.lower()]
        except KeyError:
            raise SpawnError("socket", f"stdin_socket names no socket: {self.spec.stdin_socket!r}") from None

    def release(self, process: Process) -> None:
        """The process is gone: what it wrote is delivered, its pipes are closed."""
        if process.redirected and self._redirector is not None:
            self._redirector.remove_redirections(process)
        else:
            process.close_output_channels()

    def open_streams(self) -> None:
        """Be ready for output; again is harmless."""
        if self._redirector is not None or (self._stdout is None and self._stderr is None):
            return
        self._redirector = Redirector(
            self._stdout, self._stderr, on_chunk=self._on_chunk, on_drop=self._on_drop, label=self.spec.name
        )
        self._redirector.start()

    def close_streams(self) -> None:
        """No output will come; again is harmless."""
        if self._redirector is None:
            return
        self._redirector.stop()
        self._redirector = None
        for stream in (self._stdout, self._stderr):
            _close(stream)


def _close(stream: object) -> None:
    """`close` is optional for a stream, and custom ones may raise anything; the watcher goes on."""
    try:
        getattr(stream, "close", _nothing)()
    except Exception:
        logger.exception("cannot close the stream %r", stream)


def _nothing() -> None:
    """Stand-in for a stream that needs no closing."""
