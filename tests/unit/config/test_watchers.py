"""From a watcher section to its spec."""

from __future__ import annotations

from pathlib import Path

import pytest

from circus.exc import ConfigError
from circus.spec.streams import StreamSpec
from circus.spec.watcher import HookSpec, WatcherSpec
from tests.unit.config.conftest import Ini


def watcher(ini: Ini, text: str, **environ: str) -> WatcherSpec:
    spec = ini.load(f"[watcher:web]\ncmd = sh\n{text}", environ)
    assert spec.omitted == ()
    return spec.watchers[0]


def expected(ini: Ini, text: str) -> list[str]:
    with pytest.raises(ConfigError) as error:
        ini.load(f"[watcher:web]\ncmd = sh\n{text}")
    return [mistake.expected for mistake in error.value.mistakes]


def test_a_watcher_has_the_defaults_of_a_file(ini: Ini) -> None:
    assert watcher(ini, "") == WatcherSpec(name="web", cmd="sh", args="", env={}, origin="ini")


def test_every_option_is_read(ini: Ini, tmp_path: Path) -> None:
    (tmp_path / "venv/lib/python9.9/site-packages").mkdir(parents=True)
    text = f"""
        [watcher:All Of It]
        cmd = sh
        args = -a
          -b
        numprocesses = 3
        warmup_delay = 0.25
        autostart = no
        respawn = no
        priority = -2
        shell = yes
        shell_args = a b
        executable = /bin/true
        working_dir = /srv
        uid = 0
        gid = root
        copy_env = on
        copy_path = on
        virtualenv = {tmp_path}/venv
        virtualenv_py_ver = 9.9
        rlimit_nofile = 10
        rlimit_CORE =
        stop_signal = INT
        stop_children = yes
        kill_scope = tree
        graceful_timeout = 1.5
        send_hup = yes
        max_retry = -1
        backoff = 1
        backoff_max = 2
        backoff_jitter = 0
        stable_after = 3
        max_age = 60
        max_age_variance = 5
        use_sockets = yes
        on_demand = yes
        stdin_socket = in
        close_child_stdin = no
        close_child_stdout = yes
        close_child_stderr = yes
        hook_timeout = 5
        metrics_memory = yes
        stdout_stream.class = FileStream
        stdout_stream.filename = /x
        stderr_stream.filename = /y
        hooks.before_start = os.path.exists, yes
        labels.team = payments
        custom = kept
        [socket:in]
        port = 0
        """
    (spec,) = ini.load(text).watchers
    assert spec == WatcherSpec(
        name="All Of It",
        cmd="sh",
        args="-a\n-b",
        numprocesses=3,
        warmup_delay=0.25,
        autostart=False,
        respawn=False,
        priority=-2,
        shell=True,
        shell_args="a b",
        executable="/bin/true",
        working_dir="/srv",
        uid=0,
        gid="root",
        copy_env=True,
        copy_path=True,
        env={},
        virtualenv=f"{tmp_path}/venv",
        virtualenv_py_ver="9.9",
        rlimits={"nofile": 10, "core": None},
        stop_signal=2,
        stop_children=True,
        kill_scope="tree",
        graceful_timeout=1.5,
        send_hup=True,
        max_retry=-1,
        backoff=1.0,
        backoff_max=2.0,
        backoff_jitter=0.0,
        stable_after=3.0,
        max_age=60,
        max_age_variance=5,
        use_sockets=True,
        on_demand=True,
        stdin_socket="in",
        close_child_stdin=False,
        close_child_stdout=True,
        close_child_stderr=True,
        stdout_stream=StreamSpec(cls="FileStream", options={"filename": "/x"}),
        stderr_stream=StreamSpec(options={"filename": "/y"}),
        hooks={"before_start": HookSpec(target="os.path.exists", ignore_failure=True)},
        hook_timeout=5.0,
        metrics_memory=True,
        options={"labels.team": "payments", "custom": "kept"},
        origin="ini",
    )


def test_watchers_are_sorted_by_name_capitals_first(ini: Ini) -> None:
    spec = ini.load("".join(f"[watcher:{name}]\ncmd = sh\n" for name in ("b", "a", "C")))
    assert [one.name for one in spec.watchers] == ["C", "a", "b"]


