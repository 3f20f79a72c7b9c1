"""What the system says of who is asking: users and groups by name, and the groups that a process is in.

Owns these questions; what follows from the answers is decided in `core.access`. Invariant: groups are told only of a
process that still runs as the user who connected; of any other nothing is known.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import Final

import zmq

from circus.core.access import Access, Peer, Rule, local_peer
from circus.exc import EndpointError
from circus.spec.access import AccessSpec

_UID: Final = re.compile(r"uid:(\d+)(?:,|$)")


def uid_of(user: int | str) -> int:
    """The id of a user; KeyError when there is none of that name."""
    if isinstance(user, int) or user.isdecimal():
        return int(user)
    import pwd  # only where there are names

    return pwd.getpwnam(user).pw_uid


def user_of(actor: str) -> str | None:
    """The name of the user whom records call `uid:N,…`; None where it is somebody else, or has no name here."""
    found = _UID.match(actor)
    if found is None:
        return None
    import pwd

    try:
        return pwd.getpwuid(int(found[1])).pw_name
    except (KeyError, OverflowError, OSError):
        return None


def gid_of(group: int | str) -> int:
    """The id of a group; KeyError when there is none of that name."""
    if isinstance(group, int) or group.isdecimal():
        return int(group)
    import grp  # only where there are names

    return grp.getgrnam(group).gr_gid


def access(sections: Iterable[AccessSpec], endpoint_owner: int | str | None = None, *, curve: bool = False) -> Access:
    """The rules of a configuration, for this process.

    Raises:
        EndpointError: a user or group is not there.
    """
    try:
        rules = [
            Rule(
                name=section.name,
                role=section.role,
                uids=frozenset(map(uid_of, section.uid)),
                gids=frozenset(map(gid_of, section.gid)),
                keys=frozenset(section.curve_key),
            )
            for section in sections
        ]
        owner = None if endpoint_owner is None else uid_of(endpoint_owner)
    except KeyError as error:
        raise EndpointError(f"who has access cannot be told: {error.args[0]}") from None
    return Access(own_uid=os.geteuid(), rules=tuple(rules), owner=owner, curve=curve)


def peer_of(frame: zmq.Frame, *, local: bool, curve: bool) -> Peer:
    """Who sent a frame: `local` over a unix socket, with `curve` after our ZAP handler has seen the key.

    A client can claim anything in the properties of its handshake, and libzmq shows that where it knows nothing itself.
    So only what it does know on such a socket is asked for.
    """
    try:
        address = str(frame.get("Peer-Address"))
        if local:
            return local_peer(address)
        return Peer(address=address, key=str(frame.get("User-Id")) if curve else None)
    except zmq.ZMQError:
        return Peer()


def groups_of(pid: int | None, uid: int | None, root: str = "/proc") -> frozenset[int]:
    """The groups of a process that runs as this user; none where that cannot be seen.

    The process may have ended and its pid may be another's: then the user differs, or it is another process of the
    same user, who has these groups anyway.
    """
    if not pid:
        return frozenset()
    try:
        with open(f"{root}/{pid}/status", "rb") as file:
            text = file.read()
    except OSError:
        return frozenset()
    fields = dict(line.split(b":", 1) for line in text.splitlines() if b":" in line)
    effective = fields.get(b"Uid", b"").split()[1:2]
    if effective != [b"%d" % (-1 if uid is None else uid)]:
        return frozenset()
    return frozenset(map(int, fields.get(b"Groups", b"").split()))
