"""What circus-top does: once as a table or as JSON, or live.

Owns the way from options to an exit status; refuses to know how a terminal is drawn on. Invariant: a single look loads
neither Textual nor asyncio.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from typing import Final

import msgspec
import zmq

from circus.client import CircusClient
from circus.exc import CallError, CircusError
from circus.stats.viewer import addresses, columns, headline
from circus.stats.viewer.document import document
from circus.stats.viewer.rows import Order, rows
from circus.stats.viewer.subscription import Subscription
from circus.stats.viewer.view import PROCESS_TIMEOUT, View
from circus.wire.endpoints import DEFAULT_STATS, parse
from circus.wire.snapshot import Telemetry

OK, NO_DATA, INTERRUPTED = 0, 1, 130
# circus 0.19 tells each process once a second, one after the other.
_LEGACY_ROUND_SECONDS: Final = 1.3
_TELEMETRY_SECONDS: Final = 1.0
_TICK_SECONDS: Final = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The command line. `endpoint` None: search. `timeout`: seconds until data must have come, for a single look."""

    endpoint: str | None = None
    ssh_server: str | None = None
    process_timeout: float = PROCESS_TIMEOUT
    once: bool = False
    json: bool = False
    timeout: float = 5.0
    order: Order = "name"
    reverse: bool = False
    needle: str = ""


def run(options: Options) -> int:
    """Do it; the exit status."""
    try:
        endpoint, live = options.endpoint, not (options.once or options.json)
        if endpoint is not None:
            parse(endpoint)
        else:
            # Through a tunnel, what runs on this machine is not what was meant.
            endpoint = DEFAULT_STATS if options.ssh_server else addresses.find_stats(patient=live)
        if not live:
            return _once(options, endpoint)
        from circus.stats.viewer.live import live as watch

        return watch(options, endpoint)
    except CircusError as error:
        sys.stderr.write(f"circus-top: {error}\n")
        return NO_DATA
    except KeyboardInterrupt:
        return INTERRUPTED


def _once(options: Options, endpoint: str) -> int:
    view = View(options.process_timeout)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    subscription = Subscription(view, context, endpoint, now=time.monotonic(), ssh_server=options.ssh_server)
    try:
        notes = _listen(subscription, options)
    finally:
        subscription.close()
        context.term()
    if view.heard is None:
        raise CallError(_nobody(view, options, endpoint))
    shown = rows(view, options.order, reverse=options.reverse, needle=options.needle)
    if options.json:
        _print(document(view, shown, endpoint, notes).decode())
    else:
        text = [*headline.lines(view), "", *columns.table(shown, view.time, legacy=view.legacy)]
        _print("\n".join(text + [f"({note})" for note in notes]))
    return OK


def _print(text: str) -> None:
    coding = sys.stdout.encoding or "utf-8"
    try:
        sys.stdout.write(text.encode(coding, "replace").decode(coding) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # Who read it has seen enough; Python would complain once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _listen(subscription: Subscription, options: Options) -> list[str]:
    """Hear two samples of everything, or what comes in time; what is missing is told in sentences."""
    view = subscription.view
    end = time.monotonic() + options.timeout
    passes, notes = 0, list[str]()
    seq: int | None = None
    while passes < 2 and (now := time.monotonic()) < end:
        subscription.tick(now)
        legacy = view.legacy
        if not subscription.receive(min(_TICK_SECONDS, end - now)):
            continue
        if view.daemon is not None and view.daemon.sample.seq != seq:
            seq = view.daemon.sample.seq
            passes += 1
        elif view.legacy and not legacy:
            end = min(end, time.monotonic() + _LEGACY_ROUND_SECONDS)
    if passes:
        notes += _ask_telemetry(subscription, options)
    if view.refused:
        notes.append(f"{view.refused} messages were not understood: another release of circus?")
    if passes == 1:
        notes.append(f"CPU needs two samples, and only one came within {options.timeout:g} s: see --timeout")
    return notes


def _ask_telemetry(subscription: Subscription, options: Options) -> list[str]:
    """States, restarts and exits; after the samples, because processes may have ended between these."""
    control = subscription.control_endpoint
    if control is None:
        return []
    missing = f"no states, restarts and exits: the control channel at {control}"
    try:
        timeout = min(_TELEMETRY_SECONDS, options.timeout)
        with CircusClient(endpoint=control, timeout=timeout, ssh_server=options.ssh_server) as client:
            reply = client.send_message("telemetry", detail=True)
        if reply.get("status") != "ok":
            return [f"{missing} says: {reply.get('reason')}"]
        subscription.view.take_telemetry(msgspec.convert(reply, Telemetry))
    except msgspec.ValidationError as error:
        return [f"{missing} was not understood: {error}"]
    except CircusError as error:
        return [f"{missing} does not answer: {error}"]
    return []


def _nobody(view: View, options: Options, endpoint: str) -> str:
    if view.refused:
        return f"{endpoint} answers, but not in a way that this release of circus understands"
    through = f" through {options.ssh_server}" if options.ssh_server else ""
    text = f"no circusd answers at {endpoint}{through} within {options.timeout:g} s"
    running = [] if options.endpoint or options.ssh_server else addresses.running_stats()
    others = [one for one in running if one != endpoint]
    if others:
        return f"{text}; choose one with --endpoint: {', '.join(others)}"
    return (
        text if options.endpoint else f"{text}; where it publishes is stats_endpoint in [circus], --endpoint names it"
    )
