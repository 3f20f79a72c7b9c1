"""Addresses: how they are written, what they default to, and where `auto` puts them.

Owns the grammar of endpoints and the names in the runtime directory; refuses to touch a file or a socket (who is alive
is found out elsewhere and handed in). circusctl imports this on every start, so it imports next to nothing.
Invariant: an ipc path that comes out of here fits into a socket address.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from circus.exc import EndpointError

DEFAULT_CONTROL = "tcp://127.0.0.1:5555"
DEFAULT_EVENTS = "tcp://127.0.0.1:5556"
DEFAULT_STATS = "tcp://127.0.0.1:5557"
DEFAULT_MULTICAST = "udp://237.219.251.97:12027"

AUTO = "auto"
CONTROL_SOCKET, EVENTS_SOCKET, STATS_SOCKET = "control.sock", "events.sock", "stats.sock"
STATE_FILE = "workers"
AUTO_NAMES = {"endpoint": CONTROL_SOCKET, "pubsub_endpoint": EVENTS_SOCKET, "stats_endpoint": STATS_SOCKET}

ENV_ENDPOINT = "CIRCUSCTL_ENDPOINT"
ENV_RUNTIME = "CIRCUS_RUNTIME_DIR"

# What the kernel takes in sockaddr_un, without the closing zero.
MAX_IPC_PATH = 107 if sys.platform == "linux" else 103
_INSTANCE_STEM = 32
_INSTANCE_HASH = 8


class Endpoint(NamedTuple):
    """A parsed endpoint. tcp: `host` (`*` for all) and `port` (0 for any free one); ipc: `path`, where a leading `@`
    means Linux's abstract names.
    """

    scheme: str
    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        if self.scheme == "ipc":
            return f"ipc://{self.path}"
        return f"tcp://[{self.host}]:{self.port}" if ":" in self.host else f"tcp://{self.host}:{self.port}"

    @property
    def is_local(self) -> bool:
        """True when only this machine can reach it."""
        return self.scheme == "ipc" or self.host in {"localhost", "::1"} or self.host.startswith("127.")


def parse(endpoint: str) -> Endpoint:
    """The parts of an endpoint to listen on or to connect to; EndpointError says what is wrong with it."""
    scheme, separator, rest = endpoint.strip().partition("://")
    if not separator or scheme not in {"tcp", "ipc"}:
        raise EndpointError(f"expected tcp://HOST:PORT or ipc:///PATH, not {endpoint!r}")
    return _parse_ipc(endpoint, rest) if scheme == "ipc" else _parse_tcp(endpoint, rest)


def _parse_ipc(endpoint: str, path: str) -> Endpoint:
    if path in {"", "*", "@"} or "\0" in path:
        raise EndpointError(f"expected a path after ipc://, not {endpoint!r}")
    if len(path.encode(errors="surrogateescape")) > MAX_IPC_PATH:
        raise EndpointError(
            f"the path of {endpoint!r} is longer than the {MAX_IPC_PATH} bytes that unix sockets take; choose a shorter"
        )
    return Endpoint("ipc", path=path)


def _parse_tcp(endpoint: str, rest: str) -> Endpoint:
    host, separator, port_text = rest.rpartition(":")
    if not separator or not host:
        raise EndpointError(f"expected tcp://HOST:PORT, with a port, not {endpoint!r}")
    port = 0 if port_text == "*" else int(port_text) if _is_small_number(port_text) else -1
    if not 0 <= port <= 65535:
        raise EndpointError(f"{port_text[:20]!r} is not a port (0 to 65535, 0 takes any free one)")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if ";" in bare or "/" in bare or not bare or (bare == host and ":" in host):
        raise EndpointError(f"{host!r} is not a host (IPv6 addresses go in brackets)")
    return Endpoint("tcp", host=bare, port=port)


def _is_small_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 5


def runtime_dir(environ: Mapping[str, str], uid: int) -> str:
    """The directory below which `circus/<instance>/` lies."""
    chosen = environ.get(ENV_RUNTIME, "")
    if chosen:
        return chosen.rstrip("/") or "/"
    if uid == 0:
        return "/run"
    session = environ.get("XDG_RUNTIME_DIR", "")
    if session.startswith("/"):
        return session.rstrip("/")
    return f"{environ.get('TMPDIR', '').rstrip('/') or '/tmp'}/circus-{uid}"  # noqa: S108 - made 0700 and checked by whoever makes it


def instances_dir(environ: Mapping[str, str], uid: int) -> str:
    """The directory that holds one directory for each running daemon of this user."""
    return f"{runtime_dir(environ, uid)}/circus"


def instance_name(config_file: str) -> str:
    """A readable name that is the same for each start with this file, and another one for every other file."""
    if not config_file.startswith("/"):
        raise EndpointError(f"{config_file!r}: the automatic endpoint needs the absolute path of the configuration")
    stem = config_file.rpartition("/")[2].rpartition(".")[0] or config_file.rpartition("/")[2]
    safe = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in stem)[:_INSTANCE_STEM]
    digest = _sha256()(config_file.encode(errors="surrogateescape")).hexdigest()
    return f"{safe}-{digest[:_INSTANCE_HASH]}"


def _sha256() -> Callable[[bytes], Any]:
    """Python's own, where it is to be had: hashlib would bring OpenSSL in, 4 MB for one small hash."""
    for module in ("_sha2", "_sha256", "hashlib"):
        try:
            found: Callable[[bytes], Any] = importlib.import_module(module).sha256
        except ImportError:
            continue
        return found
    raise ImportError("this Python has no SHA-256")


