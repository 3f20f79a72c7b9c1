"""What a configuration means, in one shape for circus 0.19.0 and for ours, so that they can be compared by option."""

from __future__ import annotations

import json
import os
import pathlib
import socket
import subprocess
from collections.abc import Mapping
from typing import Any

from circus.config.build import load
from circus.exc import ConfigError, Mistake
from circus.spec.arbiter import ArbiterSpec
from circus.spec.fields import CIRCUS, WATCHER
from circus.spec.sockets import SocketSpec
from circus.spec.watcher import WatcherSpec
from tests.helpers import real
from tests.helpers.differences import Difference

PROGRAM = pathlib.Path(__file__).resolve().parents[1] / "compat" / "old_config.py"
ENVIRONMENT = {"PATH": os.defpath, "HOME": "/nowhere", "OUTSIDE": "from outside", "LC_ALL": "C.UTF-8"}


def understood_by_old(paths: list[pathlib.Path]) -> list[dict[str, Any]]:
    """What circus 0.19.0 makes of these files, each in its own directory."""
    done = subprocess.run(
        [real.old_circus("python"), str(PROGRAM)],
        input=json.dumps([str(path) for path in paths]),
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told: list[dict[str, Any]] = json.loads(done.stdout)
    return told


def understood(path: pathlib.Path) -> dict[str, Any]:
    """What ours makes of it."""
    try:
        spec = load(path, environ=ENVIRONMENT)
    except ConfigError as error:
        return {"refused": [_without_file(mistake) for mistake in error.mistakes]}
    left_out = _left_out(spec)
    return {
        "circus": _circus(spec),
        "watchers": {made.name: _watcher(made, path.parent) for made in spec.watchers} | left_out["watchers"],
        "sockets": {made.name: _socket(made) for made in spec.sockets} | left_out["sockets"],
        "plugins": {made.name: {"use": made.use, **made.options} for made in spec.plugins} | left_out["plugins"],
    }


def _without_file(mistake: Mistake) -> str:
    return str(mistake).partition(": ")[2]


def _left_out(spec: ArbiterSpec) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {"watchers": {}, "sockets": {}, "plugins": {}}
    for mistake in spec.omitted:
        kind, _, name = (mistake.section or "").partition(":")
        if kind == "plugin":
            found["plugins"][f"plugin:{name}"] = {"left out": _without_file(mistake)}
        else:
            found[f"{kind}s"][name.lower() if kind == "socket" else name] = {"left out": _without_file(mistake)}
    return found


def _circus(spec: ArbiterSpec) -> dict[str, Any]:
    return {name: getattr(spec, name) for name, row in CIRCUS.items() if not row.new and "include" not in name}


def _watcher(spec: WatcherSpec, directory: pathlib.Path) -> dict[str, Any]:
    told: dict[str, Any] = {name: getattr(spec, name) for name, row in WATCHER.items() if not row.new}
    told["env"] = dict(spec.env or {})
    told["working_dir"] = spec.working_dir or str(directory)
    told["rlimits"] = dict(spec.rlimits)
    told["hooks"] = {name: [hook.target, hook.ignore_failure] for name, hook in spec.hooks.items()}
    for name in ("stdout_stream", "stderr_stream"):
        stream = getattr(spec, name)
        told[name] = {} if stream is None else {**({"class": stream.cls} if stream.cls else {}), **stream.options}
    told["options"] = dict(spec.options)
    return told


def _socket(spec: SocketSpec) -> dict[str, Any]:
    return {
        "host": spec.host,
        "port": spec.port,
        "family": spec.family,
        "type": spec.type,
        "proto": 0 if spec.proto is None else socket.getprotobyname(spec.proto),
        "path": spec.path,
        "umask": spec.umask,
        "replace": spec.replace,
        "backlog": spec.backlog,
        "interface": spec.interface,
        "so_reuseport": spec.so_reuseport,
        "blocking": spec.blocking,
    }


def compared(name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Difference]:
    """What two readings of one file disagree in, section by section and option by option."""
    if "refused" in old or "refused" in new:
        if ("refused" in old) == ("refused" in new):
            return []
        was, now = (json.dumps(told.get("refused", "taken")) for told in (old, new))
        return [Difference(script=name, step="file", path="refused", old=was, new=now)]
    found = _options(name, "circus", old["circus"], new["circus"])
    for kind in ("watchers", "sockets", "plugins"):
        for title in sorted({*old[kind], *new[kind]}):
            was, now = old[kind].get(title, {"there": False}), new[kind].get(title, {"there": False})
            if "left out" in was and "left out" in now:
                continue
            if {"left out", "there"} & {*was, *now}:
                was, now = ({"left out": told.get("left out", told.get("there", True))} for told in (was, now))
            found += _options(name, f"{kind}.{title}", was, now)
    return found


def _options(name: str, section: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Difference]:
    flat_old, flat_new = dict(_leaves("", old)), dict(_leaves("", new))
    return [
        Difference(script=name, step=section, path=path, old=flat_old.get(path, ""), new=flat_new.get(path, ""))
        for path in dict.fromkeys([*flat_old, *flat_new])
        if flat_old.get(path) != flat_new.get(path)
    ]


def _leaves(path: str, value: Any) -> list[tuple[str, str]]:
    if isinstance(value, Mapping):
        return [leaf for key, item in value.items() for leaf in _leaves(f"{path}.{key}" if path else str(key), item)]
    # 5 and 5.0 are one number to everybody who reads it.
    number = isinstance(value, float) and value.is_integer()
    return [(path, json.dumps(int(value) if number else value))]
