"""Who has which role: the whole decision, without a socket."""

from __future__ import annotations

import itertools

import pytest

from circus.core.access import Access, Peer, Rule, local_peer, refusal, suffices
from circus.spec.access import ROLES

ME, ANNA, BERT = 500, 1000, 1001
STAFF, WHEEL = 20, 10


def unasked():
    raise AssertionError("nobody needs to know the groups")


def none():
    return frozenset()


def rule(role, *, uids=(), gids=(), keys=(), name="x"):
    return Rule(name=name, role=role, uids=frozenset(uids), gids=frozenset(gids), keys=frozenset(keys))


def local(uid, gid=100):
    return Peer(uid=uid, gid=gid, pid=7)


@pytest.mark.parametrize("uid", [0, ME])
def test_root_and_the_daemons_own_user_are_admin(uid):
    assert Access(own_uid=ME).role(local(uid), unasked) == "admin"
    assert Access(own_uid=ME, rules=(rule("read", uids=[ANNA]),)).role(local(uid), unasked) == "admin"


def test_nobody_else_has_a_role_without_a_section():
    assert Access(own_uid=ME).role(local(ANNA), unasked) is None


def test_the_owner_of_the_endpoint_is_admin():
    assert Access(own_uid=0, owner=ANNA).role(local(ANNA), unasked) == "admin"
    assert Access(own_uid=0, owner=ANNA).role(local(BERT), unasked) is None


@pytest.mark.parametrize("uid", [0, ME, ANNA])
def test_a_section_that_names_a_user_holds_for_him_whoever_he_is(uid):
    access = Access(own_uid=ME, rules=(rule("read", uids=[uid]),), owner=ANNA)
    assert access.role(local(uid), unasked) == "read"


def test_a_group_takes_nothing_from_root():
    assert Access(own_uid=ME, rules=(rule("read", gids=[100]),)).role(local(0), none) == "admin"


def test_the_primary_group_counts():
    assert Access(own_uid=ME, rules=(rule("operate", gids=[STAFF]),)).role(local(ANNA, STAFF), none) == "operate"


def test_further_groups_count():
    access = Access(own_uid=ME, rules=(rule("operate", gids=[STAFF]),))
    assert access.role(local(ANNA), lambda: frozenset({WHEEL, STAFF})) == "operate"
    assert access.role(local(ANNA), lambda: frozenset({WHEEL})) is None


def test_groups_are_not_asked_for_where_no_section_names_one_or_nothing_can_be_won():
    assert Access(own_uid=ME, rules=(rule("read", uids=[ANNA]),)).role(local(ANNA), unasked) == "read"
    both = (rule("admin", uids=[ANNA]), rule("read", gids=[STAFF]))
    assert Access(own_uid=ME, rules=both).role(local(ANNA), unasked) == "admin"


@pytest.mark.parametrize("order", list(itertools.permutations(ROLES)))
def test_of_several_roles_the_highest_counts(order):
    rules = (rule(order[0], uids=[ANNA]), rule(order[1], gids=[STAFF]), rule(order[2], gids=[WHEEL]))
    assert Access(own_uid=ME, rules=rules).role(local(ANNA, STAFF), lambda: frozenset({WHEEL})) == "admin"


def test_over_tcp_everybody_is_admin_as_ever():
    assert Access(own_uid=ME, rules=(rule("read", uids=[ANNA]),)).role(Peer(address="127.0.0.1"), unasked) == "admin"


def test_with_curve_only_a_known_key_has_a_role():
    access = Access(own_uid=ME, curve=True, rules=(rule("operate", keys=["K"], name="laptop"),))
    assert access.role(Peer(address="10.0.0.7", key="K"), unasked) == "operate"
    assert access.role(Peer(address="10.0.0.7", key="L"), unasked) is None
    assert access.role(Peer(address="127.0.0.1"), unasked) is None
    assert access.named(Peer(address="10.0.0.7", key="K")) == "laptop"
    assert access.named(Peer(address="10.0.0.7", key="L")) is None
    assert access.named(Peer(address="10.0.0.7")) is None


@pytest.mark.parametrize("curve", [True, False])
def test_who_is_not_known_has_no_role(curve):
    assert Access(own_uid=ME, curve=curve, rules=(rule("admin", uids=[0]),)).role(Peer(), unasked) is None


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("localhost:1000:100:42", Peer(uid=1000, gid=100, pid=42)),
        ("localhost:1000:100:", Peer(uid=1000, gid=100)),
        ("localhost:::", Peer()),
        ("localhost:-1:x", Peer()),
        ("localhost", Peer()),
        ("127.0.0.1", Peer()),
        ("", Peer()),
    ],
)
def test_what_libzmq_says_of_a_peer_on_a_unix_socket(address, expected):
    assert local_peer(address) == expected


@pytest.mark.parametrize(
    ("who", "told"),
    [
        (Peer(uid=1000, gid=100, pid=42), "uid:1000,gid:100,pid:42"),
        (Peer(address="127.0.0.1"), "tcp:127.0.0.1"),
        (Peer(address="10.0.0.7", key="K", name="laptop"), "curve:laptop,tcp:10.0.0.7"),
        (Peer(address="10.0.0.7", key="K"), "curve:K,tcp:10.0.0.7"),
        (Peer(), "unknown"),
    ],
)
def test_how_records_name_somebody(who, told):
    assert str(who) == told


def test_each_role_includes_those_below_it():
    assert [[suffices(has, needs) for needs in ROLES] for has in (None, *ROLES)] == [
        [False, False, False],
        [True, False, False],
        [True, True, False],
        [True, True, True],
    ]


def test_a_refusal_says_what_was_needed_and_what_is_there():
    assert refusal("quit", local(ANNA), "read", "admin").startswith(
        "not permitted: quit needs the role admin, and uid:1000,gid:100,pid:7 has the role read"
    )
    assert "has no role" in refusal("quit", local(ANNA), None, "admin")
