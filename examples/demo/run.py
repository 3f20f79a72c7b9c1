"""Runs circusd on `examples/demo.ini` in the foreground and says where to look; `make demo` starts this.

Ctrl-C reaches circusd as well, which stops everything; this program only waits for it and removes the logs.
"""

from __future__ import annotations

import configparser
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
LOGS = TOP / ".demo"
BIN = pathlib.Path(sys.executable).parent


def ports() -> dict[str, int]:
    """The tcp ports of the demo by section, as the ini file has them."""
    ini = configparser.RawConfigParser()
    ini.read(TOP / "examples" / "demo.ini")
    return {section: ini.getint(section, "port") for section in ("socket:web", "exporter:prometheus")}


def is_taken(port: int) -> bool:
    """Whether somebody already listens there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen()
        except OSError:
            return True
    return False


def answers(port: int) -> bool:
    """Whether a connection is taken."""
    try:
        socket.create_connection(("127.0.0.1", port), 1.0).close()
    except OSError:
        return False
    return True


def main() -> int:
    """The exit status of circusd; 0 after Ctrl-C."""
    os.chdir(TOP)
    used = ports()
    taken = [f"port {port} of [{section}]" for section, port in used.items() if is_taken(port)]
    if taken:
        print(
            f"make demo: already in use on 127.0.0.1: {' and '.join(taken)}. "
            "Stop what listens there, or write another number into examples/demo.ini.",
            file=sys.stderr,
        )
        return 1
    LOGS.mkdir(exist_ok=True)
    env = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}
    interrupted = False

    def on_interrupt(signum: int, _frame: object) -> None:
        nonlocal interrupted
        interrupted = True
        if signum != signal.SIGINT:  # a terminal sends SIGINT to circusd too, anybody else only to us
            circusd.send_signal(signal.SIGTERM)

    circusd = subprocess.Popen([BIN / "circusd", "examples/demo.ini"], env=env)
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, on_interrupt)
    try:
        told = False
        while circusd.poll() is None and not interrupted:
            if not told and all(answers(port) for port in used.values()):
                told = True
                tell(used)
            time.sleep(0.1)
        try:
            circusd.wait(3.0)
        except subprocess.TimeoutExpired:
            circusd.terminate()  # the SIGINT was for us alone, or a worker takes its time
            circusd.wait()
    finally:
        shutil.rmtree(LOGS, ignore_errors=True)
    return 0 if interrupted and circusd.returncode in (0, -signal.SIGINT, -signal.SIGTERM) else circusd.returncode


def tell(used: dict[str, int]) -> None:
    """Say where everything is."""
    bin_ = BIN.relative_to(TOP) if BIN.is_relative_to(TOP) else BIN
    print(
        f"""
  The demo is up. Four workers share one socket; beside them one leaks, one burns CPU, one crashes.

    application   http://127.0.0.1:{used["socket:web"]}/           kill -9 a worker: the socket stays open
    metrics       http://127.0.0.1:{used["exporter:prometheus"]}/metrics
    control       {bin_}/circusctl status          also: list web, incr web, stop burner, events
    live view     {bin_}/circus-top

  Ctrl-C stops all of it.
""",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
