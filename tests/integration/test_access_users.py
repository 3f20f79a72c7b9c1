"""Who may do what on unix sockets: other users really ask a real circusd."""

import os
import pathlib
import socket
import stat
import struct

import pytest

from tests.helpers.users import SOMEBODY, SOMEBODYS_GROUP, as_root, as_user, ask_as, open_to_others
from tests.helpers.waiting import DEADLINE

pytestmark = as_root

WEB = "[watcher:web]\ncmd = sleep 1000\n"
OPEN = {"endpoint_mode": "0666"}
SILENCE = 1.0  # nobody answers, however long one waits
EVERY = ("endpoint", "pubsub_endpoint", "stats_endpoint")


def section(role, name="x", **whom):
    return f"[access:{name}]\nrole = {role}\n" + "".join(f"{option} = {value}\n" for option, value in whom.items())


def socket_of(daemon, option):
    return pathlib.Path(getattr(daemon, option).removeprefix("ipc://")).stat()


@pytest.mark.parametrize("umask", ["000", "077"])
def test_endpoints_are_private_whatever_the_umask(circusd, umask):
    daemon = open_to_others(circusd(WEB, options={"umask": umask}))
    assert [stat.S_IMODE(socket_of(daemon, option).st_mode) for option in EVERY] == [0o600] * 3
    assert ask_as(daemon.endpoint, "list", timeout=SILENCE) is None


def test_mode_owner_and_group_are_those_that_were_asked_for(circusd):
    asked = {"endpoint_mode": "0640", "endpoint_owner": SOMEBODY, "endpoint_group": SOMEBODYS_GROUP}
    daemon = circusd(WEB, options=asked)
    for option in EVERY:
        found = socket_of(daemon, option)
        assert (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) == (0o640, SOMEBODY, SOMEBODYS_GROUP)


def test_a_group_alone_gets_to_the_sockets(circusd):
    daemon = open_to_others(circusd(WEB, options={"endpoint_group": SOMEBODYS_GROUP}))
    assert {stat.S_IMODE(socket_of(daemon, option).st_mode) for option in EVERY} == {0o660}
    assert ask_as(daemon.endpoint, "list", gid=1, timeout=SILENCE) is None
    refused = ask_as(daemon.endpoint, "list")
    assert (refused["status"], refused["errno"]) == ("error", 7)
    assert f"uid:{SOMEBODY}" in refused["reason"]
    assert "has no role" in refused["reason"]


def test_who_owns_the_endpoint_may_do_what_he_could_in_circus_0_19(circusd):
    daemon = open_to_others(circusd(WEB, options={"endpoint_owner": SOMEBODY}))
    assert ask_as(daemon.endpoint, "stop", name="web", waiting=True)["status"] == "ok"
    assert ask_as(daemon.endpoint, "reloadconfig", waiting=True)["status"] == "ok"
    stranger = {"name": "mine", "cmd": "sleep 100"}
    assert ask_as(daemon.endpoint, "add", **stranger)["reason"] == "uid does not match endpoint_owner"
    assert ask_as(daemon.endpoint, "add", **stranger, options={"uid": SOMEBODY})["status"] == "ok"


ASKED = {
    "list": {},
    "telemetry": {},
    "events": {},
    "stop": {"name": "web", "waiting": True},
    "signal": {"name": "web", "signum": "usr1"},
    "restart": {"name": "web", "waiting": True},
    "set": {"name": "web", "options": {"max_retry": 3}, "waiting": True},
    "add": {"name": "other", "cmd": "sleep 1"},
    "reloadconfig": {"waiting": True},
}
READ, OPERATE = ["list", "telemetry", "events"], ["stop", "signal", "restart"]
MAY = {"read": READ, "operate": READ + OPERATE, "admin": list(ASKED)}


@pytest.mark.parametrize("role", MAY)
def test_a_role_lets_one_do_what_it_says_and_nothing_more(circusd, role):
    daemon = open_to_others(circusd(WEB + section(role, uid=SOMEBODY), options=OPEN))
    replies = {command: ask_as(daemon.endpoint, command, **props) for command, props in ASKED.items()}
    assert [command for command, reply in replies.items() if reply.get("errno") != 7] == MAY[role]
    refused = [reply["reason"] for reply in replies.values() if reply.get("errno") == 7]
    assert all(f"has the role {role}" in reason for reason in refused)
    # Whoever asks for all of it asks for what the file says now.
    assert (ask_as(daemon.endpoint, "restart").get("errno") == 7) == (role != "admin")
    assert daemon.wait_answering() is None


@pytest.mark.parametrize("groups", [(SOMEBODYS_GROUP,), (4, SOMEBODYS_GROUP)])
def test_members_of_a_group_have_its_role(circusd, groups):
    daemon = open_to_others(circusd(WEB + section("operate", gid=SOMEBODYS_GROUP), options=OPEN))
    assert ask_as(daemon.endpoint, "stop", gid=1, groups=groups, name="web")["status"] == "ok"
    assert ask_as(daemon.endpoint, "stop", gid=1, groups=(4,), name="web")["errno"] == 7
    assert ask_as(daemon.endpoint, "stop", gid=SOMEBODYS_GROUP, name="web")["status"] == "ok"


