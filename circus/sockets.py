"""The sockets that Circus owns: made once, listened on here, inherited by the workers.

Owns their addresses, their options and, for unix sockets, the file in the file system. Knows no process: the spawner
makes a socket inheritable around a spawn; here everything is close-on-exec.
Invariant: a path is removed only while it leads to the very socket that we bound, and an error says in one sentence
what was wanted, at which address, and why it cannot be.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from circus.exc import SocketError
from circus.handover import SocketRecord
from circus.spec.sockets import SocketSpec, socket_spec

# Owner and group may connect (0660); 0.19 let everybody.
DEFAULT_UMASK = 0o117

_FAMILIES = {socket.AF_INET: "IPv4", socket.AF_INET6: "IPv6"}
_LISTENING = (socket.SOCK_STREAM, socket.SOCK_SEQPACKET)


class CircusSocket(socket.socket):
    """A socket with a name and an address; `bind_and_listen` makes it real.

    `host` and `port` are resolved when it is made, and are those really bound afterwards. With `so_reuseport` this
    object is only a placeholder that is never bound: `reuseport_clone` gives each process a socket of its own.
    `umask` is for unix sockets; None means that owner and group may connect.
    """

    def __init__(  # noqa: PLR0917 - 0.19's signature
        self,
        name: str = "",
        host: str | None = "localhost",
        port: int = 8080,
        family: int = socket.AF_INET,
        type: int = socket.SOCK_STREAM,  # noqa: A002 - as above
        proto: int = 0,
        backlog: int = 2048,
        path: str | None = None,
        umask: int | None = None,
        replace: bool = False,
        interface: str | None = None,
        so_reuseport: bool = False,
        blocking: bool = False,
    ) -> None:
        self.name = name
        self.socktype = type
        self.path = path
        self.umask = umask
        self.replace = replace
        self.interface = interface
        self.backlog = backlog
        self.so_reuseport = so_reuseport
        self.blocking = blocking
        self.is_unix = path is not None or family == socket.AF_UNIX
        self.host = host or ""
        self.port = int(port)
        self._bound: tuple[int, int] | None = None
        if self.is_unix:
            if not path:
                raise SocketError(f"socket {name!r}: a unix socket needs a path")
            if so_reuseport:
                raise SocketError(f"socket {name!r}: so_reuseport is for tcp and udp, not for a unix socket")
            family, self.host, self.port = socket.AF_UNIX, "", 0
            self._address: Any = path
        else:
            self._address = self._resolve(family, type, proto)
            self.host, self.port = self._address[:2]
        try:
            super().__init__(family, type, proto)
        except OSError as error:
            raise self._error("cannot be made", error) from error
        try:
            self._set_options()
        except BaseException:
            super().close()
            raise

    @classmethod
    def from_spec(cls, spec: SocketSpec) -> CircusSocket:
        """Make the socket that a configuration asks for; SocketError when this machine cannot."""
        try:
            family, kind = socket.AddressFamily[spec.family.upper()], socket.SocketKind[spec.type.upper()]
        except KeyError as error:
            raise SocketError(f"socket {spec.name!r}: this system knows no {error.args[0]}") from None
        try:
            protocol = socket.getprotobyname(spec.proto) if spec.proto else 0
        except OSError:
            raise SocketError(f"socket {spec.name!r}: this system knows no protocol {spec.proto!r}") from None
        return cls(
            name=spec.name,
            host=spec.host,
            port=spec.port,
            family=family,
            type=kind,
            proto=protocol,
            backlog=spec.backlog,
            path=spec.path,
            umask=spec.umask,
            replace=spec.replace,
            interface=spec.interface,
            so_reuseport=spec.so_reuseport,
            blocking=spec.blocking,
        )

    @classmethod
    def load_from_config(cls, config: Mapping[str, Any]) -> CircusSocket:
        """Make a socket from a mapping whose values may be text, as 0.19 did; keeps it as `_cfg`."""
        try:
            spec = socket_spec(config)
        except (TypeError, ValueError, KeyError) as error:
            raise SocketError(f"socket {config.get('name', '')!r}: {error}") from error
        sock = cls.from_spec(spec)
        sock._cfg = dict(config)  # noqa: SLF001 - the name is 0.19's, and this is its class
        return sock

    @classmethod
    def taken_over(cls, spec: SocketSpec, record: SocketRecord) -> CircusSocket:
        """The socket of a configuration, which another program has made and bound."""
        sock = cls.from_spec(replace(spec, host=record.host, port=record.port) if spec.path is None else spec)
        if record.fd is not None:
            made = sock.detach()
            os.close(made)
            socket.socket.__init__(sock, sock.family, sock.socktype, sock.proto, record.fd)
            # Its mode is left alone: a worker that holds it too may have chosen another one.
            sock._bound = record.bound  # noqa: SLF001 - of its own class
        return sock

    def handed(self) -> SocketRecord:
        """What makes it again, in a program that has its descriptor."""
        return SocketRecord(name=self.name, fd=None if self.so_reuseport else self.fileno(), host=self.host,
                            port=self.port, bound=self._bound)  # fmt: skip

    _cfg: Mapping[str, Any] = {}

    @property
    def location(self) -> str:
        """Where it is, for people."""
        return repr(self.path) if self.is_unix else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        return f"socket {self.name!r} at {self.location}"

    def bind_and_listen(self) -> None:
        """Take the address and, for a type that knows connections, listen on it."""
        try:
            if self.is_unix:
                self._bind_unix()
            else:
                self.bind(self._address)
                self.host, self.port = self.getsockname()[:2]
            if self.socktype in _LISTENING:
                self.listen(self.backlog)
        except SocketError:
            raise
        except OSError as error:
            raise self._error("cannot be bound", error) from error

    def adjust(self, spec: SocketSpec) -> None:
        """Take over what can change while the address stays: backlog, blocking, interface, the mode of a path.

        Raises:
            SocketError: the system does not let us.
        """
        self.backlog, self.blocking, self.replace = spec.backlog, spec.blocking, spec.replace
        interface, self.interface = self.interface, spec.interface
        umask, self.umask = self.umask, spec.umask
        try:
            self.setblocking(self.blocking)
            if self.so_reuseport:
                return
            if self.socktype in _LISTENING:
                self.listen(self.backlog)
            if self._bound is not None and self.path is not None and self.umask != umask:
                os.chmod(self.path, 0o777 & ~(DEFAULT_UMASK if self.umask is None else self.umask))
        except OSError as error:
            raise self._error("cannot be changed", error) from error
        if not self.is_unix and self.interface != interface:
            self._bind_to_interface()

    def reuseport_clone(self) -> CircusSocket:
        """A socket of the same address for one process, bound and listening; the kernel spreads the connections.

        The first clone of a placeholder with port 0 decides the port of all.
        """
        host, port = self.host, self.port
        clone = CircusSocket(
            name=self.name,
            host=host,
            port=port,
            family=self.family,
            type=self.socktype,
            proto=self.proto,
            backlog=self.backlog,
            interface=self.interface,
            so_reuseport=True,
            blocking=self.blocking,
        )
        try:
            clone.bind_and_listen()
        except BaseException:
            clone.close()
            raise
        self.host, self.port = clone.host, clone.port
        return clone

    def dup(self) -> socket.socket:  # type: ignore[override]  # a copy has no name and removes no path
        """A plain socket: our own constructor takes no descriptor."""
        return socket.socket(self.family, self.type, self.proto, fileno=os.dup(self.fileno()))

    def close(self) -> None:
        """Close it, and remove the path of a unix socket if it is still ours."""
        super().close()
        if self._bound is None or self.path is None:
            return
        with contextlib.suppress(OSError):
            if _identity(self.path) == self._bound:
                os.unlink(self.path)
        self._bound = None

    def _resolve(self, family: int, kind: int, proto: int) -> Any:
        """The first address of the host in the family."""
        host = self.host or None
        if kind not in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            kind = proto = 0  # the others have no ports for a resolver, which would refuse them
        try:
            found = socket.getaddrinfo(host, self.port, family, kind, proto, socket.AI_PASSIVE)
        except (OSError, UnicodeError) as error:
            wanted = _FAMILIES.get(socket.AddressFamily(family), str(family))
            hint = "; for IPv6 say family = AF_INET6" if family == socket.AF_INET and ":" in self.host else ""
            reason = getattr(error, "strerror", None) or error
            raise SocketError(
                f"socket {self.name!r}: host {self.host!r} has no {wanted} address: {reason}{hint}",
                getattr(error, "errno", None),
            ) from error
        return found[0][4]

    def _set_options(self) -> None:
        self.setblocking(self.blocking)
        self.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if self.is_unix:
            return
        if self.so_reuseport:
            if not hasattr(socket, "SO_REUSEPORT"):
                raise SocketError(f"{self}: this system has no SO_REUSEPORT")
            self.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if self.interface:
            self._bind_to_interface()

    def _bind_to_interface(self) -> None:
        if sys.platform != "linux":
            raise SocketError(f"{self}: this system cannot bind to an interface ({self.interface!r})")
        try:
            self.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, (self.interface or "").encode() + b"\0")
        except OSError as error:
            raise self._error(f"cannot be bound to interface {self.interface!r}", error) from error

    def _bind_unix(self) -> None:
        assert self.path is not None  # is_unix
        if self.replace:
            self._remove_old(self.path)
        # The mask is the process's own, so it is put back at once; nobody can connect before we listen anyway.
        before = os.umask(DEFAULT_UMASK if self.umask is None else self.umask)
        try:
            self.bind(self.path)
        finally:
            os.umask(before)
        self._bound = _identity(self.path)

    def _remove_old(self, path: str) -> None:
        """Make way, for what `replace` is meant for: a socket, never a file."""
        try:
            mode = os.lstat(path).st_mode
        except FileNotFoundError:
            return
        if not stat.S_ISSOCK(mode):
            raise SocketError(f"{self} cannot be bound: what is at that path is not a socket, so it is not replaced")
        os.unlink(path)

    def _error(self, what: str, error: OSError) -> SocketError:
        reason = error.strerror or str(error)
        if self.is_unix and error.errno == errno.EADDRINUSE:
            reason = "something is at that path already (replace = True removes a socket that was left there)"
        return SocketError(f"{self} {what}: {reason}", error.errno)


class CircusSockets(dict[str, CircusSocket]):
    """All sockets of an arbiter, by name."""

    def __init__(self, sockets: Iterable[CircusSocket] | None = None, backlog: int = 2048) -> None:
        super().__init__({sock.name: sock for sock in sockets or ()})
        self.backlog = backlog

    def add(  # noqa: PLR0917 - 0.19's signature
        self,
        name: str,
        host: str = "localhost",
        port: int = 8080,
        family: int = socket.AF_INET,
        type: int = socket.SOCK_STREAM,  # noqa: A002 - as above
        proto: int = 0,
        backlog: int | None = None,
        path: str | None = None,
        umask: int | None = None,
        interface: str | None = None,
    ) -> CircusSocket:
        """Make a socket and keep it; ValueError when the name is taken."""
        if name in self:
            raise ValueError(f"there is a socket {name!r} already")
        sock = self[name] = CircusSocket(
            name=name,
            host=host,
            port=port,
            family=family,
            type=type,
            proto=proto,
            backlog=self.backlog if backlog is None else backlog,
            path=path,
            umask=umask,
            interface=interface,
        )
        return sock

    def close_all(self) -> None:
        """Close them all; they stay listed."""
        for sock in self.values():
            sock.close()

    def bind_and_listen_all(self) -> None:
        """Bind all but the placeholders; at the first that cannot be bound, SocketError."""
        for sock in self.values():
            if not sock.so_reuseport:
                sock.bind_and_listen()


def _identity(path: str) -> tuple[int, int]:
    status = os.lstat(path)
    return status.st_dev, status.st_ino
