from __future__ import annotations

import logging
import os
from typing import Any

import pytest

from circus.exc import CircusError, SpawnError
from circus.runtime.argv import Command, CommandBuilder
from circus.spec.streams import StreamSpec
from circus.spec.watcher import WatcherSpec

ENVIRON = {"PATH": "/usr/bin", "HOME": "/home/me", "OTEL_SERVICE_NAME": "circus"}
SOCKETS = {"web": 9, "admin": 10}


def builder(environ: dict[str, str] | None = None, **options: Any) -> CommandBuilder:
    return CommandBuilder(WatcherSpec(name="web", **options), ENVIRON if environ is None else environ, ["/lib/a", ""])


def build(wid: int = 3, **options: Any) -> Command:
    return builder(**options).build(wid, SOCKETS)


def argv(**options: Any) -> tuple[str, ...]:
    return build(**options).argv


def test_cmd_and_args_are_split_like_a_shell_does() -> None:
    assert argv(cmd="run 'a b'", args='--name "x y"\n  -z') == ("run", "a b", "--name", "x y", "-z")


def test_a_tuple_of_args_is_taken_word_by_word() -> None:
    assert argv(cmd="run", args=("a b", "$(circus.wid)", "")) == ("run", "a b", "3", "")


def test_the_recorded_expansion_of_circus_0_19() -> None:
    cmd = "run --fd $(circus.sockets.web) --wid $(circus.wid) $(circus.env.FOO) $WID ((circus.wid)) $(circus.custom)"
    assert argv(cmd=cmd, env={"FOO": "bar"}, options={"custom": "x"}) == (
        *("run", "--fd", "9", "--wid", "3", "bar", "$WID", "3", "$(circus.custom)"),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$(circus.uid)", "www"),
        ("$(circus.gid)", "None"),
        ("$(circus.shell)", "False"),
        ("$(circus.use_fds)", "True"),
        ("$(circus.use_sockets)", "True"),
        ("$(circus.working_dir)", "/srv"),
        ("$(circus.numprocesses)", "4"),
        ("$(CIRCUS.Max_Age)", "60"),
        ("$(circus.rlimits.nofile)", "100"),
        ("$(circus.rlimits.core)", "-1"),
        ("$(circus.stdout_stream_conf.filename)", "/tmp/out"),
        ("$(circus.hooks)", "$(circus.hooks)"),
        ("$(circus.autostart)", "$(circus.autostart)"),
        ("$(circus.sockets.nope)", "$(circus.sockets.nope)"),
    ],
)
def test_variables_of_the_watcher(text: str, value: str) -> None:
    words = argv(
        cmd=f"run {text}",
        uid="www",
        use_sockets=True,
        working_dir="/srv",
        numprocesses=4,
        max_age=60,
        rlimits={"nofile": 100, "core": None},
        stdout_stream=StreamSpec(options={"filename": "/tmp/out"}),
    )
    assert words == ("run", value)


def test_without_working_dir_the_variable_is_where_circusd_is() -> None:
    assert argv(cmd="run $(circus.working_dir)") == ("run", os.getcwd())


def test_the_value_of_an_environment_variable_may_name_variables_in_cmd() -> None:
    assert argv(cmd="run $(circus.env.NAME)", env={"NAME": "w-$(circus.wid)"}) == ("run", "w-3")


def test_the_value_of_an_environment_variable_may_hold_several_words() -> None:
    assert argv(cmd="run", args="$(circus.env.FLAGS)", env={"FLAGS": "-a 'b c'"}) == ("run", "-a", "b c")


@pytest.mark.parametrize(
    "text", ["a$(circus.wid)b", "'x ((circus.wid))'", r"\$(circus.wid)", "$'('circus.wid)", "$('circus.wid')"]
)
def test_each_process_gets_what_expanding_first_and_splitting_then_gives(text: str) -> None:
    made = builder(cmd="run", args=text)
    first, again = made.build(7, SOCKETS), made.build(7, SOCKETS)
    assert again == first == CommandBuilder(WatcherSpec(name="x", cmd="run", args=text), {}).build(7, {})


def test_every_process_has_its_own_wid_and_sockets() -> None:
    made = builder(cmd="run $(circus.wid) $(circus.sockets.web)")
    assert [made.build(wid, {"web": fd}).argv[1:] for wid, fd in [(1, 5), (2, 6), (1, 7)]] == [
        ("1", "5"),
        ("2", "6"),
        ("1", "7"),
    ]


def test_a_command_without_variables_is_made_once() -> None:
    made = builder(cmd="run it")
    assert made.build(1, SOCKETS) is made.build(2, {})


