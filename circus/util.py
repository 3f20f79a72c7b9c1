"""Helpers that hooks, plugins and programs written for circus 0.19 import from here.

Owns names and signatures, nothing that Circus itself uses: what has a home is passed on from there. Invariant: nothing
in Circus imports this module.
"""

from __future__ import annotations

import grp
import importlib
import ipaddress
import os
import pwd
import re
import socket
import sys
from collections.abc import Mapping
from typing import Any

from circus.client import connect
from circus.config import platform
from circus.config.parser import StrictConfigParser
from circus.config.resolve import resolve_name as _resolve
from circus.discovery import bound_to_group
from circus.exc import ConflictError
from circus.logs import LOG_DATE_FORMAT as LOG_DATE_FMT
from circus.logs import LOG_FORMAT as LOG_FMT
from circus.logs import LOG_LEVELS, configure_logger
from circus.logs import SYSLOG_DATE_FORMAT as LOG_DATE_SYSLOG_FMT
from circus.runtime.periodic import PeriodicCallback as AsyncPeriodicCallback
from circus.runtime.virtualenv import activate
from circus.shims import (
    TransformableFuture,
    check_future_exception_and_log,
    debuglog,
    synchronized,
    tornado_sleep,
)
from circus.spec import scalars
from circus.spec.arbiter import DEFAULT_ENDPOINT as DEFAULT_ENDPOINT_DEALER
from circus.spec.arbiter import DEFAULT_MULTICAST_ENDPOINT as DEFAULT_ENDPOINT_MULTICAST
from circus.spec.arbiter import DEFAULT_PUBSUB_ENDPOINT as DEFAULT_ENDPOINT_SUB
from circus.spec.arbiter import DEFAULT_STATS_ENDPOINT as DEFAULT_ENDPOINT_STATS
from circus.stats import info as stats_info

__all__ = [
    "DEFAULT_ENDPOINT_DEALER", "DEFAULT_ENDPOINT_MULTICAST", "DEFAULT_ENDPOINT_STATS", "DEFAULT_ENDPOINT_SUB",
    "FALSY_STRINGS", "IS_WINDOWS", "LOG_DATE_FMT", "LOG_DATE_SYSLOG_FMT", "LOG_FMT", "LOG_LEVELS", "MAXFD",
    "REDIRECT_TO", "TRUTHY_STRINGS", "AsyncPeriodicCallback", "ConflictError", "DictDiffer", "ImportStringError",
    "ObjectDict", "StrictConfigParser", "TransformableFuture", "bytes2human", "check_future_exception_and_log", "close_on_exec",
    "configure_logger", "convert_opt", "create_udp_socket", "debuglog", "dict_differ", "env_to_str", "get_connection",
    "get_default_gid", "get_info", "get_python_version", "get_username_from_uid", "get_working_dir", "human2bytes",
    "load_virtualenv", "parse_env_dict", "parse_env_str", "replace_gnu_args", "resolve_name", "synchronized", "to_bool",
    "to_bytes", "to_gid", "to_signum", "to_str", "to_uid", "tornado_sleep",
]  # fmt: skip

MAXFD = 1024
REDIRECT_TO = os.devnull
IS_WINDOWS = os.name == "nt"
TRUTHY_STRINGS = ("yes", "true", "on", "1")
FALSY_STRINGS = ("no", "false", "off", "0")

_UNITS = "BKMGTPEZY"
_UPPER = re.compile(r"\$([A-Z]+[A-Z0-9_]*)")


class ImportStringError(ImportError):
    """A dotted name that leads to nothing; `exception` says why."""

    import_name: str | None = None
    exception: BaseException | None = None

    def __init__(self, import_name: str, exception: BaseException) -> None:
        super().__init__(str(exception))
        self.import_name, self.exception = import_name, exception


class ObjectDict(dict[str, Any]):
    """A dict whose items are attributes too."""

    def __getattr__(self, item: str) -> Any:
        return self[item]


