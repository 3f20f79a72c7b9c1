"""What could come next on a line of circusctl, with a daemon that is a table of replies."""

from __future__ import annotations

from typing import Any

import pytest

from circus.commands import get_command, get_commands
from circus.completion import Slot, answer, candidates, escaped, for_bash, grammar, possible, split
from circus.console import usage

STATUSES = {"statuses": {"Web": "active", "Other One": "stopped", "plugin:flapping": "active"}}
REPLIES: dict[str, dict[str, Any]] = {
    "status": STATUSES,
    "list": {"pids": [41, 42]},
    "options": {"options": {"cmd": "sleep 1", "numprocesses": 1}},
    "alerts": {
        "configured": ["leak", "down"],
        "alerts": [{"alert": "leak"}, {"alert": "old"}],
        "silences": [{"id": 3, "watcher": "web", "comment": "deploy"}],
    },
    "globaloptions": {"options": {"check_delay": 5.0, "endpoint": "ipc:///c"}},
}


def ask(command: str, **props: Any) -> dict[str, Any]:
    del props
    return REPLIES[command]


def silence(command: str, **props: Any) -> dict[str, Any]:
    del command, props
    return {}


def names(line: str) -> list[str]:
    return [name for name, _ in candidates(split(line), ask)]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("sta", ["start", "stats", "status"]),
        ("--js", ["--json"]),
        ("--json sta", ["start", "stats", "status"]),
        ("--endpoint ", []),
        ("--endpoint tcp://h:1 numw", ["numwatchers"]),
        ("status ", ["Web", "Other One", "plugin:flapping"]),
        ("status w", ["web"]),
        ("status 'Oth", ["Other One"]),
        ("status web ", []),
        ("stop --waiting W", ["Web"]),
        ("stop --match g", ["glob"]),
        ("stop --match glob W", ["Web"]),
        ("stop web --ma", ["--match"]),
        ("list web ", []),
        ("tail -f -n 5 W", ["Web"]),
        ("tail -f web std", ["stdout", "stderr"]),
        ("tail -n ", []),
        ("tail --li", ["--lines"]),
        ("kill web 4", ["41", "42"]),
        ("kill web --signum US", ["USR1", "USR2"]),
        ("signal web 42 hu", ["hup"]),
        ("test-a", ["test-alert"]),
        ("test-alert ", ["leak", "down", "old"]),
        ("silence web --alert d", ["down"]),
        ("silence W", ["Web"]),
        ("unsilence ", ["3"]),
        ("stats --extended ", ["Web", "Other One", "plugin:flapping"]),
        ("stats web ", ["41", "42"]),
        ("get web n", ["numprocesses"]),
        ("get web cmd cmd cmd n", ["numprocesses"]),
        ("set web n", ["numprocesses"]),
        ("set web send_hup ", ["true", "false"]),
        ("set web numprocesses 2 stop_signal US", ["USR1", "USR2"]),
        ("set web kill_scope t", ["tree"]),
        ("set web numprocesses ", []),
        ("set web labels.team ", []),
        ("globaloptions c", ["check_delay"]),
        ("events --watcher W", ["Web"]),
        ("listen watcher.o", ["watcher.other_one."]),
        ("listen l", ["lifecycle."]),
        ("completion ", ["bash", "zsh", "fish"]),
        ("nosuch ", []),
        ("numwatchers ", []),
    ],
)
def test_the_next_word(line: str, expected: list[str]) -> None:
    assert names(line) == expected


def test_a_signal_may_stand_where_a_pid_may() -> None:
    assert {"42", "TERM"} <= set(names("signal web "))


def test_each_candidate_has_a_word_about_it() -> None:
    assert candidates(["status", "W"], ask) == [("Web", "active")]
    assert dict(candidates(["numw"], ask))["numwatchers"].startswith("Count the watchers")


