"""A socket that Circus owns, as it is configured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from circus.spec.scalars import to_bool, to_mask


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


def socket_spec(config: Mapping[str, Any]) -> SocketSpec:
    """A socket from a mapping whose values may be text, as circus 0.19 took them; ValueError when one does not fit."""
    umask, path = config.get("umask"), config.get("path")
    return SocketSpec(
        name=config["name"],
        host=config.get("host") or "localhost",
        port=int(config.get("port", 8080)),
        family=str(config.get("family") or "AF_INET"),
        type=str(config.get("type") or "SOCK_STREAM"),
        proto=config.get("proto"),
        path=path,
        replace=to_bool(config.get("replace") or False),
        umask=to_mask(umask) if isinstance(umask, str) else umask,
        backlog=int(config.get("backlog", 2048)),
        interface=config.get("interface"),
        so_reuseport=to_bool(config.get("so_reuseport") or False),
        blocking=to_bool(config.get("blocking") or False),
    )
