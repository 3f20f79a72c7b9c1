"""Commands that the builder makes, really executed: what the program sees of words, environment and directory."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
from typing import Any

import pytest

from circus.runtime.argv import CommandBuilder
from circus.spec.watcher import WatcherSpec

TELL = "import json, os, sys; print(json.dumps([sys.argv[1:], dict(os.environ), os.getcwd(), sys.path]))"


def output(wid: int = 3, **options: Any) -> str:
    command = CommandBuilder(WatcherSpec(name="web", **options), dict(os.environ)).build(wid, {"web": 9})
    done = subprocess.run(
        command.argv,
        env=command.env,
        cwd=command.cwd,
        executable=command.executable,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def told(**options: Any) -> tuple[list[str], dict[str, str], str, list[str]]:
    argv, env, cwd, path = json.loads(output(cmd=sys.executable, **options))
    return argv, env, cwd, path


def test_a_shell_is_a_real_one(tmp_path: pathlib.Path) -> None:
    cmd = f"cd {tmp_path} && echo $NAME $(circus.wid) | tr a-z A-Z > out; cat < out"
    assert output(cmd=cmd, args="# the rest", shell=True, env={"NAME": "web", "PATH": os.defpath}) == "WEB 3\n"


def test_shell_args_are_the_arguments_of_the_text() -> None:
    assert output(cmd='echo "$0-$1"', shell=True, shell_args="zero 'one two'") == "zero-one two\n"


def test_another_shell_can_be_named() -> None:
    assert output(cmd="[[ a == a* ]] && echo $0", shell=True, executable="/bin/bash") == "/bin/bash\n"


def test_an_executable_runs_under_the_name_of_the_command() -> None:
    assert output(cmd="my-name -c 'echo $0'", executable="/bin/sh") == "my-name\n"


def test_words_arrive_as_they_were_given() -> None:
    argv, *_ = told(args=("-c", TELL, "a b", "", "$(circus.sockets.web)", "☃"))
    assert argv == ["a b", "", "9", "☃"]


def test_only_the_configured_environment_arrives_without_copy_env() -> None:
    _, env, *_ = told(args=("-c", TELL), env={"A": "1"})
    assert {name: value for name, value in env.items() if name != "LC_CTYPE"} == {"A": "1"}


def test_the_program_starts_in_working_dir(tmp_path: pathlib.Path) -> None:
    assert told(args=("-c", TELL), working_dir=str(tmp_path))[2] == str(tmp_path)


def test_a_program_is_found_on_the_path_that_it_is_given(tmp_path: pathlib.Path) -> None:
    program = tmp_path / "hello"
    program.write_text("#!/bin/sh\necho hello\n")
    program.chmod(0o755)
    assert output(cmd="hello", env={"PATH": str(tmp_path)}) == "hello\n"


def test_packages_of_a_virtualenv_are_imported(tmp_path: pathlib.Path) -> None:
    packages = tmp_path / "lib" / "python{}.{}".format(*sys.version_info) / "site-packages"
    packages.mkdir(parents=True)
    (packages / "only_in_there.py").write_text("print('found')\n")
    args = ("-c", "import only_in_there")
    assert output(cmd=sys.executable, args=args, copy_env=True, virtualenv=str(tmp_path)) == "found\n"


def test_copy_path_makes_importable_what_is_importable_here(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    assert str(tmp_path) in told(args=("-c", TELL), copy_env=True, copy_path=True)[3]
