"""Which files a configuration consists of."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from circus.config.build import load
from circus.config.includes import read
from circus.config.interpolate import Variables
from circus.exc import ConfigError
from tests.unit.config.conftest import Ini


def names(ini: Ini, text: str, **environ: str) -> list[str]:
    return [watcher.name for watcher in ini.load(text, environ).watchers]


def test_included_files_add_watchers(ini: Ini) -> None:
    ini.write("[watcher:b]\ncmd = b", "conf.d/b.ini")
    ini.write("[watcher:c]\ncmd = c", "more/c.ini")
    ini.write("[watcher:d]\ncmd = d", "more/d.conf")
    text = "[circus]\ninclude = conf.d/*.ini\ninclude_dir = more\n[watcher:a]\ncmd = a"
    assert names(ini, text) == ["a", "b", "c"]


def test_a_pattern_may_be_absolute_and_there_may_be_several(ini: Ini) -> None:
    path = ini.write("[watcher:b]\ncmd = b", "x/b.ini")
    ini.write("[watcher:c]\ncmd = c", "c.inc")
    assert names(ini, f"[circus]\ninclude = {path}\n  *.inc") == ["b", "c"]


def test_the_main_file_wins_over_included_ones_and_these_in_their_order(ini: Ini) -> None:
    ini.write("[watcher:a]\ncmd = first\nargs = first", "d/1.ini")
    ini.write("[watcher:a]\ncmd = second\nargs = second\nworking_dir = /second", "d/2.ini")
    (watcher,) = ini.load("[circus]\ninclude_dir = d\n[watcher:a]\ncmd = main").watchers
    assert (watcher.cmd, watcher.args, watcher.working_dir) == ("main", "first", "/second")


def test_the_environment_is_known_in_a_pattern(ini: Ini) -> None:
    ini.write("[watcher:b]\ncmd = b", "prod/b.ini")
    assert names(ini, "[circus]\ninclude_dir = $(circus.env.STAGE)\n[env]\nSTAGE = none", STAGE="prod") == ["b"]


def test_a_pattern_without_match_is_a_warning(ini: Ini) -> None:
    spec = ini.load("[circus]\ninclude = none/*.ini")
    assert [(warning.line, warning.value) for warning in spec.warnings] == [(2, "none/*.ini")]


def test_an_include_in_an_included_file_is_not_followed_and_warned_about(ini: Ini) -> None:
    ini.write("[circus]\ninclude = c.inc\n[watcher:b]\ncmd = b", "b.inc")
    ini.write("[watcher:c]\ncmd = c", "c.inc")
    spec = ini.load("[circus]\ninclude = b.inc")
    assert [watcher.name for watcher in spec.watchers] == ["b"]
    assert "only the main file includes others" in str(spec.warnings[0])


def test_directories_and_files_met_twice_do_no_harm(ini: Ini) -> None:
    ini.write("[watcher:b]\ncmd = b", "d/b.ini")
    (ini.directory / "d/sub.ini").mkdir()
    assert names(ini, "[circus]\ninclude = *.ini d/*\ninclude_dir = d") == ["b"]


def test_the_directory_of_the_main_file_may_look_like_a_pattern(tmp_path: Path) -> None:
    ini = Ini(tmp_path / "we[ir]d*")
    ini.write("[watcher:b]\ncmd = b", "b.inc")
    assert names(ini, "[circus]\ninclude = *.inc") == ["b"]


def test_a_missing_main_file_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothere\.ini: cannot be read: No such file or directory"):
        load(tmp_path / "nothere.ini")


def test_a_directory_as_main_file_is_a_mistake(tmp_path: Path) -> None:
    (mistake,) = read(str(tmp_path), Variables()).document.mistakes
    assert "cannot be read" in mistake.expected


def test_mistakes_name_the_file_they_are_in(ini: Ini) -> None:
    path = ini.write("[watcher:b]\nnumprocesses = x\ncmd = b", "b.inc")
    with pytest.raises(ConfigError) as refused:
        ini.load("[circus]\ncheck_delay = x\ninclude = b.inc")
    assert [(mistake.file, mistake.line) for mistake in refused.value.mistakes] == [(str(ini.main), 2), (str(path), 2)]


def test_the_hash_is_of_everything_that_was_read(ini: Ini) -> None:
    ini.write("[watcher:b]\ncmd = b", "b.inc")
    text = "[circus]\ninclude = b.inc"
    first = ini.load(text).config_hash
    assert ini.load(text).config_hash == first
    ini.write("[watcher:b]\ncmd = c", "b.inc")
    assert ini.load(text).config_hash != first


def test_a_pipe_is_read_by_who_starts_and_refused_by_who_runs_already_for_its_end_may_never_come(
    ini: Ini, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "pipe.ini")
    main = ini.write("[circus]\ninclude = pipe.ini\n[watcher:a]\ncmd = a")
    with pytest.raises(ConfigError, match=r"pipe\.ini: cannot be read: a file is expected, not a pipe"):
        load(main)
    with pytest.raises(ConfigError, match=r"pipe\.ini: cannot be read: a file is expected, not a pipe"):
        load(tmp_path / "pipe.ini", anew=True)
    assert not load("/dev/null").watchers
