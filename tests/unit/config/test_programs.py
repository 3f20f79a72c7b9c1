"""What is said of a program that is not where a process would look for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from circus.config.programs import missing_program
from circus.config.resolve import missing_name
from circus.spec.watcher import WatcherSpec

DEFAULT = "/bin:/usr/bin"


def told(cmd: str, inherited: dict[str, str] | None = None, **options: Any) -> tuple[str, str] | None:
    return missing_program(WatcherSpec(name="web", cmd=cmd, **options), inherited or {})


@pytest.fixture
def script(tmp_path: Path) -> Path:
    made = tmp_path / "serve"
    made.write_text("#!/bin/sh\n")
    made.chmod(0o755)
    return made


def test_a_program_that_is_there_is_not_spoken_of(script: Path) -> None:
    assert told("sh -c 'exit 0'") is None
    assert told(f"{script} --port 8080") is None
    assert told("./serve", working_dir=str(script.parent)) is None
    assert told("serve", env={"PATH": str(script.parent)}) is None
    assert told("serve", {"PATH": str(script.parent)}, copy_env=True) is None
    assert told("$(circus.env.HERE)/serve", env={"HERE": str(script.parent)}) is None
    assert told("whatever it is called", executable=str(script)) is None


def test_what_only_the_process_knows_is_not_judged(tmp_path: Path) -> None:
    assert told("/opt/$(circus.wid)/serve") is None
    assert told("$(circus.env.UNKNOWN) serve") is None
    assert told("nowhere && echo", shell=True) is None
    assert told("./serve", working_dir=str(tmp_path / "later")) is None


def test_a_program_that_is_nowhere_is_told_with_the_places() -> None:
    assert told("/nowhere/serve -x") == ("cmd", "there is no program '/nowhere/serve' at the moment")
    assert told("no-such-program") == ("cmd", f"there is no program 'no-such-program' in {DEFAULT} at the moment")
    assert told("sh", executable="/nowhere/sh") == ("executable", "there is no program '/nowhere/sh' at the moment")
    assert told("ls", shell=True, executable="/nowhere/sh") is not None


def test_the_environment_of_circusd_is_not_that_of_a_process_without_copy_env(script: Path) -> None:
    found = told("serve", {"PATH": str(script.parent)})
    assert found == ("cmd", f"there is no program 'serve' in {DEFAULT} at the moment")


def test_what_cannot_be_executed_is_told(script: Path) -> None:
    script.chmod(0o644)
    assert told(str(script)) == ("cmd", f"{script} is no program that can be executed")
    assert told(str(script.parent)) == ("cmd", f"{script.parent} is no program that can be executed")


def test_an_interpreter_that_is_not_there_is_told(script: Path) -> None:
    script.write_text("#! /nowhere/python -u\n")
    wanted = f"the first line of {script} names an interpreter that is not there: /nowhere/python"
    assert told(str(script)) == ("cmd", wanted)


def test_words_that_cannot_be_split_are_told() -> None:
    assert told("sh -c 'open") == ("cmd", "cannot be split into words: no closing quotation")


def test_a_name_that_is_nowhere_in_its_module_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    package = tmp_path / "our_plugins"
    package.mkdir()
    (package / "__init__.py").write_text("from our_plugins.first import First\nraise SystemExit\n")
    (package / "first.py").write_text("class First:\n    pass\n")
    (package / "open.py").write_text("from our_plugins.first import *\n")
    assert missing_name("our_plugins.first.First") is None
    assert missing_name("our_plugins:First") is None
    assert missing_name("our_plugins.open.Anything") is None
    assert missing_name("our_plugins.first.Frist") == f"there is nothing called 'Frist' in {package / 'first.py'}"
    assert missing_name("our_plugins.frist.First") == f"there is nothing called 'frist' in {package / '__init__.py'}"
    assert missing_name("zlib.Anything") is None
