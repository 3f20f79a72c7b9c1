"""Reading the stats channel as circus 0.19 did, and the command circus-top.

Owns `StatsClient` and the command line; refuses to know what is shown. Invariant: importing this costs pyzmq and
nothing else.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import zmq

from circus import __version__
from circus.client import use_keys
from circus.consumer import CircusConsumer
from circus.exc import KeyFileError
from circus.keys import ENV_KEY_FILE, ENV_SERVER, Keys, given
from circus.wire.endpoints import DEFAULT_STATS
from circus.wire.topics import split_stat

if TYPE_CHECKING:
    import argparse

Stat = tuple[str, str | None, dict[str, Any]]

DEFAULT_ENDPOINT_STATS = DEFAULT_STATS
"""Its name in circus 0.19."""


class StatsClient:
    """Iterate over `(watcher, subtopic, stat)` of the `stat.` topics; also a context manager.

    `subtopic` is the pid (or the fd of a socket) as text, None for the sums of a watcher. `stat` is what circus 0.19
    tells, with its strings. Iterating ends when `stop` was called.
    """

    def __init__(
        self,
        endpoint: str = DEFAULT_STATS,
        ssh_server: str | None = None,
        context: zmq.Context[zmq.Socket[bytes]] | None = None,
        *,
        keys: Keys | None = None,
    ) -> None:
        self.endpoint = endpoint
        self._consumer = CircusConsumer(["stat."], context, endpoint, ssh_server, keys=keys)

    def __iter__(self) -> Iterator[Stat]:
        return self.iter_messages()

    def __enter__(self) -> StatsClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def iter_messages(self) -> Iterator[Stat]:
        """Yield until `stop`; what is no JSON object is passed over."""
        for topic, body in self._consumer.iter_messages():
            try:
                stat = json.loads(body)
            except ValueError:
                continue
            if isinstance(stat, dict):
                yield *split_stat(topic, stat.get("subtopic")), stat

    def stop(self) -> None:
        """Close the connection. Stopping twice is harmless."""
        self._consumer.stop()


def main(args: Sequence[str] | None = None) -> int:
    """The command circus-top."""
    options = command_line().parse_args(args)
    if options.version:
        sys.stdout.write(f"{__version__}\n")
        return 0
    try:
        use_keys(given(options.curve_key, options.curve_server, os.environ))
    except KeyFileError as error:
        sys.stderr.write(f"circus-top: {error}\n")
        return 1
    from circus.stats.top import Options, run

    # Textual draws on stderr.
    terminal = all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr))
    return run(
        Options(
            endpoint=options.endpoint,
            ssh_server=options.ssh,
            process_timeout=options.process_timeout,
            once=options.once or not terminal,
            json=options.json,
            timeout=options.timeout,
            order=options.sort,
            reverse=options.reverse,
            needle=options.filter,
        )
    )


def command_line() -> argparse.ArgumentParser:
    """The command line, as `--help` tells it."""
    import argparse

    parser = argparse.ArgumentParser(
        prog="circus-top",
        description="Show what the processes of a circusd use, live. Without a terminal it looks once, as --once does.",
    )
    add = parser.add_argument
    add("--endpoint", help=f"the stats endpoint of circusd (default: the only daemon that runs, else {DEFAULT_STATS})")
    add("--version", action="store_true", help="show the version")
    add("--ssh", help="go through an ssh server, user@host:port")
    add("--curve-key", metavar="FILE", help=f"your CURVE keys ({ENV_KEY_FILE})")
    add("--curve-server", metavar="KEY", help=f"public key of circusd, or its file ({ENV_SERVER})")
    add("--process-timeout", type=float, default=3.0, metavar="SECONDS",
        help="drop a process that nothing was heard of for so long (%(default)g)")  # fmt: skip
    add("--once", action="store_true", help="print a table and leave")
    add("--json", action="store_true", help="print one JSON document and leave")
    add("--timeout", type=float, default=5.0, metavar="SECONDS",
        help="with --once and --json: how long to wait for circusd (%(default)g)")  # fmt: skip
    add("--sort", choices=["name", "cpu", "memory", "age", "restarts"], default="name", help="(%(default)s)")
    add("--reverse", action="store_true", help="sort the other way round")
    add("--filter", default="", metavar="TEXT", help="only what has this text in its name, pid, state or last exit")
    return parser
