"""circusd-stats: the stats of circus 0.19, by a process beside circusd.

Owns the command line and the signals. circusd publishes statistics itself; this is for one that does not, or for stats
at a second address. Invariant: it ends with 0 when it was told to, and with 1 and a sentence when it cannot go on.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence

from circus import __version__, logger
from circus.exc import CircusError, EndpointInUse
from circus.logs import configure_logger
from circus.wire.endpoints import DEFAULT_CONTROL, DEFAULT_EVENTS, DEFAULT_STATS

# Not SIGWINCH, at which 0.19 ended too: a terminal that is made larger means no harm.
_ENDING = (signal.SIGHUP, signal.SIGQUIT, signal.SIGINT, signal.SIGTERM)


def run(argv: Sequence[str]) -> int:
    """Run to the end and return the exit status."""
    args = command_line().parse_args(argv)
    if args.version:
        sys.stdout.write(f"{__version__}\n")
        return 0
    try:
        configure_logger(logger, args.loglevel, args.logoutput)
        from circus.stats.streamer import StatsStreamer

        streamer = StatsStreamer(args.endpoint, args.pubsub, args.statspoint, args.ssh)
        for signum in _ENDING:
            streamer.loop.add_signal_handler(signum, streamer.stop)
        streamer.start()
    except CircusError as error:
        hint = "; circusd 1.0 publishes its statistics itself" if isinstance(error, EndpointInUse) else ""
        sys.stderr.write(f"circusd-stats: {error}{hint}\n")
        return 1
    return 0


def command_line() -> argparse.ArgumentParser:
    """The command line, as `--help` tells it."""
    parser = argparse.ArgumentParser(prog="circusd-stats", description="Publishes the statistics of a circusd.")
    parser.add_argument("--endpoint", default=DEFAULT_CONTROL, help="the control endpoint of circusd (%(default)s)")
    parser.add_argument("--pubsub", default=DEFAULT_EVENTS, help="the events endpoint of circusd (%(default)s)")
    parser.add_argument("--statspoint", default=DEFAULT_STATS, help="where to publish (%(default)s)")
    parser.add_argument("--log-level", dest="loglevel", default="info", help="log level (%(default)s)")
    parser.add_argument("--log-output", dest="logoutput", default="-", help="where to log: - is standard error")
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    parser.add_argument("--ssh", help="server to reach circusd through, user@host:port")
    return parser
