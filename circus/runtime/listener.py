"""Listening sockets that we make ourselves and lend to libzmq.

Owns making, protecting and removing the sockets behind the channels; refuses to know what is said on them. libzmq's
own bind takes over a live unix socket without a word and cannot set its mode in time; a socket of our own is refused
by the system where somebody listens, keeps clients waiting in its backlog while libzmq is away, and outlives it.
Invariant: nobody can connect to a unix socket before it has its mode and owner, and no path is removed that somebody
listens on or that is not ours.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import resource
import socket
import stat
import time
from collections.abc import Callable, Iterator

import zmq

from circus.exc import EndpointError, EndpointInUse
from circus.handover import ListenerRecord
from circus.runtime.peers import gid_of, uid_of
from circus.wire.endpoints import Endpoint, parse

BACKLOG = 128
"""Who may wait to be let in; fewer where the limit of descriptors is low, since they get in even after it is reached."""
_LOCK_SECONDS = 1.0


class Listener:
    """A socket that listens. `endpoint` is its real address, with the port that the system chose; `guard` is called with
    each zmq socket before it accepts, to say whom it lets in, `watched` with the listener and that socket when it does.
    """

    def __init__(self, sock: socket.socket, endpoint: Endpoint, identity: tuple[int, int] | None) -> None:
        self.endpoint = str(endpoint)
        self.guard: Callable[[zmq.Socket[bytes]], None] | None = None
        self.watched: Callable[[Listener, zmq.Socket[bytes]], None] | None = None
        self._sock = sock
        self._parsed = endpoint
        self._identity = identity
        self._served: zmq.Socket[bytes] | None = None

    @property
    def is_lost(self) -> bool:
        """True when nothing is at the path of a unix socket any more, so that nobody new can come."""
        return self.path is not None and self._identity is not None and not os.path.lexists(self.path)

    def replace(self, other: Listener) -> None:
        """Go on with the socket of another, which has the same address; who is connected stays."""
        self._sock.close()
        self._sock, self._identity = other._sock, other._identity
        if self._served is not None:
            self._accept(self._served)

    @property
    def path(self) -> str | None:
        """The path of a unix socket that has one."""
        path = self._parsed.path
        return path if path and not path.startswith("@") else None

    def fileno(self) -> int:
        return self._sock.fileno()

    @classmethod
    def taken_over(cls, record: ListenerRecord) -> Listener:
        """One that another program has made."""
        return cls(socket.socket(fileno=record.fd), parse(record.endpoint), record.identity)

    def handed(self, option: str) -> ListenerRecord:
        """What makes it again, in a program that has its descriptor."""
        return ListenerRecord(option=option, endpoint=self.endpoint, fd=self.fileno(), identity=self._identity)

    def attach(self, zmq_socket: zmq.Socket[bytes]) -> None:
        """Let a zmq socket accept on it. The zmq socket gets a duplicate and may be closed and replaced freely."""
        if self._sock.family == socket.AF_INET6:
            zmq_socket.setsockopt(zmq.IPV6, 1)
        if self.guard is not None:
            self.guard(zmq_socket)
        self._accept(zmq_socket)
        self._served = zmq_socket
        if self.watched is not None:
            self.watched(self, zmq_socket)

    def _accept(self, zmq_socket: zmq.Socket[bytes]) -> None:
        duplicate = os.dup(self._sock.fileno())
        try:
            zmq_socket.setsockopt(zmq.USE_FD, duplicate)
            zmq_socket.bind(self.endpoint)
        except zmq.ZMQError as error:
            # Whether libzmq closed the duplicate is not told; a leak is better than closing somebody else's file.
            raise EndpointError(f"{self.endpoint}: libzmq does not take the socket: {error}") from error
        finally:
            zmq_socket.setsockopt(zmq.USE_FD, -1)

    def close(self) -> None:
        """Stop listening and remove the path, if it still is ours. Closing twice is harmless."""
        self._sock.close()
        if self.path is not None and self._identity is not None and _identity(self.path) == self._identity:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path)
        self._identity = None


def listen(
    endpoint: str,
    *,
    mode: int = 0o600,
    owner: str | None = None,
    group: str | None = None,
    option: str = "endpoint",
) -> Listener:
    """Listen on an endpoint; `mode`, `owner` and `group` (a name or an id) are those of a unix socket.

    `option` names the setting in the text of an error. Raises EndpointInUse where somebody alive listens, otherwise
    EndpointError.
    """
    try:
        parsed = parse(endpoint)
        if parsed.scheme == "tcp":
            return _listen_tcp(parsed)
        if parsed.path.startswith("@"):
            return _listen_abstract(parsed)
        return _listen_unix(parsed, mode, _found(uid_of, owner, "user"), _found(gid_of, group, "group"))
    except EndpointError as error:
        raise type(error)(f"{option} = {endpoint}: {error}") from error
    except OSError as error:
        raise _explained(error, option, endpoint) from error


def is_alive(path: str) -> bool:
    """True when somebody accepts connections on a unix socket (also when we are not let in)."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except (ConnectionRefusedError, FileNotFoundError, NotADirectoryError):
            return False
        except OSError:
            # A full backlog (EAGAIN) or no permission: not free in any case.
            return True
    return True


