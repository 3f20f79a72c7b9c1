"""A plugin section, and the watcher that runs it.

Owns how a plugin's process is started: its command line, and the JSON on its standard input that carries the options,
so that any value survives and none shows in `ps`. Knows no plugin class. Invariant: an option of the section that is
not understood as one of the watcher is the plugin's own business, and reaches it untouched.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from circus.keys import Keys
from circus.spec.scalars import Platform, to_bool
from circus.spec.streams import StreamSpec
from circus.spec.watcher import WatcherSpec

CONFIG_ON_STDIN = "-"
KEYS_ON_STDIN = "circus.keys"
"""Beside the options on standard input, and not one of them."""

# What a plugin section may also say about the plugin's process; `numprocesses` and the command are ours to decide.
WATCHER_OPTIONS = (
    "priority", "autostart", "respawn", "working_dir", "uid", "gid", "copy_env", "copy_path", "virtualenv",
    "virtualenv_py_ver", "warmup_delay", "graceful_timeout", "stop_children", "kill_scope", "orphans", "max_retry", "backoff",
    "backoff_max", "backoff_jitter", "stable_after", "max_age", "max_age_variance", "use_sockets",
    "close_child_stdout", "close_child_stderr",
)  # fmt: skip

_NO_PLATFORM = Platform(signals={}, rlimits=frozenset())  # none of these options names a signal


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginSpec:
    """`name` is the whole section title (`plugin:flapping`), `use` the dotted class.

    `options` are texts in a configuration file, and whatever JSON can carry in a program.
    """

    name: str
    use: str
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def active(self) -> bool:
        """False only where the section says so; an inactive plugin is not started."""
        try:
            return to_bool(self.options.get("active", True))
        except ValueError:
            return True  # the plugin's own constructor will say what is wrong with it


def plugin_watcher(
    plugin: PluginSpec,
    endpoint: str,
    pubsub_endpoint: str,
    check_delay: float,
    python: str | None = None,
    *,
    debug: bool = False,
    loglevel: str | None = None,
    logoutput: str | None = None,
    ssh: str | None = None,
    keys: Keys | None = None,
) -> WatcherSpec:
    """The watcher of a plugin, with the defaults of circus 0.19: what it prints is thrown away unless `debug`.

    Standard error, where it logs unless `logoutput` says otherwise, is circusd's: 0.19 threw that away too, and nobody
    learned why a plugin did not work. `python` is the interpreter, by default the one that runs.
    """
    given = _watcher_options(plugin.options)
    # The plugin finds its class, and circus, where circusd does; without the environment there is nothing to put it in.
    copy_env = given.setdefault("copy_env", True)
    given["copy_path"] = bool(copy_env) and given.get("copy_path", True)
    given.setdefault("priority", 1)
    given.setdefault("close_child_stdout", not debug)
    given.setdefault("close_child_stderr", False)
    if not plugin.active:
        given |= {"autostart": False, "respawn": False}
    start = ("-m", "circus.plugins")
    command = {
        "--endpoint": endpoint,
        "--pubsub": pubsub_endpoint,
        "--check-delay": f"{check_delay:g}",
        "--ssh": ssh,
        "--log-level": "DEBUG" if debug else loglevel,
        "--log-output": logoutput,
        "--config": CONFIG_ON_STDIN,
    }
    return WatcherSpec(
        name=plugin.name,
        cmd=shlex.quote(python or sys.executable),
        # One word per option, because a value that begins with a dash would be taken for another option.
        args=(*start, *(f"{option}={value}" for option, value in command.items() if value), plugin.use),
        singleton=True,
        stdout_stream=StreamSpec(cls="StdoutStream") if debug else None,
        stderr_stream=StreamSpec(cls="StdoutStream") if debug else None,
        options={name: value for name, value in plugin.options.items() if name not in given},
        role="plugin",
        origin="ini",
        stdin_data=json.dumps(given_to(plugin, keys)).encode(),
        **given,
    )


def given_to(plugin: PluginSpec, keys: Keys | None) -> dict[str, Any]:
    """What a plugin's process reads from its standard input: its options, and how it is let in."""
    own = {} if keys is None else {KEYS_ON_STDIN: keys._asdict()}
    return {**plugin.options, "name": plugin.name, **own}


def _watcher_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the options that are the watcher's; what does not parse is a plugin's option of the same name."""
    from circus.spec.fields import WATCHER  # only daemons with plugins need the table

    given: dict[str, Any] = {}
    for name in WATCHER_OPTIONS:
        value = options.get(name)
        if value is None:
            continue
        try:
            given[name] = WATCHER[name].kind.parse(str(value), _NO_PLATFORM)
        except ValueError:
            continue
    return given