class DictDiffer:
    """What changed from one dict to another, as sets of keys."""

    def __init__(self, current_dict: Mapping[Any, Any], past_dict: Mapping[Any, Any]) -> None:
        self.current_dict, self.past_dict = current_dict, past_dict
        self.set_current, self.set_past = set(current_dict), set(past_dict)
        self.intersect = self.set_current & self.set_past

    def added(self) -> set[Any]:
        return self.set_current - self.set_past

    def removed(self) -> set[Any]:
        return self.set_past - self.set_current

    def changed(self) -> set[Any]:
        return {key for key in self.intersect if self.past_dict[key] != self.current_dict[key]}

    def unchanged(self) -> set[Any]:
        return self.intersect - self.changed()


def dict_differ(dict1: Mapping[Any, Any], dict2: Mapping[Any, Any]) -> bool:
    """Whether a key that both have has another value."""
    return bool(DictDiffer(dict1, dict2).changed())


def resolve_name(import_name: str, silent: bool = False, reload: bool = False) -> Any:
    """What a dotted name names; with `reload` its module is read again first."""
    try:
        found = _resolve(import_name)
        module = sys.modules.get(getattr(found, "__module__", None) or "")
        if reload and module is not None:
            importlib.reload(module)
            found = _resolve(import_name)
    except ImportError as error:
        if silent:
            return None
        raise ImportStringError(import_name, error) from error
    return found


def to_bool(s: object) -> bool:
    """Read a boolean as ini files write it; None is False."""
    return False if s is None else scalars.to_bool(s)


def to_signum(signum: int | str) -> int:
    """The number of a signal: 15, `15`, `TERM`, `SIGTERM`, `SIGRTMIN+2`."""
    return platform.to_signum(signum)


def to_str(s: object, encoding: str = "utf8", errors: str = "replace") -> str:
    """Text of bytes or of anything."""
    return s.decode(encoding, errors) if isinstance(s, bytes) else str(s)


def to_bytes(s: object, encoding: str = "utf8") -> bytes:
    """Bytes of text or of anything."""
    return s if isinstance(s, bytes) else str(s).encode(encoding)


def to_uid(name: int | str) -> int:
    """The id of an existing user, given by name or id; ValueError when there is none."""
    user = _id_or_name(name)
    try:
        return pwd.getpwuid(user).pw_uid if isinstance(user, int) else pwd.getpwnam(user).pw_uid
    except (KeyError, OverflowError):
        raise ValueError(f"{user!r} isn't a valid user {'id' if isinstance(user, int) else 'name'}") from None


def to_gid(name: int | str) -> int:
    """The id of an existing group, given by name or id; ValueError when there is none."""
    group = _id_or_name(name)
    try:
        return grp.getgrgid(group).gr_gid if isinstance(group, int) else grp.getgrnam(group).gr_gid
    except (KeyError, OverflowError):
        raise ValueError(f"No such group: {group!r}") from None


def get_username_from_uid(uid: int | str) -> str:
    """The name of a user id; a name stays as it is."""
    return pwd.getpwuid(uid).pw_name if isinstance(uid, int) else uid


def get_default_gid(uid: int | str) -> int:
    """The primary group of a user."""
    return (pwd.getpwuid(uid) if isinstance(uid, int) else pwd.getpwnam(uid)).pw_gid


def parse_env_str(env_str: str) -> dict[str, str]:
    """`A=1,B=2` as a dict."""
    pairs = (pair.split("=") for pair in env_str.split(","))
    return parse_env_dict({key.strip(): value.strip() for key, value in pairs})


def parse_env_dict(env: Mapping[str, str]) -> dict[str, str]:
    """The dict with blanks around keys and values removed and `$NAME` replaced from the environment."""
    return {
        key.strip(): _UPPER.sub(lambda found: os.environ.get(found[1], ""), value).strip() for key, value in env.items()
    }