@pytest.mark.parametrize("line", ["status ", "kill web ", "get web ", "globaloptions ", "events --watcher "])
def test_a_daemon_that_does_not_answer_is_no_error(line: str) -> None:
    assert candidates(split(line), silence) == []


def test_every_command_says_how_it_is_called() -> None:
    for name, command in get_commands().items():
        if command.__class__.__module__.startswith("circus."):
            assert f"    {usage(command)}" in command.desc.splitlines(), name


def test_every_option_with_a_value_has_its_place_in_the_usage() -> None:
    for command in get_commands().values():
        wanted = {
            f"-{short}" if len(short) == 1 else f"--{long}"
            for short, long, default, _ in command.options
            if not isinstance(default, bool)
        }
        assert wanted <= set(grammar(usage(command)).values), command.name


def test_a_usage_is_read() -> None:
    found = grammar("circusctl tail [-f] [-n N] NAME[:WID] [stdout|stderr] [KEY VALUE...]")
    assert found.slots == [
        Slot("NAME", False), Slot("stdout|stderr", True), Slot("KEY", True), Slot("VALUE", True),
    ]  # fmt: skip
    assert found.values == {"-n": "N"}
    assert [possible(found, position) for position in (0, 4, 5, 6)] == [["NAME"], ["KEY"], ["VALUE"], ["KEY"]]


def test_a_command_without_a_usage_takes_anything() -> None:
    command = get_command("list")
    assert command is not None
    command.desc = "List."
    assert usage(command) == "circusctl list"
    assert grammar(usage(command)).slots == []


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", [""]),
        ("a", ["a"]),
        ("a ", ["a", ""]),
        ("a 'b c", ["a", "b c"]),
        ('a "b ', ["a", "b "]),
        ("a b\\ ", ["a", "b "]),
        ("a b\\", ["a", "b"]),
        ("a 'b' ", ["a", "b", ""]),
    ],
)
def test_an_unfinished_line_is_split(line: str, words: list[str]) -> None:
    assert split(line) == words


def test_words_are_escaped_as_bash_reads_them() -> None:
    assert escaped("a b'c$d*") == "a\\ b\\'c\\$d\\*"
    assert for_bash("plugin:flap ping", "plugin:f", ":=") == "flap\\ ping"
    assert for_bash("plugin:flapping", "plugin:f", "") == "plugin:flapping"


@pytest.mark.parametrize(
    ("environ", "printed"),
    [
        ({"AUTO_COMPLETE": "bash", "CIRCUSCTL_LINE": "circusctl status Oth"}, "Other\\ One"),
        ({"AUTO_COMPLETE": "bash", "CIRCUSCTL_LINE": "circusctl status 'Oth"}, "Other One"),
        ({"AUTO_COMPLETE": "bash", "CIRCUSCTL_LINE": "circusctl list pl", "CIRCUSCTL_BREAKS": ":"}, "plugin:flapping"),
        ({"AUTO_COMPLETE": "bash", "CIRCUSCTL_LINE": "circusctl list plugin:", "CIRCUSCTL_BREAKS": ":"}, "flapping"),
        ({"AUTO_COMPLETE": "zsh", "CIRCUSCTL_LINE": "circusctl status Oth"}, "Other One\tstopped"),
        ({"AUTO_COMPLETE": "1", "COMP_WORDS": "circusctl sta", "COMP_CWORD": "1"}, "start stats status"),
        ({"AUTO_COMPLETE": "1", "COMP_WORDS": "circusctl stop ", "COMP_CWORD": "2"}, "Web plugin:flapping"),
        ({"AUTO_COMPLETE": "1", "COMP_WORDS": "circusctl", "COMP_CWORD": "0"}, ""),
        ({"AUTO_COMPLETE": "1", "COMP_WORDS": "circusctl"}, ""),
    ],
)
def test_each_shell_gets_what_it_understands(environ: dict[str, str], printed: str) -> None:
    assert answer(environ, ask) == printed
