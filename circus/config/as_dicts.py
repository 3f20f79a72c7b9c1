"""A configuration as the dicts of circus 0.19, for programs that read one with `circus.config.get_config`.

Owns the shape. Invariant: what is here can be handed to `Watcher.load_from_config` and the like, and asks nothing of this
machine: no hook is imported, no user looked up.
"""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Mapping
from typing import Any

from circus.config.build import load
from circus.spec.arbiter import ArbiterSpec
from circus.spec.fields import CIRCUS, SOCKET, WATCHER, stream_conf
from circus.spec.plugins import PluginSpec
from circus.spec.sockets import SocketSpec
from circus.spec.watcher import WatcherSpec

_OURS = {option.name for option in CIRCUS.values() if option.new} | {"include", "include_dir"}


def watcher_defaults() -> dict[str, Any]:
    """The options that every watcher of `get_config` has, with their defaults."""
    return {
        "name": "",
        "cmd": "",
        "args": "",
        "numprocesses": 1,
        "warmup_delay": 0,
        "executable": None,
        "working_dir": None,
        "on_demand": False,
        "shell": False,
        "uid": None,
        "gid": None,
        "send_hup": False,
        "stop_signal": signal.SIGTERM,
        "stop_children": False,
        "max_retry": 5,
        "graceful_timeout": 30,
        "rlimits": {},
        "stderr_stream": {},
        "stdout_stream": {},
        "priority": 0,
        "use_sockets": False,
        "singleton": False,
        "copy_env": False,
        "copy_path": False,
        "hooks": {},
        "respawn": True,
        "autostart": True,
    }


def rlimit_value(val: str | None) -> int:
    """A limit from its text; nothing is infinity."""
    return resource.RLIM_INFINITY if not val else int(val)


def get_config(config_file: str) -> dict[str, Any]:
    """All that a configuration says: the options of `[circus]`, and `watchers`, `plugins` and `sockets` by name.

    Raises:
        OSError: there is no such file.
        ConfigError: it has mistakes.
    """
    os.stat(config_file)
    spec = load(config_file, look_around=False)
    return {
        **_circus(spec),
        "watchers": sorted((_watcher(watcher, spec.env) for watcher in spec.watchers), key=_name),
        "plugins": sorted(map(_plugin, spec.plugins), key=_name),
        "sockets": sorted(map(_socket, spec.sockets), key=_name),
    }


def _name(found: Mapping[str, Any]) -> str:
    return str(found["name"])


def _circus(spec: ArbiterSpec) -> dict[str, Any]:
    return {name: getattr(spec, name) for name in CIRCUS if name not in _OURS}


def _watcher(spec: WatcherSpec, shared: Mapping[str, str]) -> dict[str, Any]:
    found = watcher_defaults() | {"name": spec.name}
    for name, option in WATCHER.items():
        value = getattr(spec, name)
        if name in found or value != option.ini:
            found[name] = value
    inherited = os.environ if spec.copy_env else {}
    return {
        **found,
        "env": {**inherited, **shared, **(spec.env or {})},
        "rlimits": {name: resource.RLIM_INFINITY if limit is None else limit for name, limit in spec.rlimits.items()},
        "hooks": {name: [hook.target, hook.ignore_failure] for name, hook in spec.hooks.items()},
        "stdout_stream": stream_conf(spec.stdout_stream, empty={}),
        "stderr_stream": stream_conf(spec.stderr_stream, empty={}),
        **spec.options,
    }


def _plugin(spec: PluginSpec) -> dict[str, Any]:
    found: dict[str, Any] = {**spec.options, "use": spec.use, "name": spec.name}
    if "priority" in found:
        found["priority"] = int(found["priority"])
    return found


def _socket(spec: SocketSpec) -> dict[str, Any]:
    always = ("so_reuseport", "replace")
    values = {name: getattr(spec, name) for name in SOCKET}
    if spec.umask is not None:
        values["umask"] = f"{spec.umask:03o}"  # the text of the file, which is what says that it is octal
    return {
        "name": spec.name,
        **{name: value for name, value in values.items() if name in always or value != SOCKET[name].ini},
    }
