"""Requests by other users: a forked child becomes somebody else and asks.

Owns the child. Invariant: it is gone, and reaped, when `ask_as` returns. The child is forked rather than started, because
another user may not be allowed to read the interpreter of the tests.
"""

from __future__ import annotations

import json
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import zmq

from tests.helpers.channels import Caller, NoAnswer
from tests.helpers.daemon import Daemon
from tests.helpers.waiting import DEADLINE

SOMEBODY, SOMEBODYS_GROUP = 61_234, 61_235
"""A user that no machine has; ids need no name."""

as_root = pytest.mark.skipif(
    os.geteuid() != 0 and "CI" not in os.environ, reason="becoming another user takes root: run the tests as root"
)


def open_to_others(daemon: Daemon) -> Daemon:
    """Let other users come as far as the sockets of a daemon; the helper makes their directory for itself alone."""
    pathlib.Path(daemon.endpoint.removeprefix("ipc://")).parent.chmod(0o711)
    return daemon


def ask_as(
    endpoint: str,
    command: str,
    /,
    *,
    uid: int = SOMEBODY,
    gid: int = SOMEBODYS_GROUP,
    groups: Sequence[int] = (),
    timeout: float = DEADLINE,
    times: int = 1,
    **properties: Any,
) -> dict[str, Any] | None:
    """The (last) reply that this user gets; None when there is none within `timeout` seconds."""
    reply: dict[str, Any] | None = as_user(
        lambda: _asked(endpoint, command, timeout, times, properties), uid=uid, gid=gid, groups=groups
    )
    return reply


def as_user(
    function: Callable[[], Any], *, uid: int = SOMEBODY, gid: int = SOMEBODYS_GROUP, groups: Sequence[int] = ()
) -> Any:
    """What the function gives (anything that JSON can carry) in a process of this user."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.setgroups(groups)
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
            os.write(writing, json.dumps(function()).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        text = pipe.read()
    _, status = os.waitpid(pid, 0)
    assert status == 0, f"the child ended with {status}"
    return json.loads(text)


def _asked(
    endpoint: str, command: str, timeout: float, times: int, properties: dict[str, Any]
) -> dict[str, Any] | None:
    caller = Caller(endpoint, zmq.Context())
    try:
        return [caller.call(command, timeout=timeout, **properties) for _ in range(times)][-1]
    except NoAnswer:
        return None
