"""The errors of Circus: one tree, each class with the errno it has on the wire.

Owns every exception that crosses a module boundary, and nothing else. The names of circus 0.19
(`AlreadyExist`, `MessageError`, `CallError`, `ArgumentError`, `ConflictError`) are leaves of the tree.
Invariant: `str(error)` is one sentence that its reader can act on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

NOT_SPECIFIED = 0
INVALID_JSON = 1
UNKNOWN_COMMAND = 2
MESSAGE_ERROR = 3
OS_ERROR = 4
COMMAND_ERROR = 5
BAD_MSG_DATA_ERROR = 6
NOT_PERMITTED = 7


class CircusError(Exception):
    """Base of all errors that Circus raises on purpose."""

    errno: int = COMMAND_ERROR
    warnings: Sequence[str] = ()
    """What its reader should know besides, of a configuration that was read."""


class AlreadyExist(CircusError):
    """A watcher of that name (compared without case) is already there."""


class MessageError(CircusError):
    """A request is not what its command expects."""

    errno = MESSAGE_ERROR


class CallError(CircusError):
    """A client got no usable answer; for a time-out the text starts with `Timed out`."""


class ArgumentError(CircusError):
    """A command got properties that contradict each other."""


class ConflictError(CircusError):
    """Kept importable for clients of 0.19; nothing raises it, because commands queue."""


class NotPermitted(CircusError):
    """Who asked does not have the role that the command needs."""

    errno = NOT_PERMITTED


class Overtaken(CircusError):
    """A queued command was cancelled because a stop or quit overtook it."""


class HookError(CircusError):
    """A hook raised, timed out or could not be resolved."""


class EndpointError(CircusError):
    """An endpoint cannot be bound: malformed, in use, or not permitted."""


class KeyFileError(CircusError):
    """A CURVE key cannot be had: no such file, no key in it, or others can read it."""


class EndpointInUse(EndpointError):
    """Somebody alive listens on the endpoint already."""


class SocketError(CircusError, OSError):
    """A socket that Circus should own cannot be made: what, at which address, and why.

    An OSError with its errno, as programs expect that make sockets themselves; on the wire it is OS_ERROR.
    """

    errno = OS_ERROR

    def __init__(self, message: str, os_errno: int | None = None) -> None:
        super().__init__(message)
        self.os_errno = os_errno
        if os_errno is not None:
            self.errno = os_errno


class SpawnError(CircusError):
    """A process could not be started; `stage` says how far it came.

    `stage` is one of rlimit, user, cwd, exec, fork, hook, socket, readiness.
    """

    def __init__(self, stage: str, message: str, errno: int | None = None) -> None:
        super().__init__(message)
        self.stage = stage
        self.os_errno = errno


class Mistake(NamedTuple):
    """One thing wrong in a configuration, with where it stands and what was expected.

    (Not a dataclass, because circusctl imports this module and `dataclasses` costs it a sixth of its time.)
    """

    file: str | None
    line: int | None
    section: str | None
    option: str | None
    value: str | None
    expected: str

    def __str__(self) -> str:
        where = self.file or "configuration"
        if self.line is not None:
            where = f"{where}:{self.line}"
        what = f"[{self.section}]" if self.section else ""
        if self.option:
            what = f"{what} {self.option}".strip()
        if self.value is not None:
            what = f"{what} = {self.value!r}" if self.option else f"{what} {self.value!r}".strip()
        return f"{where}: {what}: {self.expected}" if what else f"{where}: {self.expected}"


class ConfigError(CircusError, ValueError):
    """A configuration with mistakes; all of them, not the first. In circus 0.19 most of them were ValueErrors."""

    errno = BAD_MSG_DATA_ERROR

    def __init__(self, mistakes: Sequence[Mistake], warnings: Sequence[Mistake] = ()) -> None:
        self.mistakes = tuple(mistakes)
        self.warnings = tuple(map(str, warnings))
        super().__init__("\n".join(str(mistake) for mistake in self.mistakes))


class IllegalTransition(CircusError):
    """A state machine met an event that its table forbids; carries what led there."""

    def __init__(self, subject: str, state: object, event: object, story: Sequence[object] = ()) -> None:
        self.subject, self.state, self.event, self.story = subject, state, event, tuple(story)
        told = ", ".join(map(str, self.story)) or "nothing before"
        super().__init__(f"{subject}: {event} is not allowed in {state} (story: {told})")
