"""Where the output of a supervisor program goes, as options of a watcher.

Owns `stdout_*`, `stderr_*` and `redirect_stderr`. Invariant: what supervisor keeps, circusd keeps too, in the same file
and with the same rotation, or it is told.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from circus.importing.values import Section

_DEFAULT_BYTES = 50 << 20
_DEFAULT_BACKUPS = 10
_OWN = {
    "stdout": {"/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"},
    "stderr": {"/dev/stderr", "/dev/fd/2", "/proc/self/fd/2"},
}

AUTO, NOWHERE = "auto", "/dev/null"

_CAPTURE = "supervisor cuts messages in tags out of the output; write a stream class, or an event of your own"


def outputs(section: Section, place: Callable[[str], str | None]) -> dict[str, str]:
    """The options for both outputs; `place` expands the name of a file, with the number of the process."""
    out, err = _target(section, "stdout", place), _target(section, "stderr", place)
    for name in ("stdout", "stderr"):
        if section.boolean(f"{name}_events_enabled"):
            section.lost(f"{name}_events_enabled", "lines are published as `log.` on the events channel when asked for")
        if section.size(f"{name}_capture_maxbytes", 0):
            section.lost(f"{name}_capture_maxbytes", _CAPTURE)
        # Read also where it is not used: a mistake is one for supervisor too.
        section.size(f"{name}_logfile_maxbytes", _DEFAULT_BYTES)
        section.integer(f"{name}_logfile_backups", _DEFAULT_BACKUPS)
    options: dict[str, str] = {}
    joined = section.boolean("redirect_stderr")
    if joined and section.raw("stderr_logfile") is not None and err not in (AUTO, NOWHERE):
        section.differs("stderr_logfile", "not used, as redirect_stderr is true")
    options |= _stream(section, "stdout", out, "stdout")
    options |= _stream(section, "stderr", out, "stdout") if joined else _stream(section, "stderr", err, "stderr")
    if AUTO in ({out} if joined else {out, err}):
        options["capture"] = "True"
    return options


def _target(section: Section, name: str, place: Callable[[str], str | None]) -> str:
    """A path, AUTO or NOWHERE."""
    option = f"{name}_logfile"
    text = place(option) or AUTO
    syslog = section.boolean(f"{name}_syslog")
    if text.lower() == "syslog" or syslog:
        told = "there is no stream to syslog; a class of your own can be one, or pipe the output of circusd"
        section.lost(f"{name}_syslog" if syslog else option, told)
        text = AUTO if text.lower() == "syslog" else text
    if text.lower() in {"none", "off"}:
        return NOWHERE
    return AUTO if text.lower() == AUTO else text


def _stream(section: Section, stream: str, target: str, source: str) -> dict[str, str]:
    """The options of one stream, whose file and rotation are those of `source`."""
    limit = section.size(f"{source}_logfile_maxbytes", _DEFAULT_BYTES)
    backups = section.integer(f"{source}_logfile_backups", _DEFAULT_BACKUPS)
    if target == NOWHERE:
        return {f"close_child_{stream}": "True"}
    if target == AUTO or target in _OWN[stream]:
        return {}  # that of circusd
    if target in _OWN["stdout"]:
        return {f"{stream}_stream.class": "StdoutStream"}
    if target in _OWN["stderr"]:
        section.lost(f"{source}_logfile", "no stream leads to the errors of circusd; it goes to its output")
        return {f"{stream}_stream.class": "StdoutStream"}
    options = {f"{stream}_stream.filename": os.path.expanduser(target)}
    if limit > 0:
        options[f"{stream}_stream.max_bytes"] = str(limit)
        options[f"{stream}_stream.backup_count"] = str(backups)
    return options
