"""The web console of circus 0.19, which is a package of others: its socket and the watcher that runs it."""

from __future__ import annotations

import shlex
import sys

from circus.spec.sockets import SocketSpec
from circus.spec.streams import StreamSpec
from circus.spec.watcher import WatcherSpec

WEB = "circushttpd"
MODULE = "circusweb"


def web_socket(host: str, port: int) -> SocketSpec:
    """The socket of the console, which the console accepts on."""
    return SocketSpec(name=WEB, host=host, port=port)


def web_watcher(endpoint: str, python: str | None = None, *, debug: bool = False) -> WatcherSpec:
    """The watcher of the console, started as circus 0.19 did; `python` is the interpreter, this one without it."""
    output = StreamSpec(cls="StdoutStream") if debug else None
    return WatcherSpec(
        name=WEB,
        cmd=shlex.quote(python or sys.executable),
        args=(
            "-c", f"from {MODULE} import circushttpd; circushttpd.main()",
            "--endpoint", endpoint, "--fd", f"$(circus.sockets.{WEB})",
        ),
        singleton=True,
        use_sockets=True,
        copy_env=True,
        copy_path=True,
        stdout_stream=output,
        stderr_stream=output,
        origin="ini",
    )  # fmt: skip
