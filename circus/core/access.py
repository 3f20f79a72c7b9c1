"""Who is asking, and which role they have: read, operate or admin.

Owns the decision, for each message anew. Refuses to know users by name, files and sockets: ids come in, and the groups
of a process are asked for through a function, only when a rule needs them. Invariant: who is not known has no role.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from circus.spec.access import ROLES, Role

Groups = Callable[[], frozenset[int]]


class Peer(msgspec.Struct, frozen=True, kw_only=True):
    """The other end of a connection: `uid`, `gid` and `pid` where the kernel vouches for them (unix sockets), else an
    `address`, and the public CURVE key that it proved to have. `name` is what the configuration calls that key.
    """

    uid: int | None = None
    gid: int | None = None
    pid: int | None = None
    address: str | None = None
    key: str | None = None
    name: str | None = None

    def __str__(self) -> str:
        """As records name it: `uid:1000,gid:1000,pid:4242`, `curve:laptop,tcp:10.0.0.7`, `tcp:127.0.0.1`."""
        parts = (
            ("uid", self.uid),
            ("gid", self.gid),
            ("pid", self.pid),
            ("curve", self.name or self.key),
            ("tcp", self.address),
        )
        return ",".join(f"{word}:{value}" for word, value in parts if value is not None) or "unknown"


def local_peer(address: str) -> Peer:
    """A peer on a unix socket, by what libzmq says of it: `localhost:UID:GID:PID`."""
    host, _, credentials = address.partition(":")
    if host != "localhost":
        return Peer()
    ids = [int(part) if part.isdecimal() else None for part in credentials.split(":")]
    uid, gid, pid = (*ids, None, None, None)[:3]
    return Peer(uid=uid, gid=gid, pid=pid)


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """A section `[access:NAME]`, with ids in place of names."""

    name: str
    role: Role
    uids: frozenset[int] = frozenset()
    gids: frozenset[int] = frozenset()
    keys: frozenset[str] = frozenset()


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """What a daemon that runs as `own_uid` goes by.

    `owner` is the uid of `endpoint_owner`; `curve` says that who comes over tcp has shown a key, and has no role by
    its address alone.
    """

    own_uid: int
    rules: tuple[Rule, ...] = ()
    owner: int | None = None
    curve: bool = False

    def role(self, asking: Peer, groups: Groups) -> Role | None:
        """The highest role that somebody has, None for somebody who has none; `groups` are those of the process."""
        if asking.uid is not None:
            return self._local(asking.uid, asking.gid, groups)
        if asking.address is None:
            return None
        if not self.curve:
            return "admin"  # nobody can be told from anybody else; whether that may be is asked at the start
        return _highest([rule.role for rule in self.rules if asking.key in rule.keys])

    def _local(self, uid: int, gid: int | None, groups: Groups) -> Role | None:
        own = [rule.role for rule in self.rules if uid in rule.uids]
        # Who could end or change the daemon anyway is kept from nothing, unless a section says so to guard against slips.
        if not own and uid in {0, self.own_uid, self.owner}:
            return "admin"
        roles = own + [rule.role for rule in self.rules if gid in rule.gids]
        if any(rule.gids for rule in self.rules) and _highest(roles) != ROLES[-1]:
            member = groups()
            roles += [rule.role for rule in self.rules if rule.gids & member]
        return _highest(roles)

    def knows(self, key: str) -> bool:
        """Whether somebody with this CURVE key may connect at all."""
        return any(key in rule.keys for rule in self.rules)

    def named(self, asking: Peer) -> str | None:
        """The name of the first section that has the key of a peer."""
        if asking.key is None:
            return None
        return next((rule.name for rule in self.rules if asking.key in rule.keys), None)


def suffices(role: Role | None, needed: Role) -> bool:
    """Whether somebody with this role may do what takes that one."""
    return role is not None and ROLES.index(role) >= ROLES.index(needed)


def refusal(command: str, asking: Peer, role: Role | None, needed: Role) -> str:
    """One sentence for who was refused."""
    has = "no role" if role is None else f"the role {role}"
    return (
        f"not permitted: {command} needs the role {needed}, and {asking} has {has} (see [access:NAME] in the "
        "configuration of circusd)"
    )


def _highest(roles: list[Role]) -> Role | None:
    return max(roles, key=ROLES.index, default=None)
