"""Restarts a watcher when a file of its command has changed: the program, and the script that it interprets.

Owns the reading of a command line as circusd would start it. Invariant: a file that is gone for a moment, or cannot be
looked at, is nothing that has changed; neither is a command that was replaced by another one, which circusd sees to.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from circus import logger
from circus.config.interpolate import Variables, expand
from circus.exc import CircusError
from circus.plugins.periodic import PeriodicPlugin, answered

KEYS = ("cmd", "args", "working_dir", "executable", "shell", "env", "copy_env")
DEFAULT_PATH = "/bin:/usr/bin"  # where a program without PATH is looked for

# Programs whose first argument that is a file is what they run. Others get no such look at their arguments: those may
# be logs and data, which change all the time.
INTERPRETERS = re.compile(r"(python|pypy|ruby|node|nodejs|deno|bun|perl|php|lua|bash|dash|zsh|ksh|sh|java)[\d.]*")
# Programs that run the program among their arguments.
WRAPPERS = frozenset({"env", "nice", "nohup", "setsid", "ionice", "chrt", "taskset", "stdbuf", "setpriv", "chronic"})

Signature = tuple[str, int, int, int]


class CommandReloader(PeriodicPlugin):
    """Looks at the files of all active watchers, plugins left out, every `loop_rate` seconds (1)."""

    name = "command_reloader"
    default_loop_rate = 1.0

    def __init__(self, *args: Any, **config: Any) -> None:
        super().__init__(*args, **config)
        self.cmd_files: dict[str, dict[str, Signature]] = {}

    def look_after(self) -> None:
        statuses = answered(self.call("status"))["statuses"]
        watchers = [name for name in statuses if not name.lower().startswith("plugin:")]
        self.cmd_files = {name: files for name, files in self.cmd_files.items() if name in watchers}
        for name in watchers:
            try:
                files = signatures(command_files(self._options_of(name)))
            except (CircusError, OSError, ValueError) as error:
                logger.debug("the files of %s cannot be told: %s", name, error)
                continue
            before = self.cmd_files.get(name, {})
            changed = [path for path, signature in files.items() if before.get(path, signature) != signature]
            # What is not there now is remembered, so that it can be told whether it comes back as another file.
            self.cmd_files[name] = before | files
            if changed and statuses[name] == "active":
                logger.warning("%s: %s modified. Restarting.", name, ", ".join(changed))
                reply = self.call("restart", name=name)
                if reply["status"] == "error":
                    logger.error("%s was not restarted: %s", name, reply["reason"])

    def _options_of(self, name: str) -> dict[str, Any]:
        options: dict[str, Any] = self.call("options", name=name).get("options", {})
        return {key: options.get(key) for key in KEYS}


def signatures(paths: Iterable[str]) -> dict[str, Signature]:
    """What tells two states of a file apart, by the path through which the command names it; missing ones are left out."""
    found = {}
    for path in paths:
        try:
            real = os.path.realpath(path)
            stat = Path(real).stat()
        except OSError:
            continue
        found[path] = (real, stat.st_ino, stat.st_mtime_ns, stat.st_size)
    return found


def command_files(options: Mapping[str, Any]) -> list[str]:
    """The files that the command of a watcher with these options runs; ValueError when it is no command line."""
    env = _environment(options)
    directory = options.get("working_dir") or os.getcwd()
    words = _words(options, env)
    if not words:
        return []
    if options.get("shell"):
        # The shell's own words (`cd x && y`) lead nowhere and are passed over.
        words = [word for word in words if word != "exec"]
    files = []
    while words:
        program = find_program(words[0], directory, env)
        if program is None:
            break
        files.append(program)
        name, words = os.path.basename(program), words[1:]
        if name in WRAPPERS:
            words = _from_program(words, directory, env)
            continue
        if INTERPRETERS.fullmatch(name):
            files += find_script(words, directory, env)
        break
    if executable := options.get("executable"):
        files.append(os.path.join(directory, executable))
    return files


def find_program(word: str, directory: str, env: Mapping[str, str]) -> str | None:
    """Where a program is found as exec finds it: relative to the working directory, or along PATH."""
    if "/" in word:
        return os.path.join(directory, word)
    return shutil.which(word, path=env.get("PATH", DEFAULT_PATH))


def find_script(words: Sequence[str], directory: str, env: Mapping[str, str]) -> list[str]:
    """What an interpreter with these arguments runs: the first that is a file, or the module of `-m`."""
    for number, word in enumerate(words):
        if word == "-m" and number + 1 < len(words):
            return _module(words[number + 1], directory, env)
        if word in {"-c", "-e"}:
            return []
        path = os.path.join(directory, word)
        if not word.startswith("-") and os.path.isfile(path):
            return [path]
    return []


def _module(dotted: str, directory: str, env: Mapping[str, str]) -> list[str]:
    """The file of a Python module, where it is one of the application's own; installed ones do not change by themselves."""
    stem = dotted.replace(".", "/")
    for place in (directory, *filter(None, env.get("PYTHONPATH", "").split(os.pathsep))):
        for tail in (f"{stem}/__main__.py", f"{stem}.py"):
            path = os.path.join(directory, place, tail)
            if os.path.isfile(path):
                return [path]
    return []


def _from_program(words: Sequence[str], directory: str, env: Mapping[str, str]) -> list[str]:
    """The words from the first on that is a program: a wrapper's own options and settings come before it."""
    for number, word in enumerate(words):
        path = None if word.startswith("-") or "=" in word else find_program(word, directory, env)
        if path is not None and os.access(path, os.X_OK) and os.path.isfile(path):
            return list(words[number:])
    return []


def _environment(options: Mapping[str, Any]) -> dict[str, str]:
    env = dict(os.environ) if options.get("copy_env") else {}
    env.update(options.get("env") or {})
    return env


def _words(options: Mapping[str, Any], env: Mapping[str, str]) -> list[str]:
    variables = Variables(env, prefix="env.")
    args = options.get("args")
    words = shlex.split(expand(options.get("cmd") or "", variables))
    if isinstance(args, str):
        return words + shlex.split(expand(args, variables))
    return words + [expand(str(word), variables) for word in args or ()]
