"""The commands: one module each, whose docstring is protocol reference and help text in one.

Owns the table of names; imports a command's module when somebody asks for it, so that circusctl loads the one it runs.
Invariant: every name in `MODULES` is the `name` of the one command class in that module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from circus.commands.base import KNOWN_COMMANDS as KNOWN_COMMANDS
    from circus.commands.base import Command as Command

MODULES = {
    "add": "addwatcher",
    "alerts": "alerts",
    "completion": "completion",
    "decr": "decrproc",
    "dstats": "dstats",
    "events": "events",
    "get": "get",
    "globaloptions": "globaloptions",
    "import": "import_supervisor",
    "incr": "incrproc",
    "ipython": "ipythonshell",
    "keygen": "keygen",
    "kill": "kill",
    "list": "list",
    "listen": "listen",
    "listsockets": "listsockets",
    "numprocesses": "numprocesses",
    "numwatchers": "numwatchers",
    "options": "options",
    "plan": "plan",
    "quit": "quit",
    "record": "record",
    "reload": "reload",
    "reloadconfig": "reloadconfig",
    "restart": "restart",
    "rm": "rmwatcher",
    "set": "set",
    "signal": "sendsignal",
    "silence": "silence",
    "start": "start",
    "stats": "stats",
    "status": "status",
    "stop": "stop",
    "tail": "tail",
    "telemetry": "telemetry",
    "test-alert": "testalert",
    "unsilence": "unsilence",
    "upgrade": "upgrade",
    "why": "why",
}

__all__ = ["KNOWN_COMMANDS", "MODULES", "Command", "command_names", "get_command", "get_commands"]


def command_names() -> list[str]:
    """The names of all commands, also of those of third parties that are imported by now; imports no command."""
    from circus.commands.base import KNOWN_COMMANDS

    return sorted({*MODULES, *(known.name for known in KNOWN_COMMANDS)})


def get_command(name: str) -> Command | None:
    """The command of that name, importing no other; None when there is none."""
    from importlib import import_module

    from circus.commands.base import KNOWN_COMMANDS

    if name in MODULES:
        import_module(f"circus.commands.{MODULES[name]}")
    return next((known() for known in reversed(KNOWN_COMMANDS) if known.name == name), None)


def get_commands() -> dict[str, Command]:
    """All commands by name, also those of third parties that are imported by now; the last of a name wins."""
    from importlib import import_module

    from circus.commands.base import KNOWN_COMMANDS

    for module in MODULES.values():
        import_module(f"circus.commands.{module}")
    return {known.name: known() for known in KNOWN_COMMANDS}


def __getattr__(name: str) -> Any:
    """Names that circus 0.19 had here."""
    if name in {"Command", "KNOWN_COMMANDS", "ok", "error"}:
        from circus.commands import base

        return getattr(base, name)
    raise AttributeError(f"module 'circus.commands' has no attribute {name!r}")
