"""Whether the program of a watcher is on this machine, as its processes would look for it.

Looks and starts nothing. What is missing may come later, so it is only told. Invariant: where it cannot be known, because
of variables that only a process has or of directories that may not be read, nothing is said.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping

from circus.config.interpolate import LONGEST, Variables, expand, has_variables, split_words
from circus.spec.watcher import WatcherSpec


def missing_program(spec: WatcherSpec, inherited: Mapping[str, str]) -> tuple[str, str] | None:
    """The option that names a program that is not there, and what to say; None where nothing is amiss, or known.

    Args:
        spec: what to run.
        inherited: the environment that `copy_env` copies.
    """
    env = {**inherited, **(spec.env or {})} if spec.copy_env else dict(spec.env or {})
    option, program = "executable", spec.executable
    if program is None:
        option, text = "cmd", expand(spec.cmd, Variables(env, prefix="env."))
        if spec.shell or len(text) > LONGEST:
            return None
        try:
            words = split_words(text)
        except ValueError as error:
            return option, f"cannot be split into words: {str(error).lower()}"
        program = words[0] if words else ""
    if not program or has_variables(program):
        return None
    told = _told(program, spec, env)
    return None if told is None else (option, told)


def _told(program: str, spec: WatcherSpec, env: Mapping[str, str]) -> str | None:
    if os.sep in program:
        if not os.path.isabs(program) and spec.working_dir and not os.path.isdir(spec.working_dir):
            return None
        directories, where = [spec.working_dir or ""], ""
    else:
        scripts = [os.path.join(os.path.abspath(spec.virtualenv), "bin")] if spec.virtualenv else []
        directories = [*scripts, *os.get_exec_path(env)]
        where = f" in {os.pathsep.join(directories)}"
    unfit = None
    for directory in directories:
        path = os.path.normpath(os.path.join(directory, program))
        try:
            mode = os.stat(path).st_mode
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (OSError, ValueError):
            return None
        if stat.S_ISREG(mode) and mode & 0o111:
            return _without_interpreter(path)
        unfit = unfit or path
    if unfit is not None:
        return f"{unfit} is no program that can be executed"
    return f"there is no program {program!r}{where} at the moment"


def _without_interpreter(path: str) -> str | None:
    try:
        with open(path, "rb") as file:
            first = file.read(256).partition(b"\n")[0]
    except OSError:
        return None
    words = first.removeprefix(b"#!").split() if first.startswith(b"#!") else []
    if not words or not words[0].startswith(b"/") or os.path.exists(words[0]):
        return None
    return f"the first line of {path} names an interpreter that is not there: {os.fsdecode(words[0])}"
