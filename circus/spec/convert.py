"""Conversions for the rest of Circus, in one place: single values from text, and a watcher as `options` shows it.

Owns the shape of the reply of `options`. Invariant: it holds the keys of circus 0.19 exactly, then what is new.
"""

from __future__ import annotations

from circus.spec.fields import WATCHER, stream_conf
from circus.spec.scalars import Platform, to_bool, to_limit, to_mask, to_signum, to_user
from circus.spec.watcher import WatcherSpec

__all__ = ["Platform", "options_dict", "to_bool", "to_limit", "to_mask", "to_signum", "to_user"]


def options_dict(spec: WatcherSpec, *, cwd: str | None = None) -> dict[str, object]:
    """What the command `options` answers: the keys of 0.19 sorted, free-form ones, and the new ones.

    `cwd` is the directory shown for a watcher that names none.
    """
    # 0.19 shows {} for the streams of a watcher from a file, null for those of one that was added.
    empty: object = {} if spec.origin == "ini" else None
    shown: dict[str, object] = {row.shown: getattr(spec, row.name) for row in WATCHER.values() if row.shown}
    shown["args"] = list(spec.args) if isinstance(spec.args, tuple) else spec.args
    shown["env"] = None if spec.env is None else dict(spec.env)
    shown["kill_scope"] = spec.scope
    shown["working_dir"] = spec.working_dir or cwd
    shown["stdout_stream_conf"] = stream_conf(spec.stdout_stream, empty=empty)
    shown["stderr_stream_conf"] = stream_conf(spec.stderr_stream, empty=empty)
    for name, value in spec.options.items():
        shown.setdefault(name, value)
    return dict(sorted(shown.items()))
