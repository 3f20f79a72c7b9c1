"""Addresses: what is accepted, what `auto` means, and where circusctl looks."""

import pytest

from circus.exc import EndpointError
from circus.wire import endpoints
from circus.wire.endpoints import (
    DEFAULT_CONTROL,
    Endpoint,
    auto_endpoints,
    find_control,
    instance_name,
    parse,
    runtime_dir,
    sibling,
)


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("tcp://127.0.0.1:5555", Endpoint("tcp", host="127.0.0.1", port=5555)),
        ("tcp://*:*", Endpoint("tcp", host="*", port=0)),
        ("tcp://[::1]:0", Endpoint("tcp", host="::1", port=0)),
        ("ipc:///run/x.sock", Endpoint("ipc", path="/run/x.sock")),
        ("ipc://relative", Endpoint("ipc", path="relative")),
        ("ipc://@abstract", Endpoint("ipc", path="@abstract")),
    ],
)
def test_endpoints_are_read(text, parsed):
    assert parse(text) == parsed


@pytest.mark.parametrize("text", ["tcp://127.0.0.1:5555", "tcp://[::1]:80", "ipc:///run/x.sock"])
def test_an_endpoint_is_written_as_it_was_read(text):
    assert str(parse(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "auto",
        "127.0.0.1:5555",
        "udp://1.2.3.4:5",
        "inproc://x",
        "tcp://host",
        "tcp://:5555",
        "tcp://host:port",
        "tcp://host:65536",
        "tcp://host:-1",
        "tcp://host:" + "9" * 5000,
        "tcp://::1:5555",
        "tcp://[]:1",
        "tcp://a;b:1",
        "ipc://",
        "ipc://*",
        "ipc:///" + "x" * 107,
    ],
)
def test_what_is_no_endpoint_is_refused(text):
    with pytest.raises(EndpointError):
        parse(text)


@pytest.mark.parametrize(
    ("text", "local"),
    [
        ("tcp://127.0.0.9:1", True),
        ("tcp://localhost:1", True),
        ("tcp://[::1]:1", True),
        ("ipc:///x", True),
        ("tcp://*:1", False),
        ("tcp://10.0.0.1:1", False),
    ],
)
def test_local_is_what_only_this_machine_reaches(text, local):
    assert parse(text).is_local is local


@pytest.mark.parametrize(
    ("environ", "uid", "directory"),
    [
        ({}, 0, "/run"),
        ({"XDG_RUNTIME_DIR": "/run/user/0"}, 0, "/run"),
        ({"XDG_RUNTIME_DIR": "/run/user/7"}, 7, "/run/user/7"),
        ({"XDG_RUNTIME_DIR": "relative"}, 7, "/tmp/circus-7"),
        ({}, 7, "/tmp/circus-7"),
        ({"TMPDIR": "/var/tmp/"}, 7, "/var/tmp/circus-7"),
        ({"CIRCUS_RUNTIME_DIR": "/x/", "XDG_RUNTIME_DIR": "/y"}, 0, "/x"),
    ],
)
def test_the_runtime_directory_follows_the_user(environ, uid, directory):
    assert runtime_dir(environ, uid) == directory


def test_each_file_has_an_instance_of_its_own_with_a_readable_name():
    names = {instance_name(path) for path in ("/a/web.ini", "/b/web.ini", "/a/web.cfg")}
    assert len(names) == 3
    assert all(name.startswith("web-") for name in names)


def test_the_instance_of_a_file_does_not_change():
    assert instance_name("/a/web.ini") == instance_name("/a/web.ini")


def test_an_instance_is_always_one_part_of_a_path():
    assert "/" not in instance_name("/a/odd näme\n.ini")


def test_auto_gives_each_channel_a_socket_in_one_directory():
    found = auto_endpoints("/a/web.ini", {}, 0)
    directory = f"ipc:///run/circus/{instance_name('/a/web.ini')}"
    assert found == {
        "endpoint": f"{directory}/control.sock",
        "pubsub_endpoint": f"{directory}/events.sock",
        "stats_endpoint": f"{directory}/stats.sock",
    }


def test_auto_needs_to_know_where_the_file_is():
    with pytest.raises(EndpointError, match="absolute path"):
        auto_endpoints("web.ini", {}, 0)


def test_auto_in_too_long_a_directory_says_what_to_set():
    with pytest.raises(EndpointError, match="CIRCUS_RUNTIME_DIR"):
        auto_endpoints("/a/web.ini", {"CIRCUS_RUNTIME_DIR": "/" + "x" * 80}, 0)


def test_the_longest_instance_still_fits_below_a_usual_directory():
    found = auto_endpoints("/a/" + "x" * 200 + ".ini", {"XDG_RUNTIME_DIR": "/run/user/4294967294"}, 7)
    assert all(len(parse(endpoint).path) <= endpoints.MAX_IPC_PATH for endpoint in found.values())


def test_a_named_endpoint_comes_first():
    assert find_control({"CIRCUSCTL_ENDPOINT": "ipc:///x"}, ["ipc:///y"]) == "ipc:///x"


def test_the_only_daemon_is_meant():
    assert find_control({}, ["ipc:///y"]) == "ipc:///y"


@pytest.mark.parametrize("alive", [[], ["ipc:///y", "ipc:///z"]])
def test_none_or_many_daemons_leave_the_default(alive):
    assert find_control({}, alive) == DEFAULT_CONTROL


def test_channels_of_an_instance_lie_beside_each_other():
    assert sibling("ipc:///run/circus/a/control.sock", "events.sock") == "ipc:///run/circus/a/events.sock"
    assert sibling("tcp://127.0.0.1:5555", "events.sock") is None
    assert sibling("ipc:///run/other", "events.sock") is None
