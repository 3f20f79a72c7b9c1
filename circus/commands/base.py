"""What a command is, on both sides: the words of its command line and what the daemon does for it.

Owns the registry and the defaults; refuses to know the arbiter class (commands speak the ports) and the transport.
Invariant: `execute` makes its checks before it returns, so a wrong request is answered as wrong even when nobody
waits for the work; what takes time is in the awaitable that it returns.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from circus.commands.described import Description
from circus.exc import NOT_SPECIFIED, MessageError

if TYPE_CHECKING:
    from circus.ports import ArbiterLike, WatcherLike
    from circus.spec.access import Role

Option = tuple[str, str, Any, str]
Result = dict[str, Any] | list[Any] | None
KNOWN_COMMANDS: list[type[Command]] = []


class Command:
    """Base of all commands. Defining a subclass makes it known; its docstring is its help, the first line its summary.

    Attributes:
        name: the word for it.
        properties: the names that a request must carry.
        options: what the command line takes, as (short, long, default, help); a bool is a switch.
        msg_type: `dealer` for request and reply, `sub` for following a channel.
        changes: whether it can change anything; what only reads says False and is not recorded.
        role: which role it takes to use it; `read` for what changes nothing, else `operate` unless it says otherwise.
        overtaken_by_quit: whether it is too late for it once the end of the daemon has begun.
        always_waits: whether a reply makes no sense before the work is done, `waiting` or not.
    """

    name: ClassVar[str] = ""
    msg_type: ClassVar[str] = "dealer"
    properties: ClassVar[Sequence[str]] = ()
    options: ClassVar[Sequence[Option]] = ()
    waiting_options: ClassVar[Sequence[Option]] = (("waiting", "waiting", False, "reply when the work is done"),)
    changes: ClassVar[bool] = True
    role: ClassVar[Role] = "operate"
    overtaken_by_quit: ClassVar[bool] = False
    always_waits: ClassVar[bool] = False
    short: ClassVar[str] = ""
    desc: ClassVar[Description] = Description()
    order: ClassVar[int] = 0

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        if not cls.changes and "role" not in cls.__dict__:
            cls.role = "read"
        if not cls.name:
            return
        cls.short = (cls.__doc__ or "").strip().partition("\n")[0].rstrip().rstrip(".")
        cls.order = len(KNOWN_COMMANDS)
        KNOWN_COMMANDS.append(cls)

    def make_message(self, **props: Any) -> dict[str, Any]:
        """A request for this command (or for `command`, if that is among the properties)."""
        from circus.client import make_message  # not for the daemon

        return make_message(props.pop("command", self.name), **props)

    def message(self, *args: str, **opts: Any) -> Any:
        """The request for the words of a command line; ArgumentError when their number is wrong."""
        raise NotImplementedError(f"the command {self.name!r} has no command line")

    def console_msg(self, msg: Mapping[str, Any]) -> str:
        """What to print for a reply."""
        return "ok" if msg.get("status") == "ok" else self.console_error(msg)

    def succeeded(self, msg: Mapping[str, Any]) -> bool:
        """Whether a reply tells that everything is as it was asked for; circusctl ends with 3 when it does not."""
        return msg.get("status") != "error" and not msg.get("failed")

    def console_error(self, msg: Mapping[str, Any]) -> str:
        """What to print for a reply that is an error; of several mistakes each has a line."""
        return "\n".join(f"error: {line}" for line in str(msg.get("reason")).split("\n"))

    def role_for(self, props: Mapping[str, Any]) -> Role:  # noqa: ARG002 - most need the same for everything
        """Which role it takes to ask for this."""
        return self.role

    def execute(self, arbiter: ArbiterLike, props: dict[str, Any]) -> Result | Awaitable[Result] | Any:
        """Do it: return a dict, a list, None, a struct, or an awaitable of one of them."""
        raise NotImplementedError(f"the command {self.name!r} is not for the daemon")

    def validate(self, props: dict[str, Any]) -> None:
        """Raise MessageError when the properties cannot be right."""
        for name in self.properties:
            if name not in props:
                raise MessageError(f"message invalid {name!r} is missing")

    def _get_watcher(self, arbiter: ArbiterLike, watcher_name: Any) -> WatcherLike:
        return find_watcher(arbiter, watcher_name)


def find_watcher(arbiter: ArbiterLike, name: Any) -> WatcherLike:
    """The watcher of that name in any case."""
    if not isinstance(name, str):
        raise MessageError("message invalid 'name' isn't a string")
    try:
        return arbiter.get_watcher(name.lower())
    except KeyError:
        raise MessageError(f"program {name} not found") from None


def ok(props: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A reply of success, for third parties that build their own."""
    return {"status": "ok", "time": time.time()} | dict(props or {})


def error(reason: str = "unknown", tb: str | None = None, errno: int = NOT_SPECIFIED) -> dict[str, Any]:
    """A reply of failure, for third parties that build their own."""
    return {"status": "error", "reason": reason, "tb": tb, "time": time.time(), "errno": errno}
