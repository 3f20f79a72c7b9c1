"""Whether a watcher or socket that was read can be had: values that contradict each other, things not on this machine.

Owns every reason to leave a section out. Invariant: all reasons are named, and other sections are not affected.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

from circus.config import near
from circus.config.ini import Entry, Section
from circus.config.interpolate import has_variables, names_in
from circus.config.platform import group_exists, missing_virtualenv, this_platform, user_exists
from circus.config.programs import missing_program
from circus.config.report import Report
from circus.config.resolve import add_import_paths, missing_module, missing_name, resolve_name
from circus.spec.fields import STREAM, STREAM_CLASSES
from circus.spec.sockets import SocketSpec
from circus.spec.streams import StreamSpec
from circus.spec.watcher import WatcherSpec


class _Judge:
    """Collects the reasons against one section."""

    def __init__(self, section: Section, entries: Mapping[str, Entry], report: Report) -> None:
        self._section, self._entries, self._report = section, entries, report
        self.fine = True

    def against(self, option: str, expected: str) -> None:
        self._report.leave_out(self._section, self._entries.get(option), expected)
        self.fine = False

    def warn(self, option: str, expected: str) -> None:
        self._report.warn(self._section, self._entries.get(option), expected)


def check_watcher(
    spec: WatcherSpec,
    section: Section,
    entries: Mapping[str, Entry],
    sockets: Mapping[str, SocketSpec],
    report: Report,
    *,
    look_around: bool,
) -> bool:
    """Report all reasons against a watcher; True when there is none. `look_around` asks the machine too."""
    judge = _Judge(section, entries, report)
    if not spec.cmd.strip():
        judge.against("cmd", "a watcher needs a cmd to run")
    if spec.singleton and spec.numprocesses > 1:
        judge.against("numprocesses", "a singleton has at most one process")
    elif not spec.singleton and spec.numprocesses == 0:
        judge.warn("numprocesses", "0 processes are none until it is raised")
    for option in ("copy_path", "virtualenv"):
        if getattr(spec, option) and not spec.copy_env:
            judge.against(option, f"{option} needs copy_env = True")
    if spec.stdin_socket is not None and spec.stdin_socket.lower() not in sockets:
        judge.against("stdin_socket", f"there is no usable [socket:{spec.stdin_socket}]")
    if look_around:
        _check_machine(spec, judge)
    for name in ("stdout_stream", "stderr_stream"):
        _check_stream(name, getattr(spec, name), judge, look_around=look_around)
    _warn_about_sockets(spec, sockets, judge)
    return judge.fine


def _check_machine(spec: WatcherSpec, judge: _Judge) -> None:
    if spec.virtualenv is not None:
        reason = missing_virtualenv(spec.virtualenv, spec.virtualenv_py_ver)
        if reason is not None:
            judge.against("virtualenv", reason)
    if spec.uid is not None and not user_exists(spec.uid):
        judge.against("uid", "there is no such user on this machine")
    if spec.gid is not None and not group_exists(spec.gid):
        judge.against("gid", "there is no such group on this machine")
    if spec.working_dir and _is_missing(spec.working_dir):
        judge.warn("working_dir", "there is no such directory at the moment")
    missing = missing_program(spec, os.environ)
    if missing is not None:
        judge.warn(*missing)
    if spec.env and "PYTHONPATH" in spec.env:
        add_import_paths(spec.env["PYTHONPATH"])
    for name, hook in spec.hooks.items():
        _check_callable(f"hooks.{name}", str(hook.target), judge)


def _check_callable(option: str, target: str, judge: _Judge) -> None:
    try:
        found = resolve_name(target)
    except ImportError as error:
        judge.against(option, str(error))
        return
    if not callable(found):
        judge.against(option, f"{target!r} is not callable")


def _check_stream(name: str, stream: StreamSpec | None, judge: _Judge, *, look_around: bool) -> None:
    if stream is None:
        return
    if stream.cls is None and not stream.options.get("filename"):
        written = next(iter(stream.options), "class")
        judge.against(f"{name}.{written}", f"a stream needs {name}.class or {name}.filename")
        return
    cls = stream.cls or "FileStream"
    if cls not in STREAM_CLASSES:
        if "." not in cls and ":" not in cls:
            judge.against(f"{name}.class", f"expected one of {', '.join(STREAM_CLASSES)}, or a dotted name")
        elif look_around:
            _check_callable(f"{name}.class", cls, judge)
        return
    for key, value in stream.options.items():
        if key not in STREAM_CLASSES[cls]:
            if (word := near.stream_word(key, STREAM_CLASSES[cls])) is not None:
                judge.warn(f"{name}.{key}", word)
            continue
        try:
            STREAM[key].kind.parse(str(value), this_platform())
        except (ValueError, OverflowError):
            expected = f"expected {STREAM[key].kind.expected}"
            if key == "color":  # as in 0.19 the stream then chooses one
                judge.warn(f"{name}.{key}", expected)
            else:
                judge.against(f"{name}.{key}", expected)
    if "filename" in STREAM_CLASSES[cls]:
        file = str(stream.options.get("filename") or "")
        if not file:
            judge.warn(f"{name}.class", f"without {name}.filename nothing is written")
        elif look_around and _is_missing(os.path.dirname(file) or "."):
            judge.warn(f"{name}.filename", "there is no such directory at the moment")
    if cls == "TimedRotatingFileStream" and "rotate_when" not in stream.options:
        judge.against(f"{name}.class", f"a {cls} needs {name}.rotate_when")


def _is_missing(directory: str) -> bool:
    """Whether there is no such directory, as far as that can be known before the variables in it are."""
    return not has_variables(directory) and "{" not in directory and not os.path.isdir(directory)


def _warn_about_sockets(spec: WatcherSpec, sockets: Mapping[str, SocketSpec], judge: _Judge) -> None:
    for option in ("cmd", "args", "shell_args"):
        text = getattr(spec, option)
        for name in names_in(text) if isinstance(text, str) else ():
            if not name.startswith("sockets."):
                continue
            wanted = name.removeprefix("sockets.")
            if wanted not in sockets:
                judge.warn(option, f"there is no usable [socket:{wanted}], so $(circus.{name}) stays as it is")
            elif not spec.use_sockets and not sockets[wanted].so_reuseport:  # each process has its own of these
                judge.warn(option, f"$(circus.{name}) is a number that the process does not get: use_sockets is off")


def check_socket(spec: SocketSpec, section: Section, entries: Mapping[str, Entry], report: Report) -> bool:
    """Report all reasons against a socket; True when there is none."""
    judge = _Judge(section, entries, report)
    if spec.path is None and spec.family not in ("AF_INET", "AF_INET6", "AF_UNIX"):
        judge.against("family", "expected AF_INET, AF_INET6 or AF_UNIX")
    elif spec.path is None and spec.family == "AF_UNIX":
        judge.against("family", "a unix socket needs a path")
    if spec.type not in ("SOCK_STREAM", "SOCK_DGRAM", "SOCK_RAW", "SOCK_RDM", "SOCK_SEQPACKET"):
        judge.against("type", "expected SOCK_STREAM, SOCK_DGRAM, SOCK_RAW, SOCK_RDM or SOCK_SEQPACKET")
    if spec.proto is not None:
        try:
            socket.getprotobyname(spec.proto)
        except OSError:
            judge.against("proto", "expected a protocol that this machine knows by name")
    return judge.fine


def missing_plugin(use: str) -> str | None:
    """What to say of a plugin whose module is nowhere to be found; its code is for its own process, and not imported."""
    if "." not in use and ":" not in use:
        return "expected a dotted name such as package.module.Class"
    missing = missing_module(use)
    if missing is not None:
        return f"there is no module {missing!r}, unless only the plugin's process finds it"
    return missing_name(use)
