"""From a watcher's spec to what is executed: words, environment, directory.

Owns the command line of a process; refuses to start anything and to look at the file system (a virtualenv apart).
Invariant: whatever is the same for every process of a watcher is worked out once; `build` only puts in what differs,
the wid and the numbers of the sockets.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from circus import logger
from circus.config.interpolate import LONGEST, Variables, expand, names_in, old_spelling, split_words
from circus.exc import CircusError, SpawnError
from circus.runtime.virtualenv import activate
from circus.spec.fields import WATCHER, stream_conf
from circus.spec.watcher import WatcherSpec

DEFAULT_SHELL = "/bin/sh"
_SOCKETS = "sockets."
_NO_NAMES: Final[frozenset[str]] = frozenset()
"""One for all: each call makes another."""


class Command(msgspec.Struct, frozen=True):
    """What to execute. `env` is the whole environment; `cwd` None means circusd's; `executable` None means `argv[0]`."""

    argv: tuple[str, ...]
    env: dict[str, str]
    cwd: str | None
    executable: str | None

    def marked(self, more: Mapping[str, str]) -> Command:
        """The same, with more in its environment."""
        return Command(self.argv, {**self.env, **more}, self.cwd, self.executable)

    def with_words(self, argv: tuple[str, ...]) -> Command:
        """The same, with other words."""
        return Command(argv, self.env, self.cwd, self.executable)


class CommandBuilder:
    """Makes the commands of one watcher's processes; a changed spec needs a new builder.

    `environ` is what circusd inherited (a plain dict made once shares its strings between all watchers), `import_path`
    what copy_path hands on, `sys.path` by default. `env` may be changed by a hook: the next command has it. A spec
    that no environment can be made for raises CircusError.
    """

    def __init__(self, spec: WatcherSpec, environ: Mapping[str, str], import_path: Sequence[str] | None = None) -> None:
        self.env = _environment(spec, environ, sys.path if import_path is None else import_path)
        self._spec = spec
        # The command sees the environment twice, as it did in circus 0.19: a variable's value may name variables.
        self._cmd = expand(spec.cmd, Variables(self.env, prefix="env."))
        self._shell = (spec.executable or DEFAULT_SHELL) if spec.shell else None
        texts = [self._cmd, *_texts(spec.args), *_texts(spec.shell_args)]
        self._names = frozenset(name for text in texts for name in names_in(text)) or _NO_NAMES
        self._constants = {
            name: value for name in self._names if (value := _constant(spec, self._cmd, name)) is not None
        }
        self._template: list[tuple[str, bool]] | None = None
        self._command: Command | None = None
        if not spec.shell:
            if spec.shell_args:
                logger.warning("watcher %r: shell_args is ignored without shell", spec.name)
            # Of a file it was said with its line.
            for word in filter(None, map(old_spelling, texts if spec.origin != "ini" else ())):
                logger.warning("watcher %r: %s", spec.name, word)

    @property
    def sockets(self) -> frozenset[str]:
        """The names of the sockets that the command mentions."""
        return frozenset(name.removeprefix(_SOCKETS) for name in self._names if name.startswith(_SOCKETS))

    def build(self, wid: int, sockets: Mapping[str, int]) -> Command:
        """The command of the process in slot `wid`; `sockets` are fd numbers by the lower-case name of the socket.

        `SpawnError` when the text cannot be split into words, or there are none.
        """
        if self._command is not None:
            return self._command
        known = self._variables(wid, sockets)
        argv = self._words(known) if self._shell is None else self._shell_words(self._shell, known)
        command = Command(argv, self.env, self._spec.working_dir, self._spec.executable)
        if not self._names:
            self._command = command
        return command

    def _variables(self, wid: int, sockets: Mapping[str, int]) -> Variables:
        """The values of exactly the variables that the texts mention."""
        known = Variables()
        if not self._names:
            return known
        known.update(self._constants)
        if any(name.startswith("env.") for name in self._names):
            known.update(Variables(self.env, prefix="env."))
        for name in self._names:
            if name == "wid":
                known[name] = str(wid)
            elif name.startswith(_SOCKETS):
                fd = sockets.get(name.removeprefix(_SOCKETS))
                if fd is not None:
                    known[name] = str(fd)
        return known

    def _words(self, known: Variables) -> tuple[str, ...]:
        if self._template is None:
            argv = [*self._split(expand(self._cmd, known)), *self._arguments(self._spec.args, known)]
            if not argv or not argv[0]:
                raise SpawnError("exec", f"watcher {self._spec.name!r} has nothing to run: cmd is empty")
            self._template = self._words_with_gaps()
            return tuple(argv)
        return tuple([expand(word, known) if gap else word for word, gap in self._template])

    def _words_with_gaps(self) -> list[tuple[str, bool]] | None:
        """The words before anything is put in, and which have something to be put in; None where order matters.

        Splitting first and expanding then gives the same as the other way round only for numbers, which hold no blank
        and no quote, and only where the quotes of the text do not cut through a variable.
        """
        if not all(name == "wid" or name.startswith(_SOCKETS) for name in self._names):
            return None
        words: list[str] = []
        for text, split in (
            (self._cmd, True),
            *((text, isinstance(self._spec.args, str)) for text in _texts(self._spec.args)),
        ):
            these = self._split(text) if split else [text]
            if [name for word in these for name in names_in(word)] != names_in(text):
                return None
            words += these
        return [(word, bool(names_in(word))) for word in words]

    def _shell_words(self, shell: str, known: Variables) -> tuple[str, ...]:
        """A real shell: the text is its business. Words that were given one by one stay words."""
        args = self._spec.args
        if isinstance(args, str) or args is None:
            rest = [expand(args, known)] if args else []
        else:
            rest = [shlex.quote(word) for word in self._arguments(args, known)]
        text = " ".join([expand(self._cmd, known), *rest])
        if not text.strip():
            raise SpawnError("exec", f"watcher {self._spec.name!r} has nothing to run: cmd is empty")
        return (shell, "-c", text, *self._arguments(self._spec.shell_args, known))

    def _arguments(self, args: str | Sequence[str] | None, known: Variables) -> list[str]:
        if not args:
            return []
        if isinstance(args, str):
            return self._split(expand(args, known))
        return [expand(word, known) for word in args]

    def _split(self, text: str) -> list[str]:
        if len(text) > LONGEST:
            raise SpawnError("exec", f"watcher {self._spec.name!r}: a command of {len(text)} characters is too long")
        try:
            return split_words(text)
        except ValueError as error:
            reason = f"watcher {self._spec.name!r}: cannot split into words ({str(error).lower()}): {text}"
            raise SpawnError("exec", reason) from error


