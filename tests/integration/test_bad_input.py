"""Whatever a request has in its properties: an answer, with the number of its error, and a daemon as before."""

from __future__ import annotations

import json

import pytest

from circus.commands import get_commands
from tests.conftest import CircusD
from tests.helpers import bad_input
from tests.helpers.bad_input import Bad
from tests.helpers.daemon import Daemon
from tests.helpers.waiting import DEADLINE, wait_until

INI = """
[watcher:web]
cmd = sleep 1000
stdout_stream.class = FileStream
stdout_stream.filename = web.log

[watcher:victim]
cmd = sleep 1000
autostart = False

[watcher:bystander]
cmd = sleep 1000
numprocesses = 2
"""
COMMANDS = get_commands()
# They would end the daemon, or have another take its place, whatever else they are given.
APART = {"quit", "upgrade"}
NO_ANSWER = bad_input.complaint(None)


def wrong(command: str) -> list[Bad]:
    return list(bad_input.requests(COMMANDS[command], "victim" if command == "rm" else "web"))


def _asked(daemon: Daemon, bad: Bad) -> str | None:
    with daemon.caller() as caller:
        if bad.command == "rm":
            daemon.call("add", name="victim", cmd="sleep 1000")
        caller.send_raw(bad.body)
        reply = caller.receive_raw(DEADLINE)
    return bad_input.complaint(reply)


def _as_before(daemon: Daemon) -> None:
    """What was asked without waiting is overtaken, so that no queue grows."""
    daemon.ok("stop", name="web", waiting=True)
    # A restart of everything, asked for without waiting, may overtake this too.
    options = {"numprocesses": 1, "cmd": "sleep 1000"}
    wait_until(lambda: daemon.call("set", name="web", options=options, waiting=True)["status"] == "ok")
    daemon.ok("start", waiting=True)


@pytest.mark.parametrize("command", sorted(set(COMMANDS) - {"completion", "import", "keygen"}))
def test_the_examples_of_a_command_name_what_it_requires(command: str) -> None:
    assert set(COMMANDS[command].properties) <= set(bad_input.documented(COMMANDS[command]))


def test_every_wrong_property_of_every_command_is_answered(circusd: CircusD) -> None:
    daemon = circusd(INI)
    bystanders = daemon.wait_pids("bystander", 2)
    complaints = []
    for command in sorted(set(COMMANDS) - APART):
        for number, bad in enumerate(wrong(command)):
            if COMMANDS[command].changes and number % 20 == 0:
                _as_before(daemon)
            if (told := _asked(daemon, bad)) is not None:
                complaints.append(f"{bad.command}: {bad.told}: {told}")
    _as_before(daemon)
    assert not complaints, "\n".join(complaints)
    assert "Traceback" not in daemon.log_text()
    assert daemon.ok("list")["watchers"]
    assert len(daemon.pids("bystander")) == len(bystanders)


def test_every_wrong_property_of_an_upgrade_is_answered(circusd: CircusD) -> None:
    daemon = circusd(INI)
    bystanders = daemon.wait_pids("bystander", 2)
    complaints = []
    for bad in wrong("upgrade"):
        told = _asked(daemon, bad)
        daemon.wait_answering()  # it may have gone through
        if told == NO_ANSWER:  # what is on its way at the moment of the exchange is lost
            told = _asked(daemon, bad)
            daemon.wait_answering()
        if told is not None:
            complaints.append(f"{bad.told}: {told}")
    assert not complaints, "\n".join(complaints)
    assert "Traceback" not in daemon.log_text()
    assert daemon.pids("bystander") == bystanders


def test_quit_that_waits_for_nonsense_quits(circusd: CircusD) -> None:
    daemon = circusd(INI)
    with daemon.caller() as caller:
        caller.send_raw(b'{"command": "quit", "properties": {"waiting": {"a": [null]}}, "id": 1}')
        assert json.loads(caller.receive_raw() or b"{}")["status"] == "ok"
    assert daemon.wait() == 0
