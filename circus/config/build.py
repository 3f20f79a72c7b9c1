"""From a configuration file to the spec of the whole daemon.

Owns the order of reading and what becomes of what is found. Knows no process and no zmq. Invariant: either a spec that
can be run, with everything that was left out in it, or one ConfigError with every mistake; no other exception.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from circus.config import includes, near, possible
from circus.config.access import build_access, check_endpoints
from circus.config.alerts import build_alerts
from circus.config.environ import Environment
from circus.config.ini import Document, Entry, Section
from circus.config.interpolate import Variables
from circus.config.report import Report
from circus.config.values import Expander, expander, fitting, read_known
from circus.config.watchers import build_watchers
from circus.exc import ConfigError, Mistake
from circus.spec.arbiter import ArbiterSpec
from circus.spec.exporters import ExporterSpec, read_options
from circus.spec.fields import CIRCUS, SOCKET
from circus.spec.plugins import PluginSpec
from circus.spec.sockets import SocketSpec
from circus.spec.web import WEB, web_socket

_ENDPOINTS = ("endpoint", "pubsub_endpoint", "stats_endpoint", "multicast_endpoint")
_LEVELS = ("critical", "error", "warning", "info", "debug")
_PREFIXES = ("watcher:", "socket:", "plugin:", "env:", "exporter:", "alert:", "notify:", "access:")


def load(
    path: str | os.PathLike[str],
    *,
    environ: Mapping[str, str] | None = None,
    look_around: bool = True,
    anew: bool = False,
) -> ArbiterSpec:
    """Read a configuration and all that it includes; ConfigError carries all mistakes at once, and what would be left out
    if there were none, for nothing of it can be had before both are mended.

    `environ` is what `$NAME` and `$(circus.env.NAME)` see, os.environ unless given. Without `look_around` nothing is
    asked of this machine: no hook is imported, no user looked up. That is for programs that are not the daemon.
    `anew` is for a daemon that runs already, and must not wait for a pipe.
    """
    known = os.environ if environ is None else environ
    spec, report = _read(os.fspath(path), known, look_around=look_around, anew=anew)
    if report.mistakes:
        raise ConfigError(_all_wrong(report), _in_order(report.warnings))
    return spec


def check(
    path: str | os.PathLike[str], *, environ: Mapping[str, str] | None = None
) -> tuple[list[Mistake], list[Mistake]]:
    """What is wrong with a configuration (mistakes, and sections that would be left out), and the warnings."""
    _, report = _read(os.fspath(path), os.environ if environ is None else environ, look_around=True)
    return _all_wrong(report), _in_order(report.warnings)


def _all_wrong(report: Report) -> list[Mistake]:
    return _in_order(report.mistakes + report.omitted)


def _in_order(findings: list[Mistake]) -> list[Mistake]:
    """As somebody who reads the files from top to bottom meets them."""
    files = {file: number for number, file in enumerate(dict.fromkeys(finding.file for finding in findings))}
    return sorted(findings, key=lambda finding: (files[finding.file], finding.line or 0))


def _read(
    path: str, environ: Mapping[str, str], *, look_around: bool, anew: bool = False
) -> tuple[ArbiterSpec, Report]:
    source = includes.read(path, Variables(environ, prefix="env."), anew=anew)
    document, report = source.document, Report()
    report.mistakes += document.mistakes
    report.warnings += document.warnings
    environment = Environment(document, environ)
    text = expander(environment.variables)
    circus = _circus(document, text, report)
    sockets = _sockets(document, text, report)
    if circus["httpd"] and near.httpd_word() is None and not any(sock.name == WEB for sock in sockets):
        sockets.append(web_socket(circus["httpd_host"], circus["httpd_port"]))
    watchers = build_watchers(document, environment, sockets, report, look_around=look_around)
    plugins = _plugins(document, text, report, look_around=look_around)
    exporters = _exporters(document, text, report, look_around=look_around)
    alerts, notify = build_alerts(
        _sections(document, "alert:", report, empty=True),
        _sections(document, "notify:", report, empty=True),
        watchers,
        text,
        report,
        look_around=look_around,
    )
    rules = _sections(document, "access:", report, empty=True)
    access = build_access(rules, text, report, look_around=look_around)
    if look_around:
        check_endpoints(circus, document, access, report)
    _warn_about_unread(document, report)
    spec = ArbiterSpec(
        **circus,
        env=environment.shared,
        sockets=tuple(sockets),
        watchers=tuple(watchers),
        plugins=tuple(plugins),
        exporters=tuple(exporters),
        alerts=tuple(alerts),
        notify=tuple(notify),
        access=tuple(access),
        omitted=tuple(_in_order(report.omitted)),
        warnings=tuple(_in_order(report.warnings)),
        config_file=os.path.abspath(path),
        config_hash=source.hash,
    )
    return spec, report


def _circus(document: Document, text: Expander, report: Report) -> dict[str, Any]:
    entries = document.entries("circus")
    section = document.sections.get("circus", Section(title="circus", file="", line=0))
    values: dict[str, Any] = read_known(CIRCUS, section, entries, text, report)
    for name, entry in section.entries.items():
        if name not in CIRCUS:
            report.warn(section, entry, near.circus_word(name))
    if values["httpd"] and (word := near.httpd_word()) is not None:
        report.warn(section, entries.get("httpd"), word)
    if values["loglevel"] is not None and values["loglevel"].lower() not in _LEVELS:
        report.warn(section, entries.get("loglevel"), f"expected one of {', '.join(_LEVELS)}; info is used")
    for name in ("curve_secret_key_file", "state_file"):
        if values[name] is not None:
            beside = os.path.dirname(os.path.abspath(entries[name].file))
            values[name] = os.path.join(beside, values[name])
    values["asked"] = frozenset(name for name in _ENDPOINTS if name in entries)
    values["statsd"] = values["statsd"] or "stats_endpoint" in values["asked"]
    del values["include"], values["include_dir"]
    return values


def _sockets(document: Document, text: Expander, report: Report) -> list[SocketSpec]:
    built: dict[str, SocketSpec] = {}
    seen: dict[str, Section] = {}
    for section, entries in _sections(document, "socket:", report):
        name = section.title.removeprefix("socket:").strip().lower()
        other = seen.setdefault(name, section)
        if other is not section:
            where = f"[{other.title}] at {other.file}:{other.line}"
            report.wrong(section, None, f"is the same socket as {where}: names are compared without case")
            continue
        values: dict[str, Any] = read_known(SOCKET, section, entries, text, report)
        for key, entry in section.entries.items():
            if key not in SOCKET:
                report.warn(section, entry, near.socket_word(key))
        values["family"] = "AF_UNIX" if values["path"] is not None else values["family"].upper()
        values["type"] = values["type"].upper()
        spec = SocketSpec(name=name, **values)
        if possible.check_socket(spec, section, entries, report):
            built[name] = spec
    return [built[name] for name in sorted(built)]


def _plugins(document: Document, text: Expander, report: Report, *, look_around: bool) -> list[PluginSpec]:
    plugins = []
    for section, entries in _sections(document, "plugin:", report):
        use = entries.get("use")
        if use is None or not use.value:
            report.wrong(section, use, "a plugin needs use = the dotted name of its class")
            continue
        options = {name: text(entry.value) for name, entry in entries.items() if name != "use"}
        priority = entries.get("priority")
        if priority is not None:
            try:
                int(options["priority"])
            except ValueError:
                report.wrong(section, priority, fitting("a whole number", priority.value, options["priority"]))
        plugins.append(PluginSpec(name=section.title, use=text(use.value), options=options))
        if look_around and (word := possible.missing_plugin(plugins[-1].use)) is not None:
            report.warn(section, use, word)
    return sorted(plugins, key=lambda plugin: plugin.name)


def _exporters(document: Document, text: Expander, report: Report, *, look_around: bool) -> list[ExporterSpec]:
    """One with a mistake is left out: what it would have told must not keep anything from running."""
    exporters = []
    # Unlike other sections an empty one counts: [exporter:prometheus] alone asks for the defaults.
    for section, entries in _sections(document, "exporter:", report, empty=True):
        name = section.title.removeprefix("exporter:").strip()
        options = {option: text(entry.value) for option, entry in entries.items()}
        values, wrong = read_options(name, options)
        for option, expected in wrong.items():
            report.leave_out(section, entries.get(option) if option is not None else None, expected)
        if values.get("web_config"):
            entry = entries["web_config"]
            options["web_config"] = os.path.join(os.path.dirname(os.path.abspath(entry.file)), options["web_config"])
            if look_around and not os.access(options["web_config"], os.R_OK):
                report.leave_out(section, entry, "there is no such file, or it may not be read")
                continue
        if not wrong:
            exporters.append(ExporterSpec(name=name, options=options))
    return exporters


def _sections(
    document: Document, prefix: str, report: Report, *, empty: bool = False
) -> list[tuple[Section, dict[str, Entry]]]:
    """The sections of one kind with their entries; those without any only when `empty`."""
    found = []
    for title in document.titles():
        if not title.startswith(prefix):
            continue
        section, entries = document.sections[title], document.entries(title)
        if not title.removeprefix(prefix).strip():
            report.wrong(section, None, f"a section [{prefix}NAME] needs a name")
        elif not entries and not empty:
            report.warn(section, None, "has no options, so there is no such thing")
        else:
            found.append((section, entries))
    return found


def _warn_about_unread(document: Document, report: Report) -> None:
    """Warn about sections that nothing reads and that resemble one that is read."""
    for title in document.titles():
        if title in ("circus", "env") or title.startswith(_PREFIXES):
            continue
        if (word := near.section_word(title)) is not None:
            report.warn(document.sections[title], None, word)
