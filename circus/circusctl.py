"""circusctl: the command line for a running circusd, one command at a time or as a prompt.

Owns the words of the command line, what is printed where, and the exit status: 0 fine, 1 no usable answer, 2 not
understood, 3 the daemon said no. Refuses to know what commands mean. Invariant: a single command imports its own
module and neither asyncio nor logging nor msgspec, because the start of the program is what its user waits for.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from circus import __version__
from circus.client import CircusClient, find_endpoint, running_daemons
from circus.commands import MODULES, get_command, get_commands
from circus.exc import ArgumentError, CallError, CircusError, MessageError
from circus.wire.endpoints import DEFAULT_CONTROL, DEFAULT_EVENTS, ENV_ENDPOINT, EVENTS_SOCKET, reachable, sibling

if TYPE_CHECKING:
    from circus.commands.base import Command
    from circus.consumer import CircusConsumer

OK, NO_ANSWER, NOT_UNDERSTOOD, REFUSED = 0, 1, 2, 3
_RECORDS_BEFORE_FOLLOWING = 10

_TIMED_OUT = """
A time out usually happens in one of those cases:

 * No circusd runs there. Its endpoint is in its configuration, `endpoint` in [circus]; name it with --endpoint or
   in the environment variable CIRCUSCTL_ENDPOINT.
 * You wait for work that takes longer than --timeout seconds ({timeout:g}).
 * The endpoint asked was {endpoint}, and something else than circusd listens there.
"""


class Parser(argparse.ArgumentParser):
    """The options before the command; a command's own come from its class."""

    def __init__(self) -> None:
        super().__init__(
            prog="circusctl",
            usage="circusctl [options] command [args]",
            description="Controls a Circus daemon",
            add_help=False,
            allow_abbrev=False,
        )
        add = self.add_argument
        add("--endpoint", help=f"where circusd listens (CIRCUSCTL_ENDPOINT, the only daemon, {DEFAULT_CONTROL})")
        add("--timeout", type=float, default=5.0, help="seconds to wait for an answer (5)")
        add("--json", action="store_true", help="print answers as JSON")
        add("--prettify", action="store_true", help="with --json: indented and in colour")
        add("--ssh", help="go through an ssh server, user@host:port")
        add("--ssh_keyfile", help="the key for the ssh server")
        add("--help", "-h", action="store_true", help="show this, or with a command its description")
        add("--version", action="store_true", help="show the version")
        add("words", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)

    def describe(self) -> str:
        """The help text with all commands."""
        commands = get_commands()
        width = max(map(len, commands))
        lines = [f"    {name:{width}}  {commands[name].short}" for name in sorted(commands)]
        text = self.format_help()
        before, heading, after = text.partition("options:")
        return f"{before}Commands:\n" + "\n".join(lines) + f"\n\n{heading}{after}"


def parse_arguments(args: Sequence[str]) -> tuple[Parser, argparse.Namespace]:
    """Split a command line into options and, as `words`, the command with what follows it."""
    parser = Parser()
    return parser, parser.parse_args(args)


