"""Words of a command line become requests; and what every command has."""

import json

import pytest

from circus.commands import MODULES, get_command, get_commands
from circus.commands.base import KNOWN_COMMANDS, Command
from circus.exc import ArgumentError

COMMANDS = get_commands()


@pytest.mark.parametrize(
    ("words", "options", "properties"),
    [
        ("list", {}, {}),
        ("list web", {}, {"name": "web"}),
        ("status web", {}, {"name": "web"}),
        ("numprocesses", {}, {}),
        ("options web", {}, {"name": "web"}),
        ("get web a b", {}, {"name": "web", "keys": ["a", "b"]}),
        ("globaloptions", {}, {}),
        ("globaloptions endpoint", {}, {"option": "endpoint"}),
        ("incr web", {}, {"name": "web", "waiting": False}),
        ("decr web 2", {"waiting": True}, {"name": "web", "nb": 2, "waiting": True}),
        ("stats", {"extended": True}, {"extended": True}),
        ("stats web 42", {}, {"name": "web", "process": 42, "extended": False}),
        ("start", {}, {"waiting": False, "match": "glob"}),
        ("stop web", {"match": "simple"}, {"name": "web", "waiting": False, "match": "simple"}),
        (
            "reload web",
            {"terminate": True},
            {"name": "web", "graceful": False, "sequential": False, "waiting": False},
        ),
        ("quit", {"waiting": True}, {"waiting": True}),
        (
            "kill web 42",
            {"signum": "int", "graceful_timeout": "5", "waiting": True},
            {"name": "web", "waiting": True, "pid": 42, "signum": "int", "graceful_timeout": 5.0},
        ),
        ("signal web usr1", {}, {"name": "web", "children": False, "recursive": False, "signum": "usr1"}),
        (
            "signal web 42 usr1",
            {"children": True},
            {"name": "web", "pid": 42, "children": True, "recursive": False, "signum": "usr1"},
        ),
        ("events", {"since": "7", "watcher": "web"}, {"since": 7, "limit": 1000, "watcher": "web"}),
        ("ipython", {}, {}),
        ("plan", {}, {}),
        ("reloadconfig", {"waiting": True}, {"waiting": True}),
        ("add web sleep 1000", {"start": True}, {"name": "web", "cmd": "sleep 1000", "start": True}),
        ("rm web", {}, {"name": "web"}),
        ("rm web", {"nostop": True, "waiting": True}, {"name": "web", "nostop": True, "waiting": True}),
        ("set web NumProcesses 2", {}, {"name": "web", "options": {"numprocesses": 2}}),
        (
            "set web cmd x send_hup yes",
            {"waiting": True},
            {"name": "web", "waiting": True, "options": {"cmd": "x", "send_hup": True}},
        ),
        ("tail web", {}, {"name": "web", "lines": 10}),
        (
            "tail plugin:web:12 stderr",
            {"lines": "0", "follow": True},
            {"name": "plugin:web", "wid": 12, "stream": "stderr", "lines": 0},
        ),
        ("tail plugin:web", {"lines": "3"}, {"name": "plugin:web", "lines": 3}),
        ("telemetry w*", {"brief": True}, {"detail": False, "watchers": "w*"}),
    ],
)
def test_words_become_properties(words, options, properties):
    name, *args = words.split()
    assert COMMANDS[name].message(*args, **options) == {"command": name, "properties": properties}


@pytest.mark.parametrize(
    "words",
    [
        "list a b",
        "get web",
        "options",
        "incr",
        "incr a 1 2",
        "quit now",
        "signal web",
        "kill",
        "dstats x",
        "events x",
        "add web",
        "rm",
        "rm a b",
        "set web cmd",
        "ipython x",
        "tail",
        "tail a b c",
    ],
)
def test_a_wrong_number_of_words_is_told(words):
    name, *args = words.split()
    with pytest.raises(ArgumentError, match=r"^Invalid number of arguments$"):
        COMMANDS[name].message(*args)


def test_a_program_with_options_keeps_its_words():
    made = COMMANDS["add"].message("web", "sh", "-c", "sleep 1; exit")
    assert made["properties"]["cmd"] == "sh -c 'sleep 1; exit'"
    assert COMMANDS["add"].message("web", "sleep 1", "2")["properties"]["cmd"] == "sleep 1 2"


def test_listen_takes_topics():
    assert COMMANDS["listen"].message("a", "b") == ["a", "b"]
    assert COMMANDS["listen"].message() == [""]


@pytest.mark.parametrize("waiting", [True, False])
def test_incr_prints_the_number_or_ok(waiting):
    reply = {"status": "ok", **({"numprocesses": 4} if waiting else {})}
    assert COMMANDS["incr"].console_msg(reply) == ("4" if waiting else "ok")


def test_incr_of_a_singleton_says_why_nothing_changed():
    reply = {"status": "ok", "numprocesses": 1, "singleton": True}
    assert "Singleton" in COMMANDS["incr"].console_msg(reply)


def test_telemetry_prints_indented_json_without_the_id():
    text = COMMANDS["telemetry"].console_msg({"status": "ok", "seq": 1, "id": "x"})
    assert json.loads(text) == {"status": "ok", "seq": 1}
    assert "\n" in text


def test_every_name_has_its_module_and_every_module_its_name():
    assert {name for name in COMMANDS if type(COMMANDS[name]).__module__.startswith("circus.")} == set(MODULES)


@pytest.mark.parametrize("name", sorted(MODULES))
def test_every_command_documents_request_reply_and_command_line(name):
    command = get_command(name)
    assert command is not None
    assert command.name == name
    assert command.short
    assert "\n" not in command.short
    assert f"circusctl {name}" in command.desc
    if name not in {"listen", "completion", "import", "keygen"}:
        assert f'{{"command": "{name}"' in command.desc
        assert '"status": ' in command.desc


def test_an_unknown_name_has_no_command():
    assert get_command("nosuch") is None


def test_a_command_of_a_third_party_is_known_by_being_defined():
    class Greet(Command):
        """Say hello.

        At length.
        """

        name = "greet"

    try:
        assert get_commands()["greet"].short == "Say hello"
        assert get_commands()["greet"].desc == "Say hello.\n\nAt length."
        assert get_commands()["greet"].changes
    finally:
        KNOWN_COMMANDS.remove(Greet)
