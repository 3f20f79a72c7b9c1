"""The pictures of the documentation, taken from the real programs: `python -m docs.pictures` writes docs/images.

Owns a daemon on examples/demo.ini with ports of its own, for half a minute. Needs what `make demo` needs, and `chromium`
for the page. Invariant: nothing on a picture is drawn by hand, and no font or style in it comes from elsewhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import zmq

from circus.client import CircusClient, running_daemons
from circus.stats.viewer import addresses
from circus.stats.viewer.following import Following
from circus.stats.viewer.grid import Grid
from circus.stats.viewer.live import CircusTop
from circus.stats.viewer.subscription import Subscription
from circus.stats.viewer.view import View

TOP: Final = Path(__file__).resolve().parents[1]
IMAGES: Final = TOP / "docs" / "images"
SIZE: Final = (124, 26)
WINDOW: Final = (1180, 900)
LIFE_SECONDS: Final = 25.0
MOMENTS: Final = 120
BURNS: Final = re.compile(r"burner 1/1 +(?:[3-9]\d|1\d\d)\.\d")  # two fifths of a core
_FONT: Final = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


def free_port() -> int:
    """A port that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def demo(directory: Path) -> Iterator[int]:
    """The daemon of `make demo`, some seconds old and with a worker killed; gives the port of its page."""
    page = free_port()
    ini = (TOP / "examples/demo.ini").read_text()
    ini = ini.replace("9464", str(page)).replace("8080", str(free_port())).replace(".demo/", f"{directory}/")
    (directory / "demo.ini").write_text(ini)
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    env["CIRCUS_RUNTIME_DIR"] = os.environ["CIRCUS_RUNTIME_DIR"] = str(directory)
    daemon = subprocess.Popen(["circusd", directory / "demo.ini"], cwd=TOP, env=env, stderr=subprocess.DEVNULL)
    try:
        while not running_daemons():
            time.sleep(0.1)
        time.sleep(LIFE_SECONDS / 2)
        with CircusClient(endpoint=running_daemons()[0]) as client:
            os.kill(client.send_message("list", name="web")["pids"][0], signal.SIGKILL)
        time.sleep(LIFE_SECONDS / 2)
        yield page
    finally:
        daemon.terminate()
        daemon.wait()


async def circus_top() -> str:
    """The live view after some seconds, as SVG."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    subscription = Subscription(View(), context, addresses.find_stats(), now=time.monotonic())
    try:
        app = CircusTop(Following(subscription))
        async with app.run_test(size=SIZE) as pilot:
            for _ in range(MOMENTS):
                await pilot.pause(0.5)
                if BURNS.search(_text(app)):
                    break
            return _FONT.sub("", app.export_screenshot(title="circus-top"))
    finally:
        subscription.close()
        context.term()


def _text(app: CircusTop) -> str:
    grid = app.query_one(Grid)
    return "\n".join(grid.render_line(y).text for y in range(grid.size.height))


def page(port: int, to: Path) -> None:
    """The page of the exporter, as a browser shows it."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        print("no chromium: the picture of the page stays as it is", file=sys.stderr)
        return
    words = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        f"--window-size={WINDOW[0]},{WINDOW[1]}",
    ]
    command = [browser, *words, f"--screenshot={to}", f"http://127.0.0.1:{port}/"]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)


def main() -> None:
    """Take them all."""
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="circus-") as directory, demo(Path(directory)) as port:
        (IMAGES / "circus-top.svg").write_text(asyncio.run(circus_top()))
        page(port, IMAGES / "page.png")


if __name__ == "__main__":
    main()