class ControllerApp:
    """One run of circusctl: a connection, made when it is needed, and how to print what comes over it."""

    def __init__(self, parser: Parser, options: argparse.Namespace) -> None:
        self.parser = parser
        self.options = options
        self._client: CircusClient | None = None

    @property
    def client(self) -> CircusClient:
        if self._client is None:
            options = self.options
            self._client = CircusClient(
                endpoint=options.endpoint or find_endpoint(),
                timeout=options.timeout,
                ssh_server=options.ssh,
                ssh_keyfile=options.ssh_keyfile,
            )
        return self._client

    def close(self) -> None:
        if self._client is not None:
            self._client.stop()
            self._client = None

    def run(self, words: Sequence[str]) -> int:
        """Run one command and return the exit status."""
        command = get_command(words[0])
        if command is None:
            self.parser.error(f"unrecognized arguments: {words[0]}")
        args, options = self._command_line(command, words[1:])
        try:
            if command.msg_type == "sub":
                return self._listen(command.message(*args))
            if command.name == "events":
                return self._events(command, args, options)
            request = command.message(*args, **options)
            return self._print_reply(command, self.client.call(request))
        except ArgumentError as error:
            complain(str(error))
        except CallError as error:
            complain(str(error) + (self._why() if str(error).startswith("Timed out") else ""))
        except (CircusError, ValueError) as error:
            complain(f"error: {error}")
        return NO_ANSWER

    def _command_line(self, command: Command, words: Sequence[str]) -> tuple[list[str], dict[str, Any]]:
        if not words:  # nothing to parse: worth some milliseconds
            return [], {long: default for _, long, default, _ in command.options}
        sub = argparse.ArgumentParser(prog=f"circusctl {command.name}", description=command.short, allow_abbrev=False)
        for _, long, default, told in command.options:
            if isinstance(default, bool):
                sub.add_argument(f"--{long}", dest=long, action="store_true", default=default, help=told)
            else:
                sub.add_argument(f"--{long}", dest=long, default=default, help=told)
        sub.add_argument("args", nargs="*", help=argparse.SUPPRESS)
        found, unknown = sub.parse_known_intermixed_args(list(words))
        if unknown:
            self.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
        options = vars(found)
        return options.pop("args"), options

    def _print_reply(self, command: Command, reply: Mapping[str, Any]) -> int:
        failed = reply.get("status") == "error"
        if self.options.json:
            say(prettify(reply, self.options.prettify))
        elif failed:
            complain(command.console_msg(reply))
        else:
            say(command.console_msg(reply))
        return REFUSED if failed else OK

    def _why(self) -> str:
        endpoint = self.client.endpoint
        text = _TIMED_OUT.format(timeout=self.options.timeout, endpoint=endpoint)
        others = [other for other in running_daemons() if other != endpoint]
        if others:
            text += " * You meant another one of those that run:\n" + "".join(f"     {other}\n" for other in others)
        return text.rstrip()

    # What goes on until it is interrupted

    def _listen(self, topics: Sequence[str]) -> int:
        # CIRCUSCTL_ENDPOINT names a control channel, so it is no help here, as in circus 0.19.
        found = find_endpoint({name: value for name, value in os.environ.items() if name != ENV_ENDPOINT})
        endpoint = self.options.endpoint or sibling(found, EVENTS_SOCKET) or DEFAULT_EVENTS
        with self._consumer(topics, endpoint) as consumer:
            for topic, body in consumer:
                say(f"{topic.decode(errors='backslashreplace')}: {body.decode(errors='backslashreplace')}")
        return OK

    def _consumer(self, topics: Sequence[str], endpoint: str) -> CircusConsumer:
        from circus.consumer import CircusConsumer

        return CircusConsumer(topics, endpoint=endpoint, ssh_server=self.options.ssh)

    def _events(self, command: Command, args: Sequence[str], options: dict[str, Any]) -> int:
        from circus.commands.trail import Trail, record_line, rings

        limit, following = options.pop("limit"), options.pop("follow")
        if limit is None and following and not int(options["since"]):
            limit = _RECORDS_BEFORE_FOLLOWING
        trail = Trail(self.client.call, command.message(*args, **options))

        def show(records: Iterable[Mapping[str, Any]]) -> None:
            for record in records:
                say(prettify(record, self.options.prettify) if self.options.json else record_line(record))
            if trail.lost:
                complain(f"{trail.lost} records were no longer kept")

        try:
            show(trail.news() if limit is None else deque(trail.news(), maxlen=int(limit)))
            if following:
                with self._consumer(["lifecycle."], self._events_endpoint()) as consumer:
                    for _ in rings(consumer):
                        show(trail.news())
        except MessageError as error:
            complain(f"error: {error}")
            return REFUSED
        return OK

    def _events_endpoint(self) -> str:
        """Where the daemon publishes, as it can be reached from here."""
        reply = self.client.send_message("globaloptions", option="pubsub_endpoint")
        if reply.get("status") != "ok":
            raise CallError(str(reply.get("reason")))
        return reachable(str(reply["options"]["pubsub_endpoint"]), self.client.endpoint)