def env_to_str(env: Mapping[str, str] | None) -> str:
    """A dict as `A=1,B=2`."""
    return ",".join(f"{key}={value}" for key, value in sorted((env or {}).items()))


def convert_opt(key: str, val: Any) -> str:
    """The text of an option's value."""
    if key == "env":
        return env_to_str(val)
    return "" if val is None else str(val)


def bytes2human(n: int) -> str:
    """A size for people: `2.44M`, `100B`."""
    if not isinstance(n, int):
        raise TypeError(n)
    power = min(max(n.bit_length() - 1, 0) // 10, len(_UNITS) - 1) if n > 0 else 0
    return f"{n / (1 << 10 * power):.2f}{_UNITS[power]}" if power else f"{n}B"


def human2bytes(s: str) -> int:
    """A size from text: `1.5M`, `2 Ki`, `3 giga`, `512MiB`, `100 B`."""
    return scalars.to_size(s)


def replace_gnu_args(data: str, prefix: str | None = "circus", **options: Any) -> str:
    """Replace `$(circus.name)` and `((circus.name))` from keyword arguments; a dict gives `name.key`."""
    known: dict[str, str] = {}
    for name, value in options.items():
        items = {f"{name}.{key}": each for key, each in value.items()} if isinstance(value, Mapping) else {name: value}
        known.update({key.lower(): str(each) for key, each in items.items()})
    stem = "" if prefix is None else rf"{re.escape(prefix)}\."
    variable = rf"\$\({stem}([\w.\-]+)\)|\(\({stem}([\w.\-]+)\)\)"
    return re.sub(
        variable, lambda found: known.get((found[1] or found[2]).lower(), found[0]), data, flags=re.IGNORECASE
    )


def get_connection(
    socket: Any,
    endpoint: str,
    ssh_server: str | None = None,
    ssh_keyfile: str | None = None,
) -> None:
    """Connect a zmq socket, if asked through an ssh tunnel."""
    connect(socket, endpoint, ssh_server, ssh_keyfile)


def create_udp_socket(mcast_addr: str, mcast_port: int | str) -> socket.socket:
    """A socket that hears a multicast group of IPv4, for discovery; ValueError when it is no such group."""
    try:
        address, port = ipaddress.IPv4Address(mcast_addr), int(mcast_port)
    except ValueError as error:
        raise ValueError(f"{mcast_addr}:{mcast_port} is not an address and a port: {error}") from error
    if not address.is_multicast:
        raise ValueError(f"{mcast_addr} is not a multicast group, from 224.0.0.0 to 239.255.255.255")
    return bound_to_group(address, port)


def get_info(process: Any = None, interval: float = 0, with_childs: bool = False) -> dict[str, Any]:
    """What a process uses: this one, one of a pid, or an object with a `pid`.

    `cpu` is measured over `interval` seconds, in which this thread sleeps; without one it is 0.
    """
    pid = getattr(process, "pid", process)
    return stats_info.get_info(pid, interval=interval, children=with_childs)[0]


def load_virtualenv(watcher: Any, py_ver: str | None = None) -> None:
    """Put the virtualenv of a watcher into its `env`."""
    if not watcher.copy_env:
        raise ValueError("virtualenv needs copy_env")
    watcher.env.update(activate(watcher.virtualenv, watcher.env, py_ver))


def close_on_exec(fd: int) -> None:
    """Keep a file descriptor from started programs."""
    os.set_inheritable(fd, False)


def get_working_dir() -> str:
    """The current directory."""
    return os.getcwd()


def get_python_version() -> tuple[int, int, int]:
    """The version of the running Python."""
    return sys.version_info[:3]


def _id_or_name(name: int | str) -> int | str:
    if isinstance(name, int):
        return name
    if not isinstance(name, str):
        raise TypeError(name)
    return int(name) if name.isdecimal() else name
