"""From [program:NAME] and [fcgi-program:NAME] of supervisor to watchers and their sockets and environments.

Owns the options of a program. A program with several processes is one watcher; where what they do depends on their
number in a way that a `wid` (1, 2, …) cannot say, it is a watcher for each. Invariant: each option of the section is
converted, told, or a mistake.
"""

from __future__ import annotations

import glob
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from circus.importing.expansions import Names, expand, numbered, with_number
from circus.importing.supervisor_outputs import outputs
from circus.importing.values import Section, to_codes, to_signal, to_variables
from circus.importing.written import Written

DEFAULT_PRIORITY = 999
BAD_IN_NAMES = " :/"
_NUMBERED = ("command", "environment", "directory")
_LOGS = ("stdout_logfile", "stderr_logfile")
_PLAIN = {"d", "s"}
_VARIABLE = re.compile(r"\$(?=[A-Z])")
_FROM_ENVIRONMENT = re.compile(r"\$\(circus\.env\.(\w+)\)(?=(.?))", re.DOTALL)

NOT_CONVERTED: Mapping[str, str] = {
    "serverurl": "there is no HTTP server; a program that wants to control circusd talks to its endpoint",
}
_EXPECTED_EXIT = (
    "Circus starts what has ended again, whatever its exit status; a program that may end needs respawn = False"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Daemon:
    """What [supervisord] says, as far as programs get it from there."""

    user: str | None
    directory: str | None
    umask: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What the rest of the file says about a program."""

    group: str | None
    priority: int
    daemon: Daemon


def warn_of_variables(section: Section, name: str, value: str) -> None:
    """Tell of a value that circusd will change."""
    if _VARIABLE.search(value):
        section.lost("environment", f"circusd replaces what looks like $NAME in {name}")


def priority_of(section: Section) -> int:
    """The priority as it is written, lowest first."""
    return section.integer("priority", DEFAULT_PRIORITY)


def convert(section: Section, name: str, context: Context) -> list[Written]:
    """The sections for a program."""
    return _Program(section, name, context).sections()


class _Program:
    def __init__(self, section: Section, name: str, context: Context) -> None:
        self.section, self.name, self.context = section, name, context
        self.count = section.integer("numprocs", 1)
        self.start = section.integer("numprocs_start", 0)
        self.names = Names(
            section.names,
            {"program_name": name, "group_name": context.group or name, "numprocs": self.count},
            environment=section.names.environment,
        )
        section.names = self.names

    def sections(self) -> list[Written]:
        section = self.section
        process_name = section.raw("process_name") or "%(program_name)s"
        if self.count > 1 and not numbered(process_name):
            section.wrong("process_name", "expected %(process_num)02d in it, as numprocs is more than 1")
        if bad := [character for character in BAD_IN_NAMES if character in process_name.strip()]:
            section.wrong("process_name", f"expected a name without {bad[0]!r}")
        self._expanded("process_name", process_name, self.start)
        if not section.has("command"):
            section.wrong(None, "expected an option `command`")
        sockets = self._sockets()
        made: list[Written] = []
        for watcher, number in self._watchers(process_name):
            made += self._watcher(watcher, number, sockets)
        section.rest(NOT_CONVERTED)
        return [*sockets, *made]

    def _watchers(self, process_name: str) -> Iterator[tuple[str, int | None]]:
        """(name, number of the process) of each watcher; no number where the wid says it."""
        if self.count <= 1:
            yield self.name, self.start
            return
        forms = {option: numbered(self.section.raw(option) or "") for option in (*_NUMBERED, *_LOGS)}
        counts_as_wid = self.start == 1 and forms["command"] <= _PLAIN
        if (forms["command"] and not counts_as_wid) or forms["environment"] or forms["directory"]:
            self.section.differs(
                "numprocs", "each process has a watcher of its own, as what it does depends on its number"
            )
            for number in range(self.start, self.start + self.count):
                yield self._expanded("process_name", process_name, number) or self.name, number
            return
        for option in _LOGS:
            if forms[option] and not (self.start == 1 and forms[option] <= _PLAIN):
                self.section.differs(option, "the files are numbered 1, 2, …, by the slot of the process")
        yield self.name, None

    def _watcher(self, name: str, number: int | None, sockets: list[Written]) -> list[Written]:
        section, context = self.section, self.context
        options: dict[str, str] = {"cmd": self._command(number)}
        directory = self._text("directory", number) or context.daemon.directory
        user = section.text("user") or context.daemon.user
        options |= {"working_dir": directory} if directory else {}
        options |= {"uid": user} if user else {}
        options["copy_env"] = "True"
        if (self.count != 1 and number is None) or self.count == 0:
            options["numprocesses"] = str(self.count)
        options |= self._life()
        options |= self._stop()
        options |= outputs(section, lambda option: self._text(option, number, wid="{wid}"))
        if sockets:
            options |= {"use_sockets": "True", "stdin_socket": self.name}
        if context.group is not None:
            options["labels.group"] = context.group
        made = [Written(title=f"watcher:{name}", source=section.title, options=options)]
        variables = self._environment(number)
        if variables:
            pattern = glob.escape(name).replace(",", "?")
            made.append(Written(title=f"env:{pattern}", source=section.title, options=variables))
        return made

    def _command(self, number: int | None) -> str:
        mask = self.section.read("umask", lambda text: int(text, 8), None, "an octal number")
        command = self._text("command", number, wid="$(circus.wid)")
        if command is None:
            return ""
        try:
            joined = " ".join(line for line in command.splitlines() if line.strip())
            if shlex.split(joined) == shlex.split(command):  # no line ended within quotes
                command = joined
            if not shlex.split(command):
                self.section.wrong("command", "expected a program")
        except ValueError as error:
            self.section.wrong("command", f"expected words as a shell has them: {str(error).lower()}")
        if mask is not None and mask != self.context.daemon.umask:
            return f'sh -c \'umask {mask:03o}; exec "$0" "$@"\' {command}'
        return command

    def _life(self) -> dict[str, str]:
        section, options = self.section, {}
        if not section.boolean("autostart", default=True):
            options["autostart"] = "False"
        restart = (section.text("autorestart") or "").strip().lower()
        codes = section.read("exitcodes", to_codes, [0], "exit statuses from 0 to 255, separated by commas")
        if restart == "unexpected":
            section.lost("autorestart", _EXPECTED_EXIT)
        elif restart and not section.boolean("autorestart", default=True):
            options["respawn"] = "False"
        if section.has("exitcodes") and restart in {"", "unexpected"}:
            section.lost("exitcodes", f"{_EXPECTED_EXIT} ({', '.join(map(str, codes))} too)")
        if self.context.priority:
            options["priority"] = str(self.context.priority)
        retries = section.integer("startretries", 3)
        if section.has("startretries"):
            options["max_retry"] = str(retries + 1)
            told = "counts what cannot be executed; what starts and dies early is tried for ever, with growing pauses"
            section.differs("startretries", told)
        seconds = section.integer("startsecs", 1)
        if section.has("startsecs"):
            options["stable_after"] = str(seconds)
        return options

    def _stop(self) -> dict[str, str]:
        section, options = self.section, {}
        signal = section.read("stopsignal", to_signal, "TERM", "the name or number of a signal")
        if signal != "TERM":
            options["stop_signal"] = signal
        options["graceful_timeout"] = str(section.integer("stopwaitsecs", 10))
        stop = section.boolean("stopasgroup")
        kill = section.boolean("killasgroup", default=stop)
        if stop and not kill:
            section.wrong("killasgroup", "expected true, as stopasgroup is")
        if kill:
            options["kill_scope"] = "group"
        if kill and not stop:
            section.differs("killasgroup", "the stop signal too reaches the whole group, not SIGKILL alone")
        return options

    def _sockets(self) -> list[Written]:
        section = self.section
        if not section.title.startswith("fcgi-program:"):
            return []
        text = section.text("socket") or ""
        options = {"blocking": "True"}
        if (tcp := re.fullmatch(r"tcp://([^\s:]+):(\d+)", text)) is not None:
            options |= {"host": tcp[1], "port": tcp[2]}
            for option in ("socket_mode", "socket_owner"):
                if section.has(option):
                    section.wrong(option, "expected for a unix socket alone")
        elif text.startswith("unix:///"):
            mode = section.read("socket_mode", lambda word: int(word, 8), 0o700, "an octal number")
            options |= {"path": text[7:], "replace": "True", "umask": f"{~mode & 0o777:03o}"}
            if section.has("socket_owner") or section.has("user"):
                section.lost(
                    "socket_owner" if section.has("socket_owner") else None,
                    "the socket belongs to the user of circusd; umask of the section [socket:…] opens it to others",
                )
        else:
            section.wrong(
                "socket" if section.has("socket") else None, "expected socket = tcp://HOST:PORT or unix:///PATH"
            )
        if section.has("socket_backlog"):
            options["backlog"] = str(section.integer("socket_backlog", 0))
        return [Written(title=f"socket:{self.name}", source=section.title, options=options)]

    def _environment(self, number: int | None) -> dict[str, str]:
        text = self._text("environment", number)
        try:
            variables = to_variables(text or "")
        except ValueError:
            self.section.wrong("environment", 'expected KEY="value",OTHER="value"')
            return {}
        return {key: self._value(key, value) for key, value in variables.items()}

    def _value(self, key: str, value: str) -> str:
        """A value as it stands in [env:…], where circusd replaces $NAME by what it has inherited, and nothing else."""
        warn_of_variables(self.section, key, value)

        def variable(found: re.Match[str]) -> str:
            name, after = found[1], found[2]
            if re.fullmatch(r"[A-Z][A-Z0-9_]*", name) is None or re.match(r"[A-Z0-9_]", after):
                self.section.lost("environment", f"{key} needs {name} from the environment of circusd")
            return f"${name}"

        return _FROM_ENVIRONMENT.sub(variable, value)

    def _text(self, option: str, number: int | None, *, wid: str = "") -> str | None:
        raw = self.section.raw(option)
        return (
            None
            if raw is None
            else self._expanded(option, raw if number is not None else with_number(raw, wid), number)
        )

    def _expanded(self, option: str, raw: str, number: int | None) -> str | None:
        names = Names(self.names, {"process_num": number or 0}, environment=self.names.environment)
        try:
            return expand(raw, names)
        except ValueError as error:
            self.section.wrong(option, str(error))
            return None
