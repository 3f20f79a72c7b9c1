"""The lines above the table: what the daemon is, what all processes use together, and how the daemon itself does.

Pure. Invariant: these lines say only what was heard, and say so when nothing is heard any more.
"""

from __future__ import annotations

import math
from typing import Final

from circus.stats.viewer.daemon import Daemon
from circus.stats.viewer.units import count_text, delay_text, percent_text, printable, size_text, span_text
from circus.stats.viewer.view import View

TITLE: Final = "Circus Top"
WAITING: Final = "*** Waiting for data ***"
_GAP: Final = "   "


def parts(view: View, endpoint: str = "") -> list[list[str]]:
    """What each line says, in pieces that belong together: who speaks, all watchers together, the daemon itself, and
    its sockets.
    """
    found = [_title(view, endpoint), _sums(view)]
    if view.daemon is not None:
        found.append(_own(view.daemon))
    sockets = _sockets(view)
    if sockets:
        found.append(sockets)
    return found


def lines(view: View, endpoint: str = "", width: int | None = None) -> list[str]:
    """The same as text. Pieces that do not fit into the width go to the next line, indented."""
    return [line for pieces in parts(view, endpoint) for line in _flow(pieces, width)]


def _flow(pieces: list[str], width: int | None) -> list[str]:
    flowing = [pieces[0]]
    for piece in pieces[1:]:
        longer = f"{flowing[-1]}{_GAP}{piece}"
        if width is None or len(longer) <= width:
            flowing[-1] = longer
        else:
            flowing.append(f"  {piece}")
    return flowing


def _title(view: View, endpoint: str) -> list[str]:
    daemon = view.daemon
    found = [TITLE]
    if daemon is not None:
        sample = daemon.sample
        found.append(f"circusd {sample.version}, pid {sample.pid}, up {span_text(sample.time - sample.started)}")
    elif view.legacy:
        found.append("circus 0.19")
    return [*found, endpoint] if endpoint else found


def _sums(view: View) -> list[str]:
    count, watchers = view.processes(), len(view.watchers)
    memory = view.memory_bytes()
    share = view.share(memory)
    return [
        f"{count} process{'' if count == 1 else 'es'} in {watchers} watcher{'' if watchers == 1 else 's'}",
        f"CPU {percent_text(view.cpu_percent())} %",
        f"MEMORY {size_text(memory)}" + ("" if share is None else f" ({share:.1f} %)"),
    ]


def _own(daemon: Daemon) -> list[str]:
    sample, late = daemon.sample, daemon.lateness
    fds = count_text(sample.open_fds) + ("" if sample.max_fds is None else f"/{sample.max_fds}")
    found = [f"circusd  CPU {percent_text(daemon.rate.percent)} %", f"MEMORY {size_text(sample.resident_bytes)}",
             f"FDS {fds}"]  # fmt: skip
    if late is not None:
        bound = "beyond all bounds" if math.isinf(late.p99_seconds) else f"under {delay_text(late.p99_seconds)}"
        found.append(f"LOOP LAG {delay_text(late.mean_seconds)}, p99 {bound}")
    every = f"every {sample.interval_seconds:g} s"
    found.append(f"PASS {delay_text(sample.pass_seconds)} {every}, {sample.skipped} skipped")
    lost = sum(sample.drops.values())
    return [*found, f"{lost} messages dropped"] if lost else found


def _sockets(view: View) -> list[str]:
    """How many connections wait to be accepted, or the hits of circus 0.19."""
    found = [
        f"{printable(sock.name)} {printable(sock.address)}"
        + ("" if sock.accept_queue is None else f" {sock.accept_queue}/{sock.accept_limit} waiting")
        for sock in view.sockets
    ]
    found += [f"{printable(address)} {hits} hits" for address, hits in view.hits.items()]
    return ["SOCKETS", *found] if found else []
