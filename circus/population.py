"""Which watchers a configuration makes: its own, one for each plugin, one for the web console, one for
the exporters and alerts; and the room they need.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

from circus.keys import Keys
from circus.runtime.fds import ROOM
from circus.spec.arbiter import ArbiterSpec
from circus.spec.exporters import exporter_watcher
from circus.spec.plugins import plugin_watcher
from circus.spec.watcher import WatcherSpec
from circus.spec.web import WEB, web_watcher
from circus.stream import is_per_worker

# pidfd, two kept files of /proc, two pipes.
_FDS_PER_PROCESS = 5
_FDS_OF_DAEMON = 128


def watcher_specs(
    spec: ArbiterSpec, *, endpoint: str, pubsub_endpoint: str, stats_endpoint: str, keys: Keys | None = None
) -> list[WatcherSpec]:
    """All watchers in the order in which equal priorities start; the endpoints are the real ones, and `keys` those with
    which plugins and exporters are let in.
    """
    where = {"endpoint": endpoint, "pubsub_endpoint": pubsub_endpoint, "python": sys.executable}
    plugins = [
        plugin_watcher(
            plugin,
            **where,
            keys=keys,
            check_delay=spec.check_delay,
            debug=spec.debug,
            loglevel=spec.loglevel,
            logoutput=spec.logoutput,
        )
        for plugin in spec.plugins
    ]
    exporters = (
        [
            exporter_watcher(
                spec.exporters,
                **where,
                stats_endpoint=stats_endpoint,
                alerts=spec.alerts,
                notify=spec.notify,
                config_file=spec.config_file,
                keys=keys,
            )
        ]
        if spec.exporters or spec.alerts
        else []
    )
    # The console gets a socket where its package is installed.
    serves = spec.httpd and any(sock.name == WEB for sock in spec.sockets)
    web = [web_watcher(endpoint, sys.executable, debug=spec.debug)] if serves else []
    return [*spec.watchers, *web, *plugins, *exporters]


def make_room(watchers: Iterable[WatcherSpec], sockets: int, *, generous: bool) -> str | None:
    """Raise the soft limit of descriptors as far as these processes need it.

    Args:
        watchers: what will run.
        sockets: how many sockets are ours.
        generous: leave room for scaling up too; for a program that is nothing but the daemon.

    Returns:
        A sentence that says what is missing, or None.
    """
    descriptors = sum(watcher.numprocesses * descriptors_of_process(watcher) for watcher in watchers)
    return ROOM.raise_soft_limit(descriptors + sockets + _FDS_OF_DAEMON, generous=generous)


def descriptors_of_process(watcher: WatcherSpec) -> int:
    """How many descriptors circusd holds for each process of a watcher."""
    streams = (watcher.stdout_stream, watcher.stderr_stream)
    return _FDS_PER_PROCESS + sum(stream is not None and is_per_worker(stream) for stream in streams)