def state_file(config_file: str, environ: Mapping[str, str], uid: int) -> str:
    """Where a daemon with this configuration notes its workers, unless it is told to elsewhere."""
    return f"{instances_dir(environ, uid)}/{instance_name(config_file)}/{STATE_FILE}"


def auto_endpoints(config_file: str, environ: Mapping[str, str], uid: int) -> dict[str, str]:
    """What `auto` stands for, by option name: endpoint, pubsub_endpoint, stats_endpoint."""
    directory = f"{instances_dir(environ, uid)}/{instance_name(config_file)}"
    longest = max(len(f"{directory}/{name}".encode(errors="surrogateescape")) for name in AUTO_NAMES.values())
    if longest > MAX_IPC_PATH:
        raise EndpointError(
            f"endpoint = auto: {directory}/{CONTROL_SOCKET} is longer than the {MAX_IPC_PATH} bytes that unix sockets "
            f"take; set {ENV_RUNTIME} to a shorter directory, or write the endpoints out"
        )
    return {option: f"ipc://{directory}/{name}" for option, name in AUTO_NAMES.items()}


def sibling(control: str, name: str) -> str | None:
    """The events or stats endpoint (`EVENTS_SOCKET`, `STATS_SOCKET`) beside an automatic control endpoint."""
    stem, slash, last = control.rpartition("/")
    return f"{stem}/{name}" if slash and last == CONTROL_SOCKET and control.startswith("ipc://") else None


def reachable(address: str, found_at: str) -> str:
    """The address of a channel as it can be reached by who found another channel of the same daemon at `found_at`.

    A daemon that listens on all interfaces cannot know by which of them it is seen.
    """
    try:
        channel, known = parse(address), parse(found_at)
    except EndpointError:
        return address
    if channel.host not in {"*", "0.0.0.0", "::"}:  # noqa: S104 - compared, not bound
        return address
    return str(channel._replace(host=known.host or "127.0.0.1"))


def find_control(environ: Mapping[str, str], alive: Sequence[str]) -> str:
    """The control endpoint to use when none was named; `alive` are the automatic ones where somebody answers."""
    named = environ.get(ENV_ENDPOINT, "")
    if named:
        return named
    return alive[0] if len(alive) == 1 else DEFAULT_CONTROL
