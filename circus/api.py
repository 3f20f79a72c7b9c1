"""Embedding: an arbiter from dicts, without an ini file, as in circus 0.19."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from circus.arbiter import Arbiter, ThreadedArbiter
from circus.config.options import plugin_specs, without_double
from circus.exc import ConfigError, Mistake
from circus.sockets import CircusSocket
from circus.spec.arbiter import DEFAULT_ENDPOINT, DEFAULT_PUBSUB_ENDPOINT
from circus.watcher import Watcher

Given = TypeVar("Given")
Made = TypeVar("Made")


def get_arbiter(  # noqa: PLR0917 - 0.19's signature
    watchers: Sequence[Mapping[str, Any]],
    controller: str | None = None,
    pubsub_endpoint: str | None = None,
    statsd: bool = False,
    stats_endpoint: str | None = None,
    statsd_close_outputs: bool = False,
    multicast_endpoint: str | None = None,
    env: Mapping[str, str] | None = None,  # noqa: ARG001 - without effect, as in 0.19
    name: str | None = None,  # noqa: ARG001 - as above
    context: Any = None,
    background: bool = False,
    stream_backend: str = "thread",
    httpd: bool = False,
    plugins: Iterable[Mapping[str, Any]] | None = None,
    debug: bool = False,
    proc_name: str = "circusd",
    loop: Any = None,
    check_delay: float = 1.0,
    **kw: Any,
) -> Arbiter:
    """An arbiter with these watchers: `start` it, blocking or awaited, or `await` its `run`.

    Args:
        watchers: dicts of watcher options; each needs `cmd`, `name` defaults to that of the program. Unknown options
            are kept as free-form ones.
        controller: the control endpoint.
        pubsub_endpoint: the events endpoint.
        statsd: taken and without effect: the statistics are always there.
        stats_endpoint: the stats endpoint.
        statsd_close_outputs: without effect.
        multicast_endpoint: where discovery is answered; nowhere unless given.
        env: without effect, as in circus 0.19.
        name: without effect, as in circus 0.19.
        context: a zmq context to use.
        background: give a ThreadedArbiter, which runs in a thread of its own.
        stream_backend: without effect.
        httpd: run the web console of the package circusweb, where that is installed.
        plugins: dicts with `use`, the dotted name of the class, and the plugin's options.
        debug: show the output of plugins.
        proc_name: without effect: the title of the program is its own.
        loop: an asyncio loop in which `start` is to work.
        check_delay: seconds between two safety sweeps.
        kw: whatever else `circus.arbiter.Arbiter` takes; sockets may be dicts too.

    Raises:
        ConfigError: watchers without `cmd`, with options that cannot be or with one name, plugins without `use`; all of
            that at once.
    """
    if stream_backend != "thread":
        warnings.warn(f"there is no stream backend {stream_backend!r} any more", DeprecationWarning, stacklevel=2)
    if kw.get("sockets"):
        kw["sockets"] = [
            CircusSocket.load_from_config(socket) if isinstance(socket, Mapping) else socket for socket in kw["sockets"]
        ]
    plugins = None if plugins is None else list(plugins)
    mistakes: list[Mistake] = []
    made = _all_of(_watcher, watchers, mistakes)
    _all_of(without_double, [made], mistakes)
    _all_of(plugin_specs, [plugins or ()], mistakes)
    if mistakes:
        raise ConfigError(mistakes)
    kind = ThreadedArbiter if background else Arbiter
    return kind(
        made,
        controller or DEFAULT_ENDPOINT,
        pubsub_endpoint or DEFAULT_PUBSUB_ENDPOINT,
        check_delay=check_delay,
        context=context,
        loop=loop,
        statsd=statsd,
        stats_endpoint=stats_endpoint,
        statsd_close_outputs=statsd_close_outputs,
        multicast_endpoint=multicast_endpoint,
        plugins=plugins,
        httpd=httpd,
        debug=debug,
        proc_name=proc_name,
        **kw,
    )


def _watcher(options: Mapping[str, Any]) -> Watcher:
    cmd = options.get("cmd")
    name = options.get("name") or (os.path.basename(cmd.split()[0]) if isinstance(cmd, str) and cmd.strip() else "")
    return Watcher.load_from_config({**options, "name": name})


def _all_of(make: Callable[[Given], Made], given: Iterable[Given], mistakes: list[Mistake]) -> list[Made]:
    """What can be made; the mistakes of all others."""
    made = []
    for each in given:
        try:
            made.append(make(each))
        except ConfigError as error:
            mistakes += error.mistakes
    return made
