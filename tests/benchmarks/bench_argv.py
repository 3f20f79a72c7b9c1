"""What it costs to make the command of one process, per kind of command line."""

from __future__ import annotations

import os
import timeit
from collections.abc import Iterable

from circus.runtime.argv import CommandBuilder
from circus.spec.watcher import WatcherSpec
from tests.benchmarks.report import Row

LINES = {
    "nothing to expand": (WatcherSpec(name="a", cmd="/bin/sleep 100", copy_env=True), 5.0),
    "wid and a socket": (
        WatcherSpec(name="a", cmd="serve --fd $(circus.sockets.web) --id $(circus.wid) app:app"),
        None,
    ),
    "an environment variable": (WatcherSpec(name="a", cmd="serve", args="$(circus.env.PATH)", copy_env=True), None),
    "a shell": (WatcherSpec(name="a", cmd="serve $(circus.wid) | cat", shell=True), None),
}


def run() -> Iterable[Row]:
    environ, sockets = dict(os.environ), {"web": 9}
    for what, (spec, target) in LINES.items():
        builder = CommandBuilder(spec, environ)
        count = 5_000
        seconds = min(timeit.repeat(lambda made=builder: made.build(3, sockets), number=count, repeat=5)) / count
        yield Row(what=f"command: {what}", measured=seconds * 1e6, unit="us", target=target)
