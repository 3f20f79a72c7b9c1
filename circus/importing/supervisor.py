"""A configuration of supervisor as one for circusd.

Owns which section becomes what: [supervisord] becomes [circus] and [env], programs become watchers, [group:…] labels
and priorities; listeners of events, HTTP servers and extensions of supervisor become comments. Decides nothing about
single programs. Invariant: each section of the file is converted, told, or a mistake.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple

from circus.exc import ConfigError, Mistake
from circus.importing import supervisor_files, written
from circus.importing.expansions import Names
from circus.importing.report import Note, Report
from circus.importing.supervisor_programs import BAD_IN_NAMES, Context, Daemon, convert, priority_of, warn_of_variables
from circus.importing.values import Section, to_variables
from circus.importing.written import Written

_LEVELS = {"critical": "critical", "error": "error", "warn": "warning", "info": "info"}
_LEVELS |= dict.fromkeys(("debug", "trace", "blather"), "debug")
_PROGRAMS = ("program:", "fcgi-program:")

_ROTATION = "circusd does not rotate its own log; logrotate does, or what `loggerconfig` names"
_DAEMON: Mapping[str, str] = {
    "logfile_maxbytes": _ROTATION,
    "logfile_backups": _ROTATION,
    "minfds": "`rlimit_nofile` in a watcher sets the limit of its processes, `ulimit -n` that of circusd",
    "minprocs": "`rlimit_nproc` in a watcher sets the limit of its processes",
    "strip_ansi": "output is kept as it is; a stream class of your own may change it",
    "identifier": "a daemon is known by its endpoint",
    "nocleanup": "there are no automatic log files to be kept",
}
_DEFAULTS = {
    "minfds": "1024",
    "minprocs": "200",
    "strip_ansi": "false",
    "identifier": "supervisor",
    "nocleanup": "false",
}
_NO_LOG_DIRECTORY = (
    "there are no automatic log files; `circusctl tail` shows the last lines of a watcher with `capture`"
)
_CONTROL = "circusctl finds `endpoint = auto`, which its own user alone may use unless `[access:NAME]` says more"
_SECTIONS = (
    ("eventlistener:", "a plugin can do that (docs/guides/plugins.md), with other events"),
    ("inet_http_server", "there is no HTTP server for control; for who may do what there is `[access:NAME]`"),
    ("rpcinterface:", "extensions of supervisor's server do not work here"),
    ("ctlplugin:", "extensions of supervisorctl do not work here"),
)
_RPC_OF_SUPERVISOR = "rpcinterface:supervisor"
_RESTARTS = (
    "it is not set, so Circus starts the program again also after an expected exit status (0), which supervisor would"
    " leave as it is; set respawn = False where that is wanted"
)


class Converted(NamedTuple):
    """The text for circusd, and what has to be said about it."""

    text: str
    notes: list[Note]

    @property
    def whole(self) -> bool:
        """Whether nothing was lost."""
        return not any(note.lost for note in self.notes)


def convert_file(path: str, environ: Mapping[str, str], host: str) -> Converted:
    """Convert a supervisord.conf with what it includes.

    Args:
        path: the main file.
        environ: the environment for `%(ENV_X)s` where a value is needed now, and in [include].
        host: the name of the machine, for `%(host_node_name)s`.

    Raises:
        ConfigError: a file cannot be read, or supervisor would refuse what it says; all mistakes at once.
    """
    report = Report()
    names = {"host_node_name": host, **{f"ENV_{name}": value for name, value in environ.items()}}
    sections = supervisor_files.read(path, names, report)
    if not any(title == "supervisord" or title.startswith((*_PROGRAMS, "eventlistener:")) for title in sections):
        expected = "this is no file of supervisor: expected [supervisord] or a [program:NAME]"
        raise ConfigError([Mistake(file=path, line=None, section=None, option=None, value=None, expected=expected)])
    made = _File(sections, Names({"host_node_name": host}, environment=environ), report).sections()
    if report.mistakes:
        raise ConfigError(
            sorted(report.mistakes, key=lambda found: (found.file != path, found.file or "", found.line or 0))
        )
    head = f"Made by `circusctl import` from {path}. What is marked NOT CONVERTED needs you; `circusd --check` tells the rest."
    return Converted(written.text(head, made, report), report.notes)


class _File:
    def __init__(self, sections: Mapping[str, supervisor_files.Options], names: Names, report: Report) -> None:
        self.found = {title: Section(title, options, names, report) for title, options in sections.items()}
        self.names = names
        self.report = report
        self.programs = {title: title.partition(":")[2].strip() for title in self.found if title.startswith(_PROGRAMS)}
        self.groups = self._groups()

    def sections(self) -> list[Written]:
        made, daemon = self._daemon()
        ranks = self._ranks()
        for title, name in self.programs.items():
            if bad := [character for character in BAD_IN_NAMES if character in name]:
                self.found[title].wrong(None, f"expected a name without {bad[0]!r}")
                continue
            group = next((group for group, titles in self.groups.items() if title in titles), None)
            context = Context(group=group, priority=ranks[title], daemon=daemon)
            made += convert(self.found[title], name, context)
        self._same_names(made)
        self._others()
        self._restarts()
        return made

    def _daemon(self) -> tuple[list[Written], Daemon]:
        section = self.found.get("supervisord") or Section("supervisord", {}, self.names, self.report)
        options = dict.fromkeys(("endpoint", "pubsub_endpoint", "stats_endpoint"), "auto")
        log = section.text("logfile")
        if log is not None and log.lower() == "syslog":
            section.lost("logfile", "logoutput = syslog://HOST:PORT takes the address of a syslog server")
        elif log is not None and log not in {"/dev/null", "/dev/stdout", "/dev/fd/1", "/dev/stderr", "/dev/fd/2"}:
            options["logoutput"] = os.path.expanduser(log)
        level = section.read("loglevel", _level, "info", f"one of {', '.join(_LEVELS)}")
        if level != "info":
            options["loglevel"] = level
        if (pidfile := section.text("pidfile")) is not None:
            options["pidfile"] = os.path.expanduser(pidfile)
        mask = section.read("umask", lambda text: int(text, 8), None, "an octal number")
        if mask is not None:
            options["umask"] = f"{mask:03o}"
        foreground = section.boolean("nodaemon")
        section.boolean("silent")
        directory, user = section.text("directory"), section.text("user")
        if user is not None:
            section.differs("user", "the watchers have it; circusd itself runs as whoever starts it")
        made = [Written(title="circus", source="supervisord", options=options)]
        try:
            variables = to_variables(section.text("environment") or "")
        except ValueError:
            section.wrong("environment", 'expected KEY="value",OTHER="value"')
            variables = {}
        if variables:
            for name, value in variables.items():
                warn_of_variables(section, name, value)
            made.append(Written(title="env", source="supervisord", options=variables))
        if section.text("childlogdir") is not None:
            section.differs("childlogdir", _NO_LOG_DIRECTORY)
        section.rest(_DAEMON, _DEFAULTS)
        return made, Daemon(user=user, directory=None if foreground else directory, umask=mask)

    def _groups(self) -> dict[str, list[str]]:
        groups = {}
        for title, section in self.found.items():
            if title.startswith("group:"):
                names = [name.strip() for name in (section.text("programs") or "").split(",") if name.strip()]
                members = [each for each, name in self.programs.items() if name in names]
                for missing in sorted(set(names) - {self.programs[member] for member in members}):
                    section.wrong("programs", f"there is no [program:{missing}]")
                groups[title.removeprefix("group:").strip()] = members
        return groups

    def _ranks(self) -> dict[str, int]:
        """The priority of each program whose place differs from that of others; the highest starts first."""
        places = {}
        for title in self.programs:
            own = priority_of(self.found[title])
            group = next((name for name, members in self.groups.items() if title in members), None)
            places[title] = (priority_of(self.found[f"group:{group}"]) if group is not None else own, own)
        order = sorted(set(places.values()), reverse=True)
        return {title: order.index(place) for title, place in places.items()}

    def _same_names(self, made: list[Written]) -> None:
        seen: dict[str, Written] = {}
        for section in made:
            other = seen.setdefault(section.title.lower(), section)
            if other is not section:
                expected = f"expected another name than in [{other.source}]: watchers are known without case"
                self.found[section.source].wrong(None, expected)

    def _others(self) -> None:
        for title, section in self.found.items():
            if title in ("supervisord", "supervisorctl", "include", _RPC_OF_SUPERVISOR) or title in self.programs:
                continue
            if title == "unix_http_server":
                section.raw("file")
                section.differs("file", _CONTROL)
                section.rest({}.fromkeys(("chmod", "chown", "username", "password"), _CONTROL), {"chmod": "0700"})
                continue
            if title.startswith("group:"):
                section.differs(
                    None, "there are no groups: its programs have the label `group`, and are named one by one"
                )
                section.rest({})
                continue
            told = (reason for prefix, reason in _SECTIONS if title.startswith(prefix))
            section.lost(None, next(told, "supervisor has no such section either"))

    def _restarts(self) -> None:
        for title in self.programs:
            if not self.found[title].has("autorestart"):
                self.found[title].differs("autorestart", _RESTARTS)


def _level(text: str) -> str:
    if text.lower() not in _LEVELS:
        raise ValueError(text)
    return _LEVELS[text.lower()]