def prettify(jsonobj: Any, prettify: bool = True) -> str:
    """JSON for the terminal: on one line, or indented, sorted, and coloured where pygments is installed."""
    if not prettify:
        return json.dumps(jsonobj)
    from importlib import import_module

    text = json.dumps(jsonobj, indent=2, sort_keys=True)
    try:
        pygments, lexers, formatters = map(import_module, ("pygments", "pygments.lexers", "pygments.formatters"))
    except ImportError:
        return text
    return str(pygments.highlight(text, lexers.JsonLexer(), formatters.TerminalFormatter())).rstrip()


def say(text: str) -> None:
    """Print for the user, at once."""
    print(text, flush=True)


def complain(text: str) -> None:
    """Print for the user who did not get what he wanted."""
    print(text, file=sys.stderr, flush=True)


def complete(environ: Mapping[str, str]) -> str:
    """The names that complete the first word of a command line in bash (COMP_WORDS, COMP_CWORD)."""
    words = environ.get("COMP_WORDS", "").split()[1:]
    try:
        position = int(environ.get("COMP_CWORD", ""))
    except ValueError:
        return ""
    if position != 1:
        return ""
    begin = words[0] if words else ""
    return " ".join(name for name in sorted(MODULES) if name.startswith(begin))


def run(argv: Sequence[str]) -> int:
    """Everything but leaving: returns the exit status."""
    if "AUTO_COMPLETE" in os.environ:
        say(complete(os.environ))
        return OK
    parser, options = parse_arguments(argv)
    if options.version:
        say(f"circusctl {__version__}")
        return OK
    if options.help:
        known = get_command(options.words[0]) if options.words else None
        if options.words and known is None:
            parser.error(f"unrecognized arguments: {options.words[0]}")
        say(known.desc if known is not None else parser.describe().rstrip())
        return OK
    app = ControllerApp(parser, options)
    try:
        if options.words:
            return app.run(options.words)
        return _shell(app)
    except KeyboardInterrupt:
        return NO_ANSWER
    finally:
        app.close()


def _shell(app: ControllerApp) -> int:
    say(f"circusctl {__version__}")
    app.run(["status"])
    shell_class()(app.run).cmdloop()
    return OK


def shell_class() -> Any:
    """The prompt: a `cmd.Cmd` in which every command is a word (made here, because only the prompt needs it)."""
    import cmd
    import shlex

    class CircusCtl(cmd.Cmd):
        prompt = "(circusctl) "

        def __init__(self, run_words: Callable[[Sequence[str]], int]) -> None:
            super().__init__()
            self.run_words = run_words

        def do_help(self, arg: str) -> None:
            """Show the commands, or what one does."""
            if not arg:
                self.print_topics("Commands", sorted(MODULES), 15, 80)
                return
            found = get_command(arg)
            self.stdout.write(f"{found.desc}\n" if found is not None else f"*** No help on {arg}\n")

        def do_EOF(self, _: str) -> bool:  # noqa: N802 - the name that cmd gives to the end of input
            """Leave."""
            self.stdout.write("\n")
            return True

        def get_names(self) -> list[str]:
            return ["do_help", *(f"do_{name}" for name in MODULES)]

        def do_command(self, line: str) -> None:
            try:
                self.run_words(shlex.split(line))
            except ValueError as error:  # an open quote
                complain(f"error: {error}")
            except (SystemExit, KeyboardInterrupt):
                # argparse has said what is wrong; or enough was heard of what goes on for ever.
                self.stdout.write("\n")

    def bound(name: str) -> Callable[[CircusCtl, str], None]:
        return lambda shell, rest: shell.do_command(f"{name} {rest}")

    for name in MODULES:
        setattr(CircusCtl, f"do_{name}", bound(name))
    return CircusCtl


def __getattr__(name: str) -> Any:
    """The prompt's class under the name that circus 0.19 gave it."""
    if name == "CircusCtl":
        return shell_class()
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
