"""Sections that are left out because they contradict themselves or this machine lacks something."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from circus.config.build import load
from tests.unit.config.conftest import Ini


def reasons(ini: Ini, text: str) -> list[str]:
    spec = ini.load(f"[watcher:web]\ncmd = sh\n{text}\n[watcher:healthy]\ncmd = sh")
    assert "healthy" in [watcher.name for watcher in spec.watchers]
    assert ("web" in [watcher.name for watcher in spec.watchers]) == (not spec.omitted)
    return [f"{mistake.option}: {mistake.expected}" for mistake in spec.omitted]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("singleton = yes\nnumprocesses = 2", "numprocesses: a singleton has at most one process"),
        ("copy_path = yes", "copy_path: copy_path needs copy_env = True"),
        ("stdout_stream.max_bytes = 1", "stdout_stream.max_bytes: a stream needs stdout_stream.class or stdout_stream.filename"),
        ("stderr_stream.class =", "stderr_stream.class: a stream needs stderr_stream.class or stderr_stream.filename"),
        ("stdout_stream.class = TimedRotatingFileStream\nstdout_stream.filename = /x", "stdout_stream.class: a TimedRotatingFileStream needs stdout_stream.rotate_when"),
        ("stdout_stream.filename = /x\nstdout_stream.max_bytes = 1MB", "stdout_stream.max_bytes: expected a whole number, 0 or more"),
        ("stdin_socket = none", "stdin_socket: there is no usable [socket:none]"),
    ],
)  # fmt: skip
def test_values_that_contradict_each_other_leave_a_watcher_out(ini: Ini, text: str, reason: str) -> None:
    assert reasons(ini, text) == [reason]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("uid = no-such-user-here", "uid: there is no such user on this machine"),
        ("gid = 4294967294", "gid: there is no such group on this machine"),
        ("uid = 99999999999999999999", "uid: there is no such user on this machine"),
        ("copy_env = yes\nvirtualenv = /nothere", "virtualenv: there is no such directory"),
        ("hooks.before_start = no_such_module.hook", "hooks.before_start: cannot find 'no_such_module.hook': there is no module 'no_such_module' (PYTHONPATH?)"),
        ("hooks.before_start = os.path.no_such_hook", "hooks.before_start: cannot find 'os.path.no_such_hook': 'posixpath' has no 'no_such_hook'"),
        ("hooks.before_start = os.path", "hooks.before_start: 'os.path' is not callable"),
        ("stdout_stream.class = no_such.Stream", "stdout_stream.class: cannot find 'no_such.Stream': there is no module 'no_such' (PYTHONPATH?)"),
    ],
)  # fmt: skip
def test_what_this_machine_lacks_leaves_a_watcher_out(ini: Ini, text: str, reason: str) -> None:
    assert reasons(ini, text) == [reason]


def test_an_unknown_stream_lists_those_there_are(ini: Ini) -> None:
    (reason,) = reasons(ini, "stdout_stream.class = Nope")
    assert "FileStream" in reason


def test_all_reasons_are_told(ini: Ini) -> None:
    assert len(reasons(ini, "singleton = yes\nnumprocesses = 2\ncopy_path = yes\nvirtualenv = /nothere")) == 4


def test_a_watcher_without_cmd_is_left_out(ini: Ini) -> None:
    spec = ini.load("[watcher:web]\nnumprocesses = 1")
    assert [(mistake.section, mistake.line) for mistake in spec.omitted] == [("watcher:web", 1)]


def test_an_omission_tells_where_it_stands(ini: Ini) -> None:
    (mistake,) = ini.load("[watcher:web]\ncmd = sh\ncopy_path = yes").omitted
    assert str(mistake) == f"{ini.main}:3: [watcher:web] copy_path = 'yes': copy_path needs copy_env = True"


def test_what_default_says_wrongly_is_told_for_each_watcher(ini: Ini) -> None:
    spec = ini.load("[DEFAULT]\ncopy_path = yes\n[watcher:a]\ncmd = sh\n[watcher:b]\ncmd = sh")
    assert [mistake.section for mistake in spec.omitted] == ["watcher:a", "watcher:b"]


def test_a_virtualenv_of_another_python_is_named(ini: Ini, tmp_path: Path) -> None:
    (tmp_path / "venv").mkdir()
    (reason,) = reasons(ini, f"copy_env = yes\nvirtualenv = {tmp_path}/venv\nvirtualenv_py_ver = 2.7")
    assert "python2.7/site-packages" in reason


def test_a_hook_in_a_directory_of_pythonpath_is_found(
    ini: Ini, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib/hooks_of_this_test.py").write_text("def allow(**kwargs):\n    return True\n")
    text = f"hooks.before_start = hooks_of_this_test.allow\n[env:web]\nPYTHONPATH = /nothere:{tmp_path}/lib"
    assert reasons(ini, text) == []


def test_a_hook_whose_module_fails_or_exits_at_import_is_no_crash(
    ini: Ini, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "exits_at_import.py").write_text("import sys\nsys.exit(3)\n")
    (tmp_path / "needs_a_module.py").write_text("import not_installed_here\n")
    text = "hooks.before_start = exits_at_import.f\nhooks.after_start = needs_a_module.f"
    assert reasons(ini, text) == [
        "hooks.before_start: cannot import 'exits_at_import.f': 'exits_at_import' raised SystemExit: 3",
        "hooks.after_start: cannot import 'needs_a_module.f': 'needs_a_module' needs the module 'not_installed_here'",
    ]


def test_custom_streams_take_any_option(ini: Ini) -> None:
    assert reasons(ini, "stdout_stream.class = collections.OrderedDict\nstdout_stream.anything = x") == []


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("numprocesses = 0", "0 processes are none"),
        ("args = $(circus.sockets.nope)", "there is no usable [socket:nope]"),
        ("args = $(circus.sockets.S)\n[socket:s]\nport = 0", "use_sockets is off"),
    ],
)
def test_what_is_possible_but_odd_is_warned_about(ini: Ini, text: str, word: str) -> None:
    spec = ini.load(f"[watcher:web]\ncmd = sh\n{text}")
    assert [word in warning.expected for warning in spec.warnings] == [True]


def test_a_socket_that_each_process_has_for_itself_needs_no_use_sockets(ini: Ini) -> None:
    spec = ini.load("[watcher:web]\ncmd = sh $(circus.sockets.s)\n[socket:s]\nport = 8080\nso_reuseport = yes")
    assert spec.warnings == ()


def test_a_singleton_of_no_process_is_fine(ini: Ini) -> None:
    assert reasons(ini, "singleton = yes\nnumprocesses = 0") == []


def test_a_program_that_is_not_the_daemon_asks_nothing_of_the_machine(ini: Ini) -> None:
    text = "[watcher:a]\ncmd = sh\nuid = no-such-user-here\nhooks.before_start = nothere.hook\nstdout_stream.class = no.Such"
    path = ini.write(f"{text}\n[watcher:b]\ncmd = sh\ncopy_path = yes")
    spec = load(path, look_around=False)
    assert [watcher.name for watcher in spec.watchers] == ["a"]
    assert [mistake.section for mistake in spec.omitted] == ["watcher:b"]
