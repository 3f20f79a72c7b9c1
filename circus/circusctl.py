"""circusctl: the command line for a running circusd, one command at a time or as a prompt.

Owns the words of the command line, what is printed where, and the exit status: 0 fine, 1 no usable answer, 2 not
understood, 3 the daemon said no. Refuses to know what commands mean. Invariant: a single command imports its own
module and neither asyncio nor logging nor msgspec, and libzmq only where it is needed, because the start of the program
is what its user waits for.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from circus import __version__
from circus.client import CircusClient, own_keys, running_daemons, use_keys
from circus.commands import get_command, get_commands
from circus.console import (
    CONVERSATIONS,
    GLOBAL_OPTIONS,
    NO_ANSWER,
    OK,
    REFUSED,
    complain,
    described,
    hint,
    no_command,
    prettify,
    say,
    seen,
    usage,
)  # fmt: skip
from circus.direct import DirectClient, possible
from circus.exc import ArgumentError, CallError, CircusError, KeyFileError
from circus.guessing import control_endpoint
from circus.keys import given

if TYPE_CHECKING:
    from circus.commands.base import Command

_PATIENCE_SECONDS = 1.0
_FOR_EVER = 1e6
_WRONG_NUMBER = ("Invalid number of arguments", "List of key/values is invalid")

_TIMED_OUT = """
A time out usually happens in one of those cases:

 * No circusd runs there. Its endpoint is in its configuration, `endpoint` in [circus]; name it with --endpoint or
   in the environment variable CIRCUSCTL_ENDPOINT.
 * You wait for work that takes longer than --timeout seconds ({timeout:g}).
 * The endpoint asked was {endpoint}, and something else than circusd listens there.
"""

# libzmq tells a client with a wrong key nothing at all.
_WITHOUT_KEYS = """ * circusd asks for a CURVE key (curve_secret_key_file in its configuration). Name yours with --curve-key, and that of
   circusd with --curve-server.
"""
_WITH_KEYS = """ * circusd does not know your CURVE key (curve_key in an [access:NAME] of its configuration), asks for none, or has
   another key than the one in --curve-server or CIRCUS_CURVE_SERVER.
"""


class Parser(argparse.ArgumentParser):
    """The options before the command; a command's own come from its class."""

    def __init__(self) -> None:
        super().__init__(
            prog="circusctl",
            usage="circusctl [options] command [args]",
            description="Controls a Circus daemon",
            add_help=False,
        )
        for flag, takes_value, told in GLOBAL_OPTIONS:
            names = (flag, "-h") if flag == "--help" else (flag,)
            if flag == "--timeout":
                self.add_argument(*names, type=_patience, default=5.0, help=told)
            elif takes_value:
                self.add_argument(*names, help=told)
            else:
                self.add_argument(*names, action="store_true", help=told)
        self.add_argument("words", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)

    def describe(self) -> str:
        """The help text with all commands."""
        import shutil
        import textwrap

        commands = get_commands()
        width = max(map(len, commands))
        columns = max(shutil.get_terminal_size().columns, width + 20)
        lines = [
            textwrap.fill(commands[name].short, columns, initial_indent=f"    {name:{width}}  ",
                          subsequent_indent=" " * (width + 6))
            for name in sorted(commands)
        ]  # fmt: skip
        text = self.format_help()
        before, heading, after = text.partition("options:")
        return f"{before}Commands:\n" + "\n".join(lines) + f"\n\n{heading}{after}"


def _patience(text: str) -> float:
    """How long to wait for an answer; a negative number is for ever, as of old."""
    seconds = float(text)
    if seconds != seconds:  # noqa: PLR0124 - nan
        raise ValueError(text)
    return seconds if 0 <= seconds < _FOR_EVER else _FOR_EVER


_patience.__name__ = "number of seconds"  # in the words of argparse


def parse_arguments(args: Sequence[str]) -> tuple[Parser, argparse.Namespace]:
    """Split a command line into options and, as `words`, the command with what follows it."""
    parser = Parser()
    return parser, parser.parse_args(args)


