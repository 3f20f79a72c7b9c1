"""What may be asked of a daemon whose control endpoint belongs to an ordinary user (`endpoint_owner`).

Whoever may connect must not become somebody else by it: processes run as that user, and what circusd itself would do
for them with its own rights (import hooks, write files) is left to the configuration file. Invariant: an option that is
not listed as harmless needs a watcher that runs as the owner.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from circus.exc import MessageError
from circus.spec.fields import family_of

if TYPE_CHECKING:
    from circus.ports import ArbiterLike

_HARMLESS = frozenset({
    "autostart", "backoff", "backoff_jitter", "backoff_max", "graceful_timeout", "hook_timeout", "kill_scope", "max_age",
    "max_age_variance", "max_retry", "metrics_memory", "numprocesses", "on_demand", "orphans", "parent_death_signal",
    "priority", "propagate_trace", "respawn", "retry_in", "send_hup", "singleton", "stable_after", "stop_children", "stop_signal", "warmup_delay",
})  # fmt: skip
_DONE_BY_CIRCUSD = ("hooks", "stdout_stream", "stderr_stream")


def check_owner(arbiter: ArbiterLike, keys: Iterable[str], uid: Any, gid: Any) -> None:
    """Raise MessageError if the owner of the endpoint may not have these options set on a watcher of that user."""
    owner = arbiter.endpoint_owner
    if owner is None:
        return
    for key in keys:
        family = family_of(key)
        if key in _HARMLESS or key.startswith("labels."):
            continue
        if (family.field if family is not None else key) in _DONE_BY_CIRCUSD:
            raise MessageError(f"{key!r} is for the configuration file only where there is an endpoint_owner")
        if uid is None or _uid(uid) != _uid(owner):
            raise MessageError("uid does not match endpoint_owner")
        if gid is not None and not _belongs(owner, gid):
            raise MessageError("gid does not match endpoint_owner")


def _uid(user: Any) -> Any:
    import pwd

    try:
        return int(user) if str(user).isdecimal() else pwd.getpwnam(str(user)).pw_uid
    except KeyError:
        return user


def _belongs(owner: Any, group: Any) -> bool:
    import grp
    import pwd

    try:
        user = pwd.getpwuid(_uid(owner))
        gid = int(group) if str(group).isdecimal() else grp.getgrnam(str(group)).gr_gid
    except (KeyError, TypeError):
        return False
    return gid in os.getgrouplist(user.pw_name, user.pw_gid)