def test_a_section_can_hold_root_back(circusd):
    daemon = circusd(WEB)
    daemon.ini.write_text(daemon.ini.read_text() + section("read", uid="root"))
    assert daemon.ok("reloadconfig", waiting=True)["changes"] == [
        {"subject": "access", "name": "x", "action": "added", "effect": "nothing", "options": []}
    ]
    try:
        assert daemon.ok("list")
        assert daemon.call("stop", name="web")["errno"] == 7
        assert daemon.call("quit")["errno"] == 7
    finally:
        daemon.stop()


def test_reloadconfig_changes_who_may_do_what_also_on_open_connections(circusd):
    daemon = open_to_others(circusd(WEB + section("read", uid=SOMEBODY), options=OPEN))
    assert ask_as(daemon.endpoint, "stop", name="web")["errno"] == 7
    before = daemon.ini.read_text()
    daemon.ini.write_text(before.replace("role = read", "role = operate"))
    (change,) = daemon.ok("reloadconfig", waiting=True)["changes"]
    assert (change["subject"], change["name"], change["action"]) == ("access", "x", "changed")
    assert ask_as(daemon.endpoint, "stop", name="web", waiting=True)["status"] == "ok"
    daemon.ini.write_text(before.replace("role = read", "role = bogus"))
    assert "read, operate or admin" in daemon.call("reloadconfig", waiting=True)["reason"]
    assert ask_as(daemon.endpoint, "start", name="web", waiting=True)["status"] == "ok"
    daemon.ini.write_text(before.replace(section("read", uid=SOMEBODY), ""))
    daemon.ok("reloadconfig", waiting=True)
    assert "no role" in ask_as(daemon.endpoint, "list")["reason"]


def test_records_say_who_asked_for_what_and_what_came_of_it(circusd):
    daemon = open_to_others(circusd(WEB + section("operate", uid=SOMEBODY), options=OPEN))
    with daemon.events("lifecycle.-.command") as events:
        ask_as(daemon.endpoint, "stop", name="web", waiting=True)
        ask_as(daemon.endpoint, "set", name="web", options={"env": {"PASSWORD": "hush"}})
        ask_as(daemon.endpoint, "list")
        finished = [message.body for message in events.wait_for(lambda each: "finished" in each.topic, count=2)]
    stopped, refused = (record["data"] for record in finished)
    who = f"uid:{SOMEBODY},gid:{SOMEBODYS_GROUP},pid:"
    assert stopped["actor"].startswith(who)
    assert finished[0]["cause"]["actor"] == stopped["actor"]
    assert (stopped["command"], stopped["ok"], stopped["errno"]) == ("stop", True, None)
    assert stopped["properties"] == {"name": "web", "waiting": True}
    assert refused["actor"].startswith(who)
    assert (refused["command"], refused["ok"], refused["errno"]) == ("set", False, 7)
    assert "needs the role admin" in refused["reason"]
    assert "hush" not in str(refused)
    assert "not permitted: set needs the role admin" in daemon.log_text()


def test_refused_requests_do_not_push_everything_else_out_of_the_journal(circusd):
    daemon = open_to_others(circusd(WEB, options=OPEN))
    assert ask_as(daemon.endpoint, "list", times=500)["errno"] == 7
    records = [each for each in daemon.ok("events")["records"] if each["record"] == "command.finished"]
    assert 0 < len(records) < 400
    assert daemon.ok("telemetry")["arbiter"]["command_error_kinds"]["list"]["permission"] == 500


def test_an_abstract_socket_has_no_mode_and_still_lets_no_stranger_do_anything(circusd):
    name = f"ipc://@circus-test-{os.getpid()}"
    daemon = circusd(WEB, options={"endpoint": name}, start=False)
    daemon.endpoint = name
    daemon.start()
    assert ask_as(name, "list")["errno"] == 7
    assert daemon.ok("list")


CLAIMS = {b"Peer-Address": b"localhost:0:0:1", b"User-Id": b"root", b"Identity": b"root"}


def test_what_a_client_claims_of_itself_counts_for_nothing(circusd):
    daemon = open_to_others(circusd(WEB, options=OPEN))
    reply = as_user(lambda: _claim(daemon.endpoint.removeprefix("ipc://"), b'{"command": "quit", "id": 1}'))
    assert '"errno":7' in reply
    assert f"and uid:{SOMEBODY},gid:{SOMEBODYS_GROUP},pid:" in reply
    assert "root" not in reply
    assert daemon.ok("list")


def _claim(path, request):
    """Send a request by hand, after a handshake with properties that no library would send."""
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(DEADLINE)
        peer.connect(path)
        peer.sendall(b"\xff" + b"\0" * 8 + b"\x7f\x03\x01" + b"NULL".ljust(20, b"\0") + b"\0" * 32)
        greeting = b""
        while len(greeting) < 64:  # what comes with the greeting libzmq throws away
            more = peer.recv(64 - len(greeting))
            assert more, greeting
            greeting += more
        properties = {b"Socket-Type": b"DEALER", **CLAIMS}
        ready = b"\x05READY" + b"".join(
            bytes([len(name)]) + name + struct.pack(">I", len(value)) + value for name, value in properties.items()
        )
        peer.sendall(b"\x04" + bytes([len(ready)]) + ready + b"\0" + bytes([len(request)]) + request)
        heard = b""
        while b'"id"' not in heard:
            more = peer.recv(4096)
            assert more, heard
            heard += more
    return heard.decode(errors="replace")