def test_two_watchers_that_differ_in_case_only_are_a_mistake(ini: Ini) -> None:
    with pytest.raises(ConfigError) as error:
        ini.load("[watcher:web]\ncmd = sh\n[watcher:WEB]\ncmd = sh")
    (mistake,) = error.value.mistakes
    assert mistake.section == "watcher:WEB"
    assert mistake.expected.startswith(f"is the same watcher as [watcher:web] at {ini.main}:1")


def test_a_section_in_two_files_is_one_watcher(ini: Ini) -> None:
    ini.write("[watcher:web]\ncmd = y\nargs = z", "b.inc")
    (spec,) = ini.load("[circus]\ninclude = b.inc\n[watcher:web]\ncmd = sh").watchers
    assert (spec.cmd, spec.args) == ("sh", "z")


def test_what_is_known_only_at_spawn_stays_in_the_text(ini: Ini) -> None:
    text = "args = $(circus.wid) ((circus.env.A)) $(circus.sockets.s)\nuse_sockets = yes\n[socket:s]\nport = 0"
    assert watcher(ini, text, A="1").args == "$(circus.wid) 1 $(circus.sockets.s)"


def test_streams_hooks_and_free_form_options_are_expanded(ini: Ini) -> None:
    spec = watcher(ini, "stdout_stream.filename = $(circus.env.D)/x\ncustom = $(circus.env.D)", D="/d")
    assert spec.stdout_stream == StreamSpec(options={"filename": "/d/x"})
    assert spec.options == {"custom": "/d"}


def test_signals_and_limits_are_expanded_too(ini: Ini) -> None:
    spec = watcher(ini, "stop_signal = $(circus.env.S)\nrlimit_nofile = $(circus.env.L)", S="HUP", L="5")
    assert (spec.stop_signal, spec.rlimits) == (1, {"nofile": 5})


def test_default_gives_options_to_every_watcher(ini: Ini) -> None:
    spec = ini.load("[DEFAULT]\nmax_age = 5\n[watcher:a]\ncmd = sh\n[watcher:b]\ncmd = sh\nmax_age = 6")
    assert [one.max_age for one in spec.watchers] == [5, 6]


def test_empty_texts_are_none_where_none_is_the_default(ini: Ini) -> None:
    spec = watcher(ini, 'working_dir =\nuid = ""\nvirtualenv =')
    assert (spec.working_dir, spec.uid, spec.virtualenv) == (None, None, None)


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("numprocesses = 1.5", "expected a whole number from 0 to 100000"),
        ("numprocesses =", "expected a whole number from 0 to 100000"),
        ("graceful_timeout = soon", "expected a number of seconds, 0 or more"),
        ("respawn = perhaps", "expected yes, true, on, 1, no, false, off or 0"),
        ("kill_scope = all", "expected main, group or tree"),
        ("rlimit_nofile = many", "expected a whole number, 0 or more, or nothing for no limit"),
        ("hooks.before_start = a.b,perhaps", "expected a dotted name, and perhaps a boolean after a comma"),
        ("stdout_stream = x", "expected an option of the stream, as in stdout_stream.class = FileStream"),
        ("labels.a-b = x", "expected letters, digits and underscores behind `labels.`"),
        ("max_retry = -2", "expected a whole number, -1 or more"),
    ],
)
def test_a_value_of_the_wrong_type_is_a_mistake(ini: Ini, line: str, text: str) -> None:
    assert expected(ini, line) == [text]


