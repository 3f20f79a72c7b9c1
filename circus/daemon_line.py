"""The words that follow `circusd`: what they mean, and what `--help` says of them.

Owns the options of the command line; refuses to act on them. Invariant: words mean the same whoever reads them. argparse
would stay in the daemon with 0.4 MB for the one line that it has read, so it is asked only about words that are not
plainly options and values: abbreviations, requests for help, mistakes.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from argparse import ArgumentParser

LOG_LEVELS: Final = ("critical", "error", "warning", "info", "debug")

_LEVELS: Final = (*LOG_LEVELS, *map(str.upper, LOG_LEVELS))

_FLAGS: Final = {
    "--check": ("check", "check the configuration file, start nothing"),
    "--daemon": ("daemonize", "run in the background"),
    "--version": ("version", "print the version and exit"),
}

_TEXTS: Final = {
    "--log-output": ("logoutput", "where to log: - (standard error), a file, a syslog URL"),
    "--logger-config": ("loggerconfig", "logging configuration: .ini, .json or .yaml"),
    "--pidfile": ("pidfile", "file for the pid"),
}


class Words:
    """What was said."""

    config: str | None = None
    check: bool = False
    daemonize: bool = False
    version: bool = False
    loglevel: str | None = None
    logoutput: str | None = None
    loggerconfig: str | None = None
    pidfile: str | None = None
    trial: int | None = None
    """For an upgrade: read what would be handed over from that descriptor, and start nothing."""


def words_of(argv: Sequence[str]) -> Words:
    """What the words say; help and mistakes end the program, as with argparse."""
    return _plain(argv) or command_line().parse_args(argv, Words())


def _plain(argv: Sequence[str]) -> Words | None:
    """What the words say if each is a file, or an option as it is written out; else None."""
    words, rest = Words(), iter(argv)
    for word in rest:
        option, given, value = word.partition("=")
        if word in _FLAGS:
            setattr(words, _FLAGS[word][0], True)
        elif not word.startswith("-") and words.config is None:
            words.config = word
        elif option in _TEXTS or option in {"--log-level", "--trial"}:
            value = value if given else next(rest, "")
            if not value or (value.startswith("-") and value != "-"):
                return None
            if option in _TEXTS:
                setattr(words, _TEXTS[option][0], value)
            elif option == "--log-level" and value in _LEVELS:
                words.loglevel = value
            elif option == "--trial" and value.isdecimal():
                words.trial = int(value)
            else:
                return None
        else:
            return None
    return words


def command_line() -> ArgumentParser:
    """The command line, as `--help` tells it."""
    import argparse

    class Formatter(argparse.HelpFormatter):
        """As wide as the terminal. argparse would ask shutil, which takes much longer to import."""

        def __init__(self, prog: str) -> None:
            try:
                columns = os.get_terminal_size().columns
            except OSError:
                columns = 80
            super().__init__(prog, width=columns - 2)

    parser = argparse.ArgumentParser(prog="circusd", description="Run some watchers.", formatter_class=Formatter)
    parser.add_argument("config", nargs="?", help="configuration file")
    for option, (name, text) in _FLAGS.items():
        parser.add_argument(option, dest=name, action="store_true", help=text)
    parser.add_argument("--log-level", dest="loglevel", choices=_LEVELS, help="log level")
    for option, (name, text) in _TEXTS.items():
        parser.add_argument(option, dest=name, help=text)
    parser.add_argument("--trial", dest="trial", type=int, help=argparse.SUPPRESS)
    return parser
