"""The command `plan`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from circus.commands.base import Command, Result
from circus.commands.values import change_text, section_text, set_text, words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from circus.ports import ArbiterLike


class ShowPlan(Command):
    """Show what `reloadconfig` would change now, and change nothing.

    The file is compared with what runs. `effect` says what would happen to processes: `nothing`, `resize`, `reopen`,
    `signal` or `reload`; `restart` are options of [circus] that need a restart of circusd; `refused` says why
    `reloadconfig` would do nothing at all, and then a section that is refused is among the `changes` as removed.
    `by_hand` are options that `set` or `incr` changed and that `reloadconfig` would leave as they are, from what the file
    says (`old`) to what is in force (`new`). `warnings` are of what works, but perhaps not as it was meant; on the command line they go to standard error. A file
    with mistakes is an error, with all of them.

    Request:

        {"command": "plan"}

    Reply:

        {"status": "ok", "time": 1795465307.73, "changes": [{"subject": "watcher", "name": "web", "action": "changed",
         "effect": "reload", "options": [{"name": "cmd", "old": "a", "new": "b", "effect": "reload"}]}],
         "restart": [], "warnings": [], "refused": [], "by_hand": []}

    Command line; it ends with 3, as `reloadconfig` would, when that would refuse the file or a change:

        circusctl plan
    """

    name = "plan"
    changes = False

    def message(self, *args: str, **_: Any) -> dict[str, Any]:
        words(args, 0)
        return self.make_message()

    def execute(self, arbiter: ArbiterLike, props: dict[str, Any]) -> Result:  # noqa: ARG002 - it has none
        return arbiter.plan()

    def console_msg(self, msg: Mapping[str, Any]) -> str:
        if msg.get("status") != "ok":
            return self.console_error(msg)
        if msg["refused"]:  # what it would do otherwise would be taken for what it does
            told = (f"refused: {reason}" for reason in msg["refused"])
            return "\n".join(["nothing would be changed, because reloadconfig would refuse it all", *told])
        lines: list[str] = []
        for change in msg["changes"]:
            lines.append(section_text(change))
            if change["action"] == "changed":
                lines += [f"    {change_text(option)}" for option in change["options"]]
        if msg["restart"]:
            lines.append(f"in force after a restart of circusd: {', '.join(msg['restart'])}")
        lines = lines or ["nothing would change"]
        for change in msg.get("by_hand", ()):
            lines += [f"note: {change['name']}: {set_text(option)}" for option in change["options"]]
        return "\n".join(lines)

    def succeeded(self, msg: Mapping[str, Any]) -> bool:
        return super().succeeded(msg) and not msg["refused"]