def test_an_unknown_limit_lists_those_of_this_machine(ini: Ini) -> None:
    (text,) = expected(ini, "rlimit_foo = 1")
    assert "nofile" in text


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("numproceses = 3", "did you mean numprocesses?"),
        ("Stop_Signal = 3", "did you mean stop_signal?"),
        ("copy-env = yes", "did you mean copy_env?"),
        ("stdout_stram.class = x", "did you mean stdout_stream.class?"),
        ("hook.before_start = x", "did you mean hooks.before_start?"),
        ("rlimits_nofile = 3", "did you mean rlimit_nofile?"),
        ("endpoint_owner = me", "belongs in [circus]"),
        ("autorestart = yes", "Circus calls it respawn"),
        ("env = A=1", "write an [env:NAME] section"),
        ("check_flapping = yes", "use the plugin flapping"),
        ("stdout_stream.refresh_time = 1\nstdout_stream.filename = /x", "output is written as it comes"),
        ("stdout_stream.filname = 1\nstdout_stream.filename = /x", "did you mean filename?"),
        ("hooks.before_strat = os.path.exists", "did you mean hooks.before_start?"),
    ],
)
def test_what_looks_misspelt_is_warned_about(ini: Ini, line: str, word: str) -> None:
    (warning,) = ini.load(f"[watcher:web]\ncmd = sh\n{line}").warnings
    assert word in warning.expected
    assert warning.line == 3


@pytest.mark.parametrize("name", ["custom", "flapping.max_retry", "flapping.active", "owner", "my_app.version", "x"])
def test_what_resembles_no_option_is_left_in_peace(ini: Ini, name: str) -> None:
    spec = ini.load(f"[watcher:web]\ncmd = sh\n{name} = 1")
    assert spec.warnings == ()
    assert spec.watchers[0].options == {name: "1"}


@pytest.mark.parametrize(
    ("title", "meant"),
    [("watchers:web", "[watcher:web]"), ("watcher web", "[watcher:web]"), ("sokcet:a", "[socket:a]"), ("Circus", "[circus]")],
)  # fmt: skip
def test_a_section_that_looks_misspelt_is_warned_about(ini: Ini, title: str, meant: str) -> None:
    (warning,) = ini.load(f"[{title}]\ncmd = sh").warnings
    assert meant in warning.expected


@pytest.mark.parametrize("cls", ["FileStream", "WatchedFileStream"])
def test_a_file_stream_without_a_file_is_said(ini: Ini, cls: str) -> None:
    (warning,) = ini.load(f"[watcher:web]\ncmd = sh\nstderr_stream.class = {cls}").warnings
    assert (warning.option, warning.expected) == (
        "stderr_stream.class", "without stderr_stream.filename nothing is written"
    )  # fmt: skip


def test_a_directory_that_is_not_there_is_said(ini: Ini) -> None:
    warnings = ini.load(
        "[watcher:web]\ncmd = sh\nworking_dir = /nowhere/a\nstdout_stream.filename = /nowhere/b/out.log\n"
        "stderr_stream.filename = /nowhere/$(circus.wid)/err.log"
    ).warnings
    assert [(warning.option, warning.expected) for warning in warnings] == [
        ("working_dir", "there is no such directory at the moment"),
        ("stdout_stream.filename", "there is no such directory at the moment"),
    ]
    assert (
        ini.load(f"[watcher:web]\ncmd = sh\nworking_dir = {ini.directory}\nstdout_stream.filename = o").warnings == ()
    )


@pytest.mark.parametrize("line", ["args = --id $WID", "args = '$WID'"])
def test_wid_as_it_was_written_long_ago_is_said(ini: Ini, line: str) -> None:
    (warning,) = ini.load(f"[watcher:web]\ncmd = sh\n{line}").warnings
    assert (warning.option, warning.line) == ("args", 3)
    assert warning.expected == "$WID is not replaced, write $(circus.wid)"


@pytest.mark.parametrize(
    ("old", "now"),
    [
        ("$(WID)", "$(circus.wid)"),
        ("${WID}", "$(circus.wid)"),
        ("${socket:web}", "$(circus.sockets.web)"),
        ("${circus.sockets.web}", "$(circus.sockets.web)"),
        ("$(ENV.HOME)", "$(circus.env.HOME)"),
    ],
)
def test_old_spellings_of_variables_are_said(ini: Ini, old: str, now: str) -> None:
    (warning,) = ini.load(f"[watcher:web]\ncmd = sh --y {old}").warnings
    assert warning.expected == f"{old} is not replaced, write {now}"


@pytest.mark.parametrize("text", ["args = $WIDTH", "args = $WID\nshell = True"])
def test_what_a_shell_or_another_variable_means_is_left_in_peace(ini: Ini, text: str) -> None:
    assert ini.load(f"[watcher:web]\ncmd = sh\n{text}").warnings == ()