class ControllerApp:
    """One run of circusctl: a connection, made when it is needed, and how to print what comes over it."""

    def __init__(self, parser: Parser, options: argparse.Namespace) -> None:
        self.parser = parser
        self.options = options
        self._client: CircusClient | DirectClient | None = None

    @property
    def client(self) -> CircusClient | DirectClient:
        if self._client is None:
            options = self.options
            endpoint = options.endpoint or control_endpoint(here=options.ssh is None)
            if options.words and options.ssh is None and possible(endpoint):
                self._client = DirectClient(endpoint, options.timeout)
            else:
                self._client = CircusClient(
                    endpoint=endpoint,
                    timeout=options.timeout,
                    ssh_server=options.ssh,
                    ssh_keyfile=options.ssh_keyfile,
                )
        return self._client

    def close(self) -> None:
        if self._client is not None:
            self._client.stop()
            self._client = None

    def ask(self, command: str, **props: Any) -> Mapping[str, Any]:
        """The reply to a question that helps the user to type; nothing where that would take long."""
        if self.options.ssh and self._client is None:
            return {}  # a tunnel for a press of a key
        try:
            client, before = self.client, self.client.timeout
            client.timeout = min(before, _PATIENCE_SECONDS)
            try:
                return client.send_message(command, **props)
            finally:
                client.timeout = before
        except CircusError:
            return {}

    def run(self, words: Sequence[str]) -> int:
        """Run one command and return the exit status."""
        before = self.options.json
        try:
            return self._run(words)
        finally:
            self.options.json = before  # one that stood after a command is for that alone

    def _run(self, words: Sequence[str]) -> int:
        command = get_command(words[0])
        if command is None:
            self.parser.error(no_command(words[0]))
        args, options = self._command_line(command, words[1:])
        try:
            if command.name in CONVERSATIONS:
                return CONVERSATIONS[command.name](self, command, args, options)
            request = self._traced(command.message(*args, **options))
            return self._print_reply(command, self.client.call(request))
        except ArgumentError as error:
            told = str(error)
            complain(f"{told}\nusage: {usage(command)}" if told in _WRONG_NUMBER else told)
        except CallError as error:
            complain(str(error) + (self._why() if str(error).startswith("Timed out") else ""))
        except (CircusError, ValueError) as error:
            _, number, text = str(error).partition("invalid literal for int() with base 10: ")
            complain(
                f"error: expected a whole number, not {text}\nusage: {usage(command)}" if number else f"error: {error}"
            )
        return NO_ANSWER

    def _traced(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """The request, as a part of the caller's trace if there is one."""
        asked, found = self.options.traceparent, os.environ.get("TRACEPARENT")
        if asked is None and not found:
            return request
        from circus.wire.messages import is_traceparent  # brings msgspec, which nobody else here needs

        if asked is not None and not is_traceparent(asked):
            raise ArgumentError(
                f"--traceparent: expected 00-TRACE-SPAN-FLAGS with 32, 16 and 2 hex digits, got {asked!r}"
            )
        context = found if asked is None else asked
        return {**request, "traceparent": context} if is_traceparent(context) else request

    def _command_line(self, command: Command, words: Sequence[str]) -> tuple[list[str], dict[str, Any]]:
        if not words:  # nothing to parse: worth some milliseconds
            return [], {long: default for _, long, default, _ in command.options}
        called = usage(command)
        sub = argparse.ArgumentParser(
            usage=called, description=described(command),
            epilog=f"`circusctl --help {command.name}` tells more.",
        )  # fmt: skip
        for short, long, default, told in command.options:
            flags = [f"-{short}", f"--{long}"] if len(short) == 1 else [f"--{long}"]
            if isinstance(default, bool):
                sub.add_argument(*flags, dest=long, action="store_true", default=default, help=told)
            else:
                sub.add_argument(*flags, dest=long, default=default, help=told)
        sub.add_argument("args", nargs="*", help=argparse.SUPPRESS)
        found, unknown = sub.parse_known_intermixed_args(list(words))
        if unknown == ["--json"] and "PROGRAM" not in called:  # of a program it could be an option
            self.options.json = True
        elif unknown:
            self.parser.error(f"unrecognized arguments: {' '.join(unknown)}{hint(unknown[0], called)}")
        options = vars(found)
        return options.pop("args"), options

    def _print_reply(self, command: Command, reply: Mapping[str, Any]) -> int:
        refused, failed = reply.get("status") == "error", reply.get("failed") or {}
        if self.options.json:
            say(prettify(reply, self.options.prettify))
            return OK if command.succeeded(reply) else REFUSED
        for warning in reply.get("warnings") or ():
            complain(f"warning: {warning}")
        if refused:
            complain(command.console_msg(reply))
        else:
            text = command.console_msg(reply)
            if not failed or (text := text.removeprefix("ok").lstrip()):
                say(text)
            for name, why in failed.items():
                complain(f"error: {name!r} did not come up: {why}")
        return OK if command.succeeded(reply) else REFUSED

    def _why(self) -> str:
        endpoint = self.client.endpoint
        text = _TIMED_OUT.format(timeout=self.options.timeout, endpoint=endpoint)
        if endpoint.startswith("tcp://"):
            text += _WITH_KEYS if own_keys() else _WITHOUT_KEYS
        others = [other for other in running_daemons() if other != endpoint]
        if others:
            text += " * You meant another one of those that run:\n" + "".join(f"     {other}\n" for other in others)
        if self.options.ssh is None:
            text += f"\nSeen from here: {seen(endpoint)}."
        return text.rstrip()


def run(argv: Sequence[str]) -> int:
    """Everything but leaving: returns the exit status."""
    if "AUTO_COMPLETE" in os.environ:
        return _complete(os.environ)
    parser, options = parse_arguments(argv)
    if options.version:
        say(f"circusctl {__version__}")
        return OK
    if options.words[:1] == ["help"]:  # as at the prompt
        options.help, options.words = True, options.words[1:]
    if options.help:
        known = get_command(options.words[0]) if options.words else None
        if options.words and known is None:
            parser.error(no_command(options.words[0]))
        say(known.desc if known is not None else parser.describe().rstrip())
        return OK
    app = ControllerApp(parser, options)
    try:
        if options.curve_key or options.curve_server:
            use_keys(given(options.curve_key, options.curve_server, os.environ))
        if options.words:
            return app.run(options.words)
        return _shell(app)
    except KeyFileError as error:
        complain(f"error: {error}")
        return NO_ANSWER
    except KeyboardInterrupt:
        return NO_ANSWER
    finally:
        app.close()


def _complete(environ: Mapping[str, str]) -> int:
    """Answer a shell that asks what could come next on a line."""
    from circus.completion import answer, split

    line = split(environ.get("CIRCUSCTL_LINE", "") or environ.get("COMP_WORDS", ""))[1:-1]
    parser, options = parse_arguments(line)
    app = ControllerApp(parser, options)
    try:
        text = answer(environ, app.ask)
    finally:
        app.close()
    if text:
        say(text)
    return OK


def _shell(app: ControllerApp) -> int:
    from circus.prompt import CircusCtl

    say(f"circusctl {__version__}")
    app.run(["status"])
    CircusCtl(app).cmdloop()
    return OK


def __getattr__(name: str) -> Any:
    """The prompt's class under the name that circus 0.19 gave it."""
    if name == "CircusCtl":
        from circus.prompt import CircusCtl

        return CircusCtl
    raise AttributeError(f"module 'circus.circusctl' has no attribute {name!r}")


def main() -> NoReturn:
    """The console script. Leaves without the tidying of the interpreter, which takes longer than most commands."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr] # a TextIOWrapper at the start
    try:
        status = run(sys.argv[1:])
        sys.stdout.flush()
    except SystemExit as leaving:  # argparse
        status = leaving.code if isinstance(leaving.code, int) else NO_ANSWER
    except BrokenPipeError:  # the reader, head perhaps, has seen enough
        status = NO_ANSWER
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