_TELEMETRY = ("OTEL_", "TRACEPARENT", "TRACESTATE")


def _environment(spec: WatcherSpec, environ: Mapping[str, str], import_path: Sequence[str]) -> dict[str, str]:
    if not spec.copy_env:
        for option in ("copy_path", "virtualenv"):
            if getattr(spec, option):
                raise CircusError(f"watcher {spec.name!r}: {option} needs copy_env")
        return dict(spec.env or {})
    # The supervisor's own telemetry settings would make every worker report under the supervisor's name, and the trace
    # in which it was started would collect all that its workers ever do. The exporter is the supervisor here.
    ours = spec.role == "exporter"
    env = {name: value for name, value in environ.items() if ours or not name.startswith(_TELEMETRY)}
    if spec.copy_path:
        # An empty entry is the directory circusd was started in; for the process it would be its own.
        env["PYTHONPATH"] = os.pathsep.join(path or os.getcwd() for path in import_path)
    env.update(spec.env or {})
    if spec.virtualenv:
        try:
            env.update(activate(spec.virtualenv, env, spec.virtualenv_py_ver))
        except CircusError as error:
            raise CircusError(f"watcher {spec.name!r}: {error}") from error
    return env


def _texts(given: str | Sequence[str] | None) -> Sequence[str]:
    return ([given] if given else []) if isinstance(given, str) else given or []


def _constant(spec: WatcherSpec, cmd: str, name: str) -> str | None:
    """The text of a variable that is the same for all processes of the watcher; None when it is none of these."""
    option, _, key = name.partition(".")
    if key:
        if option == "rlimits" and key in spec.rlimits:
            limit = spec.rlimits[key]
            return "-1" if limit is None else str(limit)
        if option in {"stdout_stream_conf", "stderr_stream_conf"}:
            conf = stream_conf(getattr(spec, option.removesuffix("_conf")), empty={})
            return str(conf[key]) if isinstance(conf, dict) and key in conf else None
        return None
    if option == "cmd":
        return cmd
    if option == "args":
        return str(list(spec.args) if isinstance(spec.args, tuple) else spec.args)
    if option == "working_dir":
        return spec.working_dir or os.getcwd()
    if option == "use_fds":
        return str(spec.use_sockets)
    row = WATCHER.get(option)
    # What has no key in the reply of `options` had no variable in circus 0.19 either; an environment has one per name.
    return str(getattr(spec, option)) if row is not None and row.shown and option != "env" else None
