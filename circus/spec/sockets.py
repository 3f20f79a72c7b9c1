"""A socket that Circus owns, as it is configured."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketSpec:
    """`family` and `type` are the names of the socket module (`AF_INET`, `SOCK_STREAM`), `proto` a protocol name or
    None; a `path` makes it a unix socket; `umask` is for unix sockets, None means the safe default mode.
    """

    name: str
    host: str = "localhost"
    port: int = 8080
    family: str = "AF_INET"
    type: str = "SOCK_STREAM"
    proto: str | None = None
    path: str | None = None
    replace: bool = False
    umask: int | None = None
    backlog: int = 2048
    interface: str | None = None
    so_reuseport: bool = False
    blocking: bool = False
