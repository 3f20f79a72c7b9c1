"""Sections `[access:NAME]`, and endpoints that others can reach."""

from __future__ import annotations

import pytest

from circus.config.build import check, load
from circus.config.platform import reaches_network
from circus.exc import ConfigError
from circus.keys import file_text, new_pair
from circus.spec.access import AccessSpec
from tests.unit.config.conftest import Ini

LOCAL = "[circus]\nendpoint = auto\n"


def mistakes(ini: Ini, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        ini.load(text)
    return [f"{each.line} {each.option}: {each.expected}" for each in caught.value.mistakes]


def test_sections_are_read(ini: Ini) -> None:
    text = "[access:ops]\nrole = Operate\nuid = root, 1000\ngid = root 20\n[access:all]\nrole = read\nuid = 5\n"
    assert ini.load(LOCAL + text).access == (
        AccessSpec(name="all", role="read", uid=(5,)),
        AccessSpec(name="ops", role="operate", uid=("root", 1000), gid=("root", 20)),
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("role = boss\nuid = 0", "4 role: expected read, operate or admin"),
        ("uid = 0", "3 None: needs role = read, operate or admin"),
        ("role = read\nuid = nobody-like-that root", "5 uid: this machine does not know nobody-like-that"),
        ("role = read\ngid = nobody-like-that", "5 gid: this machine does not know nobody-like-that"),
        ("role = read\nuid = 0\nusers = 0", "6 users: no such option; there are "),
    ],
)
def test_a_section_with_a_mistake_keeps_everything_from_starting(ini: Ini, text: str, expected: str) -> None:
    (found,) = mistakes(ini, f"{LOCAL}[access:x]\n{text}\n")
    assert found.startswith(expected)


def test_a_section_must_name_somebody(ini: Ini) -> None:
    (found,) = mistakes(ini, f"{LOCAL}[access:x]\nrole = read\n")
    assert "gives its role to nobody" in found


def test_a_section_needs_a_name(ini: Ini) -> None:
    (found,) = mistakes(ini, f"{LOCAL}[access:]\nrole = read\nuid = 0\n")
    assert "needs a name" in found


def test_who_only_reads_the_file_does_not_ask_the_machine(ini: Ini) -> None:
    text = "[circus]\nendpoint = tcp://*:1\n[access:x]\nrole = read\nuid = nobody-like-that\n"
    assert load(ini.write(text), environ={}, look_around=False).access[0].uid == ("nobody-like-that",)


def test_commands_from_the_network_need_a_word(ini: Ini) -> None:
    (found,) = mistakes(ini, "[circus]\nendpoint = tcp://0.0.0.0:5555\n")
    assert found.startswith("2 endpoint: others than this machine can reach it")
    assert "curve_secret_key_file" in found
    assert "allow_insecure = True" in found
    assert ini.load("[circus]\nendpoint = tcp://0.0.0.0:5555\nallow_insecure = True\n").allow_insecure


def test_channels_that_only_tell_need_none(ini: Ini) -> None:
    assert ini.load("[circus]\npubsub_endpoint = tcp://*:5556\nstats_endpoint = tcp://*:5557\n")


@pytest.fixture
def keys(ini: Ini) -> str:
    """Writes a key file beside the configuration; the public key."""
    pair = new_pair()
    ini.write(file_text(pair), "server.key").chmod(0o600)
    return pair.public


def test_curve_is_a_way_out(ini: Ini, keys: str) -> None:
    spec = ini.load(
        f"[circus]\nendpoint = tcp://*:5555\ncurve_secret_key_file = server.key\n"
        f"[access:x]\nrole = read\ncurve_key = {keys} {keys}\n"
    )
    assert spec.curve_secret_key_file == str(ini.directory / "server.key")
    assert spec.access[0].curve_key == (keys, keys)


def test_a_key_file_must_be_there_and_private(ini: Ini, keys: str) -> None:
    assert keys
    text = "[circus]\ncurve_secret_key_file = server.key\n"
    (ini.directory / "server.key").chmod(0o644)
    (found,) = mistakes(ini, text)
    assert "must be yours and closed to others" in found
    (found,) = mistakes(ini, text.replace("server.key", "other.key"))
    assert found.startswith("2 curve_secret_key_file: the key file ")
    assert "cannot be read: No such file or directory" in found


def test_keys_need_a_server_key(ini: Ini, keys: str) -> None:
    (found,) = mistakes(ini, f"[access:x]\nrole = read\ncurve_key = {keys}\n")
    assert found == "3 curve_key: needs curve_secret_key_file in [circus]"


def test_a_key_that_is_none(ini: Ini) -> None:
    (found,) = mistakes(ini, f"{LOCAL}[access:x]\nrole = read\ncurve_key = abc\n")
    assert found == "5 curve_key: expected public keys of 40 characters, as `circusctl keygen` prints them"


def test_curve_without_a_port_is_warned_about(ini: Ini, keys: str) -> None:
    assert keys
    where = "".join(f"{name} = auto\n" for name in ("endpoint", "pubsub_endpoint", "stats_endpoint"))
    _, warnings = check(ini.write(f"[circus]\n{where}curve_secret_key_file = server.key\n"), environ={})
    assert ["unix sockets need no keys" in each.expected for each in warnings] == [True]


def test_users_cannot_be_known_over_tcp(ini: Ini) -> None:
    path = ini.write("[access:x]\nrole = read\nuid = 0\n")
    found, warnings = check(path, environ={})
    assert not found
    assert ["uid and gid have no effect on tcp://127.0.0.1:5555" in each.expected for each in warnings] == [True]


@pytest.mark.parametrize(
    ("endpoint", "open_to_all"),
    [
        ("tcp://127.0.0.1:5555", False),
        ("tcp://127.3.2.1:5555", False),
        ("tcp://localhost:5555", False),
        ("tcp://[::1]:5555", False),
        ("tcp://lo:5555", False),
        ("ipc:///run/x", False),
        ("ipc://@x", False),
        ("auto", False),
        ("tcp://*:5555", True),
        ("tcp://0.0.0.0:5555", True),
        ("tcp://[::]:5555", True),
        ("tcp://192.0.2.1:5555", True),
        ("tcp://no-such-interface0:5555", True),
    ],
)
def test_which_addresses_others_can_reach(endpoint: str, open_to_all: bool) -> None:
    assert reaches_network(endpoint) == open_to_all
