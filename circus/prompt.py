"""The prompt of circusctl, in which every command is a word.

Owns reading lines, help and completion there; what a line does is circusctl's. Invariant: nothing that is typed ends
the prompt but the end of input.
"""

from __future__ import annotations

import cmd
import contextlib
import shlex
from collections.abc import Sequence
from typing import Protocol

from circus.commands import command_names, get_command
from circus.completion import candidates, escaped, split
from circus.console import Caller, complain


class Runner(Caller, Protocol):
    """What the prompt needs of circusctl."""

    def run(self, words: Sequence[str]) -> int:
        """Run one command and return the exit status."""
        ...


class CircusCtl(cmd.Cmd):
    """The prompt over one run of circusctl."""

    prompt = "(circusctl) "

    def __init__(self, app: Runner) -> None:
        super().__init__()
        self.app = app
        with contextlib.suppress(ImportError):
            import readline

            # Not at dashes and colons, which are in options and in names.
            readline.set_completer_delims(" \t\n")

    def onecmd(self, line: str) -> bool:
        """One line: a command of circusctl, `help`, or nothing that is known."""
        word = self.parseline(line)[0]
        if word in command_names():
            self.lastcmd = line
            self._run(line)
            return False
        return bool(super().onecmd(line))

    def do_help(self, arg: str) -> None:
        """Show the commands, or what one does."""
        if not arg:
            self.print_topics("Commands", command_names(), 15, 80)
            return
        found = get_command(arg)
        self.stdout.write(f"{found.desc}\n" if found is not None else f"*** No help on {arg}\n")

    def do_EOF(self, _: str) -> bool:  # noqa: N802 - the name that cmd gives to the end of input
        """Leave."""
        self.stdout.write("\n")
        return True

    def completenames(self, text: str, *_: object) -> list[str]:
        return sorted(name for name in [*command_names(), "help"] if name.startswith(text))

    def complete_help(self, text: str, *_: object) -> list[str]:
        return [name for name in self.completenames(text) if name != "help"]

    def completedefault(self, text: str, line: str, begidx: int, endidx: int) -> list[str]:
        """The words after a command: its own idea, if it has one as in circus 0.19, else what its usage says."""
        words = split(line[:endidx])
        command = get_command(words[0])
        own = getattr(command, "autocomplete", None)
        if own is not None:
            return list(own(self.app.client, text, line, begidx, endidx))
        # readline replaces `text`, which begins at a blank even where that is part of a name.
        current = words[-1]
        done = len(current) - len(text.replace("\\", "")) if current.endswith(text) else 0
        return [escaped(name[done:]) for name, _ in candidates(words, self.app.ask, told=False)]

    def _run(self, line: str) -> None:
        try:
            self.app.run(shlex.split(line))
        except ValueError as error:  # an open quote
            complain(f"error: {error}")
        except (SystemExit, KeyboardInterrupt):
            # argparse has said what is wrong; or enough was heard of what goes on for ever.
            self.stdout.write("\n")
