"""The helpers of circus 0.19 that other people's hooks and plugins import."""

from __future__ import annotations

import grp
import importlib
import os
import pwd
import threading
from typing import Any

import pytest

from circus import exc, util


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0B"), (1023, "1023B"), (1024, "1.00K"), (2558525, "2.44M"), (1 << 30, "1.00G"), (1 << 90, "1024.00Y")],
)
def test_sizes_for_people(size: int, text: str) -> None:
    assert util.bytes2human(size) == text


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1B", 1),
        ("1.5K", 1536),
        ("2k", 2048),
        ("3 Mi", 3 << 20),
        ("1 giga", 1 << 30),
        ("1tebi", 1 << 40),
        ("300MB", 300 << 20),
        ("512MiB", 512 << 20),
        ("2gb", 2 << 30),
        ("1.5 kb", 1536),
    ],
)
def test_sizes_from_people(text: str, size: int) -> None:
    assert util.human2bytes(text) == size


@pytest.mark.parametrize("text", ["", "12", "M", "1.2.3M", "1 parsec", "3 MBi", "3 iB", "1 Mbit"])
def test_what_is_no_size_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):
        util.human2bytes(text)


@pytest.mark.parametrize(
    ("prefix", "text", "expected"),
    [
        ("circus", "$(circus.A) ((CIRCUS.b.c)) $(circus.no) $(A)", "1 2 $(circus.no) $(A)"),
        ("test", "$(test.a) $(circus.a)", "1 $(circus.a)"),
        (None, "$(a) ((b.c)) $(no)", "1 2 $(no)"),
    ],
)
def test_variables_with_any_prefix(prefix: str | None, text: str, expected: str) -> None:
    assert util.replace_gnu_args(text, prefix, a=1, b={"C": "2"}) == expected


def test_environments_as_text() -> None:
    assert util.parse_env_str("A=1, B = x") == {"A": "1", "B": "x"}
    assert util.env_to_str({"B": "2", "A": "1"}) == "A=1,B=2"
    assert util.env_to_str(None) == ""


def test_upper_case_variables_of_the_environment_are_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HERE", "x")
    assert util.parse_env_dict({" A ": " $HERE-$NOT_THERE_AT_ALL-$lower "}) == {"A": "x--$lower"}


def test_users_and_groups_by_name_and_id() -> None:
    me, mine = pwd.getpwuid(os.getuid()), grp.getgrgid(os.getgid())
    assert util.to_uid(me.pw_name) == util.to_uid(str(me.pw_uid)) == me.pw_uid
    assert util.to_gid(mine.gr_name) == util.to_gid(mine.gr_gid) == mine.gr_gid
    assert util.get_username_from_uid(me.pw_uid) == me.pw_name
    assert util.get_default_gid(me.pw_name) == me.pw_gid


@pytest.mark.parametrize("convert", [util.to_uid, util.to_gid])
@pytest.mark.parametrize("missing", ["no such one", 2**40])
def test_missing_users_and_groups_are_value_errors(convert: Any, missing: int | str) -> None:
    with pytest.raises(ValueError):
        convert(missing)


def test_booleans_signals_and_text() -> None:
    assert [util.to_bool(word) for word in ("Yes", "off", None, True)] == [True, False, False, True]
    assert [util.to_signum(word) for word in ("TERM", "sigterm", "15", 15)] == [15, 15, 15, 15]
    assert (util.to_str(b"a"), util.to_bytes("a"), util.convert_opt("x", None)) == ("a", b"a", "")


def test_names_are_resolved_or_an_import_string_error() -> None:
    assert util.resolve_name("threading.Thread") is threading.Thread
    assert util.resolve_name("threading:Thread") is threading.Thread
    assert util.resolve_name("no.such.thing", silent=True) is None
    with pytest.raises(util.ImportStringError):
        util.resolve_name("no.such.thing")


def test_differences_of_dicts() -> None:
    differ = util.DictDiffer({"a": 1, "b": 2, "d": 4}, {"a": 1, "b": 3, "c": 4})
    assert (differ.added(), differ.removed(), differ.changed(), differ.unchanged()) == ({"d"}, {"c"}, {"b"}, {"a"})
    assert util.dict_differ({"a": 1}, {"a": 2})


def test_debuglog_keeps_the_method() -> None:
    class Thing:
        @util.debuglog
        def double(self, number: int) -> int:
            """Twice."""
            return 2 * number

    assert Thing().double(4) == 8
    assert Thing.double.__doc__ == "Twice."


def test_gevent_is_refused_with_what_to_use_instead() -> None:
    with pytest.raises(ImportError, match="asyncio"):
        importlib.import_module("circus.green")


@pytest.mark.parametrize("name", ["fixed_threading", "_patch"])
def test_the_threading_shims_change_nothing(name: str) -> None:
    assert importlib.import_module(f"circus.{name}").Thread is threading.Thread


def test_the_info_of_a_process_is_told_now() -> None:
    info = util.get_info(interval=0.01)
    assert (info["pid"], info["children"]) == (os.getpid(), [])
    assert util.get_info(os.getppid())["pid"] == os.getppid()
    with pytest.raises(ProcessLookupError):
        util.get_info(2**22 + 1)


@pytest.mark.parametrize(("group", "port"), [("127.0.0.1", 1), ("nowhere", 1), ("237.1.1.1", "port")])
def test_a_socket_for_discovery_needs_a_group_and_a_port(group: str, port: int | str) -> None:
    with pytest.raises(ValueError, match=str(group if group != "237.1.1.1" else port)):
        util.create_udp_socket(group, port)


def test_what_programs_catch_is_found_here_too() -> None:
    assert util.ConflictError is exc.ConflictError
