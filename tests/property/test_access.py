"""Whatever the rules are: a rule is for those whom it names, and nobody has more than some rule gives."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from circus.core.access import Access, Peer, Rule, local_peer, suffices
from circus.spec.access import ROLES

IDS = st.integers(0, 5)
KEYS = st.sampled_from("KLM")
RULES = st.lists(
    st.builds(
        Rule,
        name=st.just("x"),
        role=st.sampled_from(ROLES),
        uids=st.frozensets(IDS, max_size=3),
        gids=st.frozensets(IDS, max_size=3),
        keys=st.frozensets(KEYS, max_size=2),
    ),
    max_size=5,
)
GROUPS = st.frozensets(IDS, max_size=3)
LOCAL = st.builds(Peer, uid=IDS, gid=IDS, pid=st.just(7))
REMOTE = st.builds(Peer, address=st.just("10.0.0.7"), key=st.none() | KEYS)
PEERS = LOCAL | REMOTE


def names(rule: Rule, peer: Peer, groups: frozenset[int]) -> bool:
    if peer.uid is None:
        return peer.key in rule.keys
    return peer.uid in rule.uids or bool(rule.gids & {peer.gid, *groups})


def access(rules: list[Rule]) -> Access:
    return Access(own_uid=1, owner=2, curve=True, rules=tuple(rules))


@given(RULES, PEERS, GROUPS)
def test_nobody_has_more_than_some_rule_gives_him(rules: list[Rule], peer: Peer, groups: frozenset[int]) -> None:
    role = access(rules).role(peer, lambda: groups)
    given_to_him = [rule.role for rule in rules if names(rule, peer, groups)]
    if peer.uid in {0, 1, 2} and not any(peer.uid in rule.uids for rule in rules):
        assert role == "admin"
    else:
        assert role == max(given_to_him, key=ROLES.index, default=None)


@given(RULES, RULES, PEERS, GROUPS)
def test_rules_for_others_change_nothing(
    rules: list[Rule], more: list[Rule], peer: Peer, groups: frozenset[int]
) -> None:
    others = [rule for rule in more if not names(rule, peer, groups)]
    assert access(rules + others).role(peer, lambda: groups) == access(rules).role(peer, lambda: groups)


@given(RULES, REMOTE)
def test_who_may_do_something_may_connect(rules: list[Rule], peer: Peer) -> None:
    found = access(rules)
    if any(suffices(found.role(peer, frozenset), needed) for needed in ROLES):
        assert peer.key is not None
        assert found.knows(peer.key)


@given(st.text(alphabet="localhost:0123456789-x ", max_size=30), RULES)
def test_what_libzmq_may_say_makes_nobody_root(said: str, rules: list[Rule]) -> None:
    peer = local_peer(said)
    if not said.startswith("localhost:"):
        assert peer == Peer()
        assert access(rules).role(peer, frozenset) is None
