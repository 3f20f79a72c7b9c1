"""The groups of a process as /proc tells them, and users by name."""

from __future__ import annotations

import grp
import os
import pwd

import pytest

from circus.core.access import Rule
from circus.exc import EndpointError
from circus.runtime.peers import access, gid_of, groups_of, uid_of, user_of
from circus.spec.access import AccessSpec

STATUS = b"Name:\tcat a:b\nUid:\t1000\t1001\t1000\t1000\nGid:\t100\t100\t100\t100\nGroups:\t10 20 30 \nVmRSS:\t1 kB\n"


@pytest.fixture
def root(tmp_path):
    (tmp_path / "42").mkdir()
    (tmp_path / "42" / "status").write_bytes(STATUS)
    return str(tmp_path)


def test_the_groups_of_a_process(root):
    assert groups_of(42, 1001, root) == {10, 20, 30}


def test_of_another_users_process_nothing_is_told(root):
    assert groups_of(42, 1000, root) == frozenset()
    assert groups_of(42, None, root) == frozenset()


@pytest.mark.parametrize("pid", [None, 0, 43])
def test_of_no_process_nothing_is_told(root, pid):
    assert groups_of(pid, 1001, root) == frozenset()


def test_a_strange_status_tells_nothing(root, tmp_path):
    (tmp_path / "42" / "status").write_bytes(b"Uid:\t1001\nGroups:\t10\n")
    assert groups_of(42, 1001, root) == frozenset()


def test_our_own_groups_are_those_that_the_system_tells():
    assert groups_of(os.getpid(), os.geteuid()) == set(os.getgroups())


def test_names_become_ids():
    user, group = pwd.getpwuid(os.geteuid()), grp.getgrgid(0)
    assert (uid_of(user.pw_name), uid_of("7"), uid_of(7)) == (user.pw_uid, 7, 7)
    assert (gid_of(group.gr_name), gid_of("7"), gid_of(7)) == (0, 7, 7)


def test_sections_become_rules():
    section = AccessSpec(name="ops", role="operate", uid=("root", 1000), gid=(20,), curve_key=("K",))
    found = access([section], "root")
    assert (found.own_uid, found.owner, found.curve) == (os.geteuid(), 0, False)
    assert found.rules == (
        Rule(name="ops", role="operate", uids=frozenset({0, 1000}), gids=frozenset({20}), keys=frozenset({"K"})),
    )


def test_an_unknown_name_lets_nobody_in():
    with pytest.raises(EndpointError, match="nobody-of-that-name"):
        access([AccessSpec(name="x", role="read", uid=("nobody-of-that-name",))])


@pytest.mark.parametrize(
    ("actor", "user"),
    [
        ("uid:0,gid:0,pid:4242", "root"),
        ("uid:0", "root"),
        ("uid:4123456789,gid:0,pid:1", None),
        ("uid:99999999999999999999,gid:0", None),
        ("uid:00x", None),
        ("curve:uid:0,tcp:10.0.0.7", None),
        ("python", None),
        ("", None),
    ],
)
def test_the_name_of_whoever_asks(actor, user):
    assert user_of(actor) == user