def _listen_tcp(wanted: Endpoint) -> Listener:
    family, address = _tcp_address(wanted)
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        # Connections that a daemon before us left in TIME_WAIT must not keep the port; a listener still does.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(_backlog())
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    host = wanted.host if wanted.host != "*" else "0.0.0.0"  # noqa: S104 - that is what the star asks for
    return Listener(sock, Endpoint("tcp", host=host, port=sock.getsockname()[1]), None)


def _tcp_address(wanted: Endpoint) -> tuple[int, tuple[str, int]]:
    if wanted.host == "*":
        return socket.AF_INET, ("0.0.0.0", wanted.port)  # noqa: S104 - that is what the star asks for
    try:
        found = socket.getaddrinfo(wanted.host, wanted.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError) as error:
        address = _interface_address(wanted.host)
        if address is None:
            raise EndpointError(f"no address or network interface is called {wanted.host!r} ({error})") from error
        return socket.AF_INET, (address, wanted.port)
    # libzmq prefers IPv4 too, and "localhost" must mean the same to clients and to us.
    family, _, _, _, address_tuple = min(found, key=lambda row: row[0] != socket.AF_INET)
    return family, (str(address_tuple[0]), wanted.port)


def _interface_address(name: str) -> str | None:
    import psutil  # rarely needed

    addresses = psutil.net_if_addrs().get(name, ())
    return next((row.address for row in addresses if row.family == socket.AF_INET), None)


def _listen_abstract(wanted: Endpoint) -> Listener:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind("\0" + wanted.path[1:])
        sock.listen(_backlog())
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return Listener(sock, wanted, None)


def _listen_unix(wanted: Endpoint, mode: int, uid: int | None, gid: int | None) -> Listener:
    path = wanted.path
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _directory_lock(os.path.dirname(path) or "."):
            _remove_stale(path)
            # Between bind and listen the path is there, but connecting to it is refused: the time to protect it.
            sock.bind(path)
            identity = _identity(path)
            try:
                # The mode last: a chown may take bits off.
                if uid is not None or gid is not None:
                    _give_to(path, uid, gid)
                os.chmod(path, mode)
                sock.listen(_backlog())
            except BaseException:
                os.unlink(path)
                raise
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return Listener(sock, wanted, identity)


def _remove_stale(path: str) -> None:
    """Remove what a dead daemon left at our path; anything else stays and is an error."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise EndpointError("a file that is not a socket is in the way; remove it or choose another path")
    if is_alive(path):
        raise EndpointInUse(_IN_USE)
    os.unlink(path)


@contextlib.contextmanager
def _directory_lock(directory: str) -> Iterator[None]:
    """Keep two daemons that start at once from both finding the same dead socket and removing each other's new one.

    A lock on the directory leaves no file behind. Anybody may hold it for any reason, so we give up waiting soon.
    """
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        deadline = time.monotonic() + _LOCK_SECONDS
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    break
                time.sleep(0.01)
            except OSError:
                break  # a file system without locks
            else:
                break
        yield
    finally:
        os.close(fd)


def _backlog() -> int:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return BACKLOG if hard == resource.RLIM_INFINITY else min(BACKLOG, max(8, hard // 64))


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _found(lookup: Callable[[str], int], name: str | None, kind: str) -> int | None:
    if name is None:
        return None
    try:
        return lookup(name)
    except KeyError:
        option = "endpoint_owner" if kind == "user" else "endpoint_group"
        raise EndpointError(f"there is no {kind} {name!r} to own it; set {option} to one that exists") from None


def _give_to(path: str, uid: int | None, gid: int | None) -> None:
    try:
        os.chown(path, -1 if uid is None else uid, -1 if gid is None else gid, follow_symlinks=False)
    except PermissionError:
        if uid is not None and uid != os.geteuid():
            raise EndpointError(
                f"only root may give the socket to uid {uid}; run circusd as root or as that user"
            ) from None
        raise EndpointError(
            f"uid {os.geteuid()} may not give the socket to gid {gid}, in which it is not; run circusd as root or as a "
            "member"
        ) from None


_IN_USE = "somebody listens there already (another circusd?); stop it, or choose another address"


def _explained(error: OSError, option: str, endpoint: str) -> EndpointError:
    """One sentence for what the system refused: what, where, what to do."""
    prefix = f"{option} = {endpoint}: "
    match error.errno:
        case errno.EADDRINUSE:
            return EndpointInUse(prefix + _IN_USE)
        case errno.EADDRNOTAVAIL:
            return EndpointError(prefix + "this machine does not have that address; choose one of its own")
        case errno.EACCES | errno.EPERM:
            return EndpointError(
                f"{prefix}uid {os.geteuid()} may not listen there; run as another user or choose another address"
            )
        case errno.ENOENT | errno.ENOTDIR:
            return EndpointError(prefix + "the directory does not exist; make it or choose another path")
        case _:
            return EndpointError(f"{prefix}{error.strerror or error}; choose another address")