def test_the_sockets_that_a_command_mentions_are_known() -> None:
    made = builder(
        cmd="run $(circus.sockets.web)", args=("((CIRCUS.SOCKETS.Admin))",), shell_args="$(circus.wid)", shell=True
    )
    assert made.sockets == {"web", "admin"}


@pytest.mark.parametrize("cmd", ["run 'open", 'run "', "run \\"])
def test_text_that_cannot_be_split_says_which(cmd: str) -> None:
    with pytest.raises(SpawnError, match="watcher 'web': cannot split into words") as caught:
        argv(cmd=cmd)
    assert caught.value.stage == "exec"
    assert cmd in str(caught.value)


@pytest.mark.parametrize("shell", [True, False])
def test_nothing_to_run_says_so(shell: bool) -> None:
    with pytest.raises(SpawnError, match="nothing to run"):
        argv(cmd=" ", shell=shell)


def test_a_shell_gets_the_text_unquoted() -> None:
    assert argv(cmd="echo $X | cat", args="> 'out file' && date", shell=True) == (
        *("/bin/sh", "-c", "echo $X | cat > 'out file' && date"),
    )  # fmt: skip


def test_words_given_one_by_one_stay_words_in_a_shell() -> None:
    assert argv(cmd="echo", args=("a b", "$(circus.wid)", "|"), shell=True)[2] == "echo 'a b' 3 '|'"


def test_shell_args_follow_the_text() -> None:
    assert argv(cmd="echo $0 $1", shell=True, shell_args="zero 'one $(circus.wid)'")[3:] == ("zero", "one 3")


def test_an_executable_is_the_shell_of_a_shell_command() -> None:
    made = build(cmd="echo", shell=True, executable="/bin/bash")
    assert (made.argv[0], made.executable) == ("/bin/bash", "/bin/bash")


def test_an_executable_replaces_the_program_and_not_its_name() -> None:
    made = build(cmd="worker -x", executable="/opt/real")
    assert (made.argv, made.executable) == (("worker", "-x"), "/opt/real")


def test_shell_args_without_shell_and_dollar_wid_are_warned_about(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="circus"):
        builder(cmd="run $WID", shell_args="x")
    assert [record.getMessage() for record in caplog.records] == [
        "watcher 'web': shell_args is ignored without shell",
        "watcher 'web': $WID is not replaced, write $(circus.wid)",
    ]


def test_other_names_that_begin_with_wid_are_nobodys_business(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="circus"):
        builder(cmd="run $WIDTH", args="$WID_X")
        builder(cmd="run $WID", origin="ini")
    assert caplog.records == []


def test_working_dir_is_handed_on() -> None:
    assert build(cmd="run", working_dir="/srv").cwd == "/srv"
    assert build(cmd="run").cwd is None


def test_without_copy_env_only_the_configured_environment_exists() -> None:
    assert build(cmd="run", env={"A": "1"}).env == {"A": "1"}
    assert build(cmd="run").env == {}


def test_copy_env_inherits_and_the_configuration_wins() -> None:
    assert build(cmd="run", copy_env=True, env={"PATH": "/opt/bin"}).env == {"PATH": "/opt/bin", "HOME": "/home/me"}


def test_the_supervisors_telemetry_settings_reach_only_who_configures_them() -> None:
    assert build(cmd="run", copy_env=True, env={"OTEL_SERVICE_NAME": "mine"}).env["OTEL_SERVICE_NAME"] == "mine"
    assert "OTEL_SERVICE_NAME" not in build(cmd="run", copy_env=True).env


def test_copy_path_hands_the_import_path_on_as_absolute_directories() -> None:
    assert build(cmd="run", copy_env=True, copy_path=True).env["PYTHONPATH"] == f"/lib/a:{os.getcwd()}"


def test_a_configured_pythonpath_wins_over_copy_path() -> None:
    env = {"PYTHONPATH": "/mine"}
    assert build(cmd="run", copy_env=True, copy_path=True, env=env).env["PYTHONPATH"] == "/mine"


@pytest.mark.parametrize("option", [{"copy_path": True}, {"virtualenv": "/venv"}])
def test_what_needs_copy_env_says_so(option: dict[str, Any]) -> None:
    with pytest.raises(CircusError, match=r"watcher 'web': \w+ needs copy_env"):
        builder(cmd="run", **option)


def test_a_change_of_the_environment_is_in_the_next_command() -> None:
    made = builder(cmd="run", args="$(circus.env.A)", env={"A": "1"})
    made.build(1, {})
    made.env["A"] = "2"
    assert made.build(1, {}) == Command(("run", "2"), {"A": "2"}, None, None)
