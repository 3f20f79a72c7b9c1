"""What circusctl prints, and the commands that are more than one request and its reply.

Owns the two streams that the user sees and the conversations with a daemon; refuses to know the command line and exit
statuses other than those. Invariant: standard output carries answers alone, everything else goes to standard error.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from circus.client import CircusClient
from circus.direct import DirectClient
from circus.exc import ArgumentError, CallError, EndpointError, MessageError
from circus.guessing import control_endpoint
from circus.wire.endpoints import DEFAULT_EVENTS, ENV_ENDPOINT, EVENTS_SOCKET, parse, reachable, sibling

if TYPE_CHECKING:
    import argparse

    from circus.commands.base import Command
    from circus.consumer import CircusConsumer

OK, NO_ANSWER, NOT_UNDERSTOOD, REFUSED = 0, 1, 2, 3
_RECORDS_BEFORE_FOLLOWING = 10
_PROBE_SECONDS = 0.5
_PAUSE_SECONDS = 0.2
_TRIAL_SECONDS = 65.0
_ENDS_OF_UPGRADE = ("arbiter.upgraded", "arbiter.upgrade_failed")

# (long flag, whether a value follows, help): what may stand before the command.
GLOBAL_OPTIONS: Sequence[tuple[str, bool, str]] = (
    ("--endpoint", True, "where circusd listens (CIRCUSCTL_ENDPOINT, the only daemon, tcp://127.0.0.1:5555)"),
    ("--timeout", True, "seconds to wait for an answer (5)"),
    ("--json", False, "print answers as JSON"),
    ("--prettify", False, "with --json: indented, and on a terminal in colour"),
    ("--curve-key", True, "file with your CURVE keys (CIRCUS_CURVE_KEY_FILE)"),
    ("--curve-server", True, "public CURVE key of circusd, or a file with it (CIRCUS_CURVE_SERVER)"),
    ("--ssh", True, "go through an ssh server, user@host:port"),
    ("--ssh_keyfile", True, "the key for the ssh server"),
    ("--traceparent", True, "the trace that this command belongs to, 00-TRACE-SPAN-01 (TRACEPARENT)"),
    ("--help", False, "show this, or with a command its description"),
    ("--version", False, "show the version"),
)


class Caller(Protocol):
    """What a conversation needs of circusctl: a client, made when it is first used, and the options of the run."""

    options: argparse.Namespace

    @property
    def client(self) -> CircusClient | DirectClient: ...
    def ask(self, command: str, **props: Any) -> Mapping[str, Any]:
        """The reply to a question that is no more than helpful, an empty one where it takes long."""
        ...


def say(text: str) -> None:
    """Print for the user, at once."""
    print(text, flush=True)


def complain(text: str) -> None:
    """Print for the user who did not get what he wanted."""
    print(text, file=sys.stderr, flush=True)


def prettify(jsonobj: Any, prettify: bool = True) -> str:
    """JSON for people: on one line, or indented, sorted, and on a terminal coloured where pygments is installed."""
    if not prettify:
        return json.dumps(jsonobj)
    text = json.dumps(jsonobj, indent=2, sort_keys=True)
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return text
    from importlib import import_module

    try:
        pygments, lexers, formatters = map(import_module, ("pygments", "pygments.lexers", "pygments.formatters"))
    except ImportError:
        return text
    return str(pygments.highlight(text, lexers.JsonLexer(), formatters.TerminalFormatter())).rstrip()


def usage(command: Command) -> str:
    """How a command is called, as its docstring says it; its name where it says nothing."""
    begin = f"circusctl {command.name}"
    lines = (line.strip() for line in command.desc.splitlines())
    return next((line for line in lines if line == begin or line.startswith(f"{begin} ")), begin)


def described(command: Command) -> str:
    """What `COMMAND --help` says of it: the summary, and the paragraph below it where there is one in plain words."""
    summary, _, rest = command.desc.partition("\n\n")
    more = rest.partition("\n\n")[0]
    return summary if more.endswith(":") or more.startswith((" ", "-")) else f"{summary} {more}".rstrip()


def hint(word: str, called: str) -> str:
    """What may have been meant by an option that a command does not have."""
    if any(word.partition("=")[0] == flag for flag, _, _ in GLOBAL_OPTIONS):
        return f" ({word} stands before the command)"
    return " (a program with options is one word in quotes, or stands after --)" if "PROGRAM" in called else ""


def no_command(word: str) -> str:
    """What to say of a word that is no command, and where to go from there."""
    from difflib import get_close_matches

    from circus.commands import get_commands

    close = get_close_matches(word.lower(), get_commands(), 1)
    return f"unrecognized arguments: {word} ({f'there is {close[0]}; ' if close else ''}--help lists the commands)"


def seen(endpoint: str) -> str:
    """What somebody who connects to an endpoint meets, in words."""
    import socket

    try:
        place = parse(endpoint)
        address: Any = (place.host, place.port) if place.scheme == "tcp" else place.path
        if place.path.startswith("@"):
            address = f"\0{place.path[1:]}"
        family = socket.AF_UNIX if place.scheme == "ipc" else socket.AF_INET6 if ":" in place.host else socket.AF_INET
        with socket.socket(family) as probe:
            probe.settimeout(_PROBE_SECONDS)
            probe.connect(address)
    except FileNotFoundError:
        return f"there is no socket {address}"
    except PermissionError:
        return f"you may not connect to {address}"
    except ConnectionRefusedError:
        return f"nobody listens at {endpoint}"
    except (OSError, EndpointError) as error:
        return f"{endpoint}: {error}"
    return f"somebody listens at {endpoint}, and does not answer"


def listen(app: Caller, command: Command, args: Sequence[str], _: dict[str, Any]) -> int:
    """`circusctl listen`: print what is published, until interrupted."""
    with consumer(app, command.message(*args), _listened(app)) as following:
        for topic, body in following:
            say(f"{topic.decode(errors='backslashreplace')}: {body.decode(errors='backslashreplace')}")
    return OK


def _listened(app: Caller) -> str:
    """The events endpoint: --endpoint, else what belongs to the control endpoint that other commands would use."""
    given = app.options.endpoint
    if given:
        return sibling(given, EVENTS_SOCKET) or str(given)
    control = control_endpoint(here=app.options.ssh is None, patient=True)
    if ENV_ENDPOINT not in os.environ:  # a daemon that is not there yet may have the addresses that were not named
        return sibling(control, EVENTS_SOCKET) or DEFAULT_EVENTS
    options = app.ask("globaloptions", option="pubsub_endpoint").get("options")
    return reachable(str(options["pubsub_endpoint"]), control) if isinstance(options, dict) else DEFAULT_EVENTS


def events(app: Caller, command: Command, args: Sequence[str], options: dict[str, Any]) -> int:
    """`circusctl events`: print the journal page by page, and what follows."""
    from circus.commands.record_text import record_line
    from circus.commands.trail import Trail, rings

    limit, following = options.pop("limit"), options.pop("follow")
    if limit is None and following and not int(options["since"]):
        limit = _RECORDS_BEFORE_FOLLOWING
    trail = Trail(app.client.call, command.message(*args, **options))

    def show(records: Iterable[Mapping[str, Any]]) -> None:
        for record in records:
            say(prettify(record, app.options.prettify) if app.options.json else record_line(record))
        if trail.lost:
            complain(f"{trail.lost} records were no longer kept")

    try:
        show(trail.news() if limit is None else deque(trail.news(), maxlen=int(limit)))
        if following:
            with consumer(app, ["lifecycle."], events_endpoint(app)) as bell:
                for _ in rings(bell):
                    show(trail.news())
    except MessageError as error:
        complain(f"error: {error}")
        return REFUSED
    return OK


def printed(_: Caller, command: Command, args: Sequence[str], __: dict[str, Any]) -> int:
    """`circusctl completion`, `circusctl keygen`: print what was made here, without a daemon."""
    say(command.message(*args))
    return OK


def imported(_: Caller, command: Command, args: Sequence[str], __: dict[str, Any]) -> int:
    """`circusctl import`: print the configuration that was made, and what was lost on the way."""
    converted = command.message(*args)
    say(converted.text)
    if converted.notes:
        complain("\n".join(map(str, converted.notes)))
    return OK if converted.whole else REFUSED


def tail(app: Caller, command: Command, args: Sequence[str], options: dict[str, Any]) -> int:
    """`circusctl tail`: print the last lines of workers, and what they write from now on."""
    from circus.commands.following import Follower, Printed

    request = command.message(*args, **options)
    follower = Follower(
        app.client.call,
        request,
        lost=lambda count: complain(f"{count} lines were written that circusd did not keep"),
        silent=complain,
    )
    printed = Printed()

    def show(chunks: Sequence[Mapping[str, Any]]) -> None:
        if app.options.json:
            lines = [prettify(chunk, app.options.prettify) for chunk in chunks]
        else:
            lines = list(printed.lines(chunks))
        if lines:
            say("\n".join(lines))

    try:
        show(follower.first())
        if options["follow"]:
            with consumer(app, [follower.topic], events_endpoint(app)) as live:
                for chunk in follower.follow(live):
                    show([chunk])
    except MessageError as error:
        complain(f"error: {error}")
        return REFUSED
    return OK


def test_alert(app: Caller, command: Command, args: Sequence[str], options: dict[str, Any]) -> int:
    """`circusctl test-alert`: begin a test, and tell what became of it."""
    from circus.commands.delivery_text import outcome_text, outcomes
    from circus.spec.amounts import to_seconds

    try:
        patience = to_seconds(str(options["wait"]))
    except (ValueError, OverflowError):
        raise ArgumentError(f"--wait takes a duration such as 15s, not {options['wait']!r}") from None
    reply = app.client.call(command.message(*args))
    if reply.get("status") != "ok":
        say(prettify(reply, app.options.prettify)) if app.options.json else complain(command.console_msg(reply))
        return REFUSED
    found: dict[str, Mapping[str, Any]] = {}
    deadline = time.monotonic() + patience
    while not found.keys() >= set(reply["notify"]) and time.monotonic() < deadline:
        time.sleep(_PAUSE_SECONDS)
        told = app.client.send_message("events", since=reply["seq"], record="alert.")
        found = outcomes(told.get("records", ()), reply["seq"])
    if app.options.json:
        say(prettify({**reply, "deliveries": found}, app.options.prettify))
    elif not patience or not reply["notify"]:
        say(command.console_msg(reply))
    else:
        say("\n".join(outcome_text(name, found.get(name)) for name in reply["notify"]))
        if not found:
            complain(
                "neither a delivery nor a failure was recorded: either the watcher circus-exporter does not run, or it"
                " goes on trying, and the log of circusd says why"
            )
    delivered = all(name in found and found[name]["ok"] for name in reply["notify"])
    return OK if delivered or not patience else NO_ANSWER


def upgrade(app: Caller, command: Command, args: Sequence[str], options: dict[str, Any]) -> int:
    """`circusctl upgrade`: ask for it, and wait for the word of the program that has taken over."""
    request = command.message(*args, **options)
    client, patience = app.client, app.options.timeout
    client.send_message("numwatchers")  # nobody shall wait that long to learn that nobody is there
    # The trial in a child, then the waiting that was asked for.
    client.timeout = max(patience, _TRIAL_SECONDS) + request["properties"]["timeout"]
    reply = client.call(request)
    if reply.get("status") != "ok":
        complain(prettify(reply, app.options.prettify) if app.options.json else command.console_error(reply))
        return REFUSED
    record = _after_upgrade(app, reply)
    done = record["record"] == "arbiter.upgraded"
    data = record["data"]
    if app.options.json:
        say(prettify(record, app.options.prettify))
    elif done:
        say(
            f"ok\ncircusd {data['version']} (before: {data['before']}) has taken over {data['processes']} processes of "
            f"{data['watchers']} watchers; it was away for {data['seconds']:.2f} s"
        )
    else:
        complain(f"error: {data['reason']}")
    return OK if done else REFUSED


def _after_upgrade(app: Caller, reply: Mapping[str, Any]) -> Mapping[str, Any]:
    """The record that tells how it went; a request that is on its way while the programs change gets no answer."""
    client, until = app.client, time.monotonic() + _TRIAL_SECONDS
    client.timeout = _PROBE_SECONDS
    wanted = {"since": reply["seq"], "watcher": "-"}
    while time.monotonic() < until:
        try:
            found = client.call({"command": "events", "properties": wanted})
        except CallError as error:
            if not str(error).startswith("Timed out"):
                raise
            continue
        if found.get("boot") != reply["boot"]:
            raise CallError("circusd has not come back as it was: another one answers at its endpoint")
        told = [each for each in found["records"] if each["record"] in _ENDS_OF_UPGRADE]
        if told:
            record: Mapping[str, Any] = told[0]
            return record
        time.sleep(0.05)
    raise CallError(f"circusd has not said how the upgrade went within {_TRIAL_SECONDS:g} s; see its log")


CONVERSATIONS: Mapping[str, Callable[[Caller, Command, Sequence[str], dict[str, Any]], int]] = {
    "completion": printed,
    "events": events,
    "import": imported,
    "keygen": printed,
    "listen": listen,
    "tail": tail,
    "test-alert": test_alert,
    "upgrade": upgrade,
}


def consumer(app: Caller, topics: Sequence[str], endpoint: str) -> CircusConsumer:
    """A subscription, through the tunnel if there is one."""
    from circus.consumer import CircusConsumer

    options = app.options
    return CircusConsumer(topics, endpoint=endpoint, ssh_server=options.ssh, ssh_keyfile=options.ssh_keyfile)


def events_endpoint(app: Caller) -> str:
    """Where the daemon publishes, as it can be reached from here."""
    reply = app.client.send_message("globaloptions", option="pubsub_endpoint")
    if reply.get("status") != "ok":
        raise CallError(str(reply.get("reason")))
    return reachable(str(reply["options"]["pubsub_endpoint"]), app.client.endpoint)
