"""What `get_arbiter` takes: every kind of option of circus 0.19, and commands of one's own."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from circus.client import AsyncCircusClient
from circus.commands.base import KNOWN_COMMANDS, Command
from circus.commands.util import convert_option, validate_option
from circus.exc import ArgumentError, MessageError
from circus.process import devnull
from circus.shims import TransformableFuture
from circus.sockets import CircusSocket
from tests.helpers.embedding import SLEEPER, made, until
from tests.helpers.waiting import DEADLINE

# A program with an arbiter keeps one descriptor of it for its workers; opened now, it is no leak of a test.
devnull()

REPORT = "import os, resource, sys; print(os.environ.get('COLOR'), resource.getrlimit(resource.RLIMIT_NOFILE)[0], sys.argv[1:], os.getcwd(), flush=True); import time; time.sleep(1000)"


@pytest.fixture
def directory() -> Iterator[str]:
    """A directory whose name is short enough for unix sockets."""
    with tempfile.TemporaryDirectory(prefix="circus-") as directory:
        yield directory


async def test_a_watcher_has_all_that_its_dict_says(directory: str, tmp_path: Path) -> None:
    asked: list[str] = []

    def hook(hook_name: str, **_: object) -> bool:
        asked.append(hook_name)
        return True

    log = tmp_path / "web.log"
    options: dict[str, Any] = {
        "cmd": sys.executable,
        "args": ["-c", REPORT, "$(circus.wid)"],
        "name": "Web",
        "env": {"COLOR": "red"},
        "rlimits": {"nofile": 200},
        "working_dir": str(tmp_path),
        "stdout_stream": {"class": "FileStream", "filename": str(log)},
        "hooks": {"before_start": (hook, False), "after_start": ("os.getpid", True), "after_stop": hook},
        "stop_signal": signal.SIGINT,
        "graceful_timeout": 5,
        "flapping.attempts": 3,
    }
    before = dict(options)
    arbiter = made(directory, options)
    assert options == before
    await asyncio.wait_for(arbiter.start(), DEADLINE)
    try:
        await until(lambda: log.exists() and log.read_text())
        assert log.read_text() == f"red 200 ['1'] {tmp_path}\n"
        client = AsyncCircusClient(endpoint=arbiter.endpoint, timeout=DEADLINE)
        shown = (await client.send_message("options", name="web"))["options"]
        client.stop()
        assert (shown["flapping.attempts"], shown["stop_signal"]) == (3, 2)
    finally:
        await asyncio.wait_for(arbiter.stop(), DEADLINE)
    assert asked == ["before_start", "after_stop"]


@pytest.mark.parametrize("kind", ["object", "dict"])
async def test_sockets_are_handed_to_the_workers(directory: str, kind: str) -> None:
    path = f"{directory}/web.sock"
    sock = CircusSocket(name="web", path=path) if kind == "object" else {"name": "web", "path": path}
    answer = "import socket,sys; s=socket.socket(fileno=int(sys.argv[1])); s.setblocking(True); c=s.accept()[0]; c.sendall(b'hello'); c.close()"
    watcher = {
        "name": "web",
        "cmd": sys.executable,
        "args": ["-c", answer, "$(circus.sockets.web)"],
        "use_sockets": True,
    }
    arbiter = made(directory, watcher, sockets=[sock])
    await asyncio.wait_for(arbiter.start(), DEADLINE)
    try:
        found = arbiter.get_socket("web")
        assert found is not None
        assert (found.path, arbiter.get_socket("none")) == (path, None)

        def ask() -> bytes:
            with socket.socket(socket.AF_UNIX) as caller:
                caller.settimeout(DEADLINE)
                caller.connect(path)
                return caller.recv(100)

        assert await asyncio.to_thread(ask) == b"hello"
    finally:
        await asyncio.wait_for(arbiter.stop(), DEADLINE)
        await asyncio.get_running_loop().shutdown_default_executor()
    assert os.listdir(directory) == []


async def test_plugins_run_beside_the_watchers(directory: str, tmp_path: Path) -> None:
    (tmp_path / "noting.py").write_text(
        "from circus.plugins import CircusPlugin\n"
        "class Noting(CircusPlugin):\n"
        "    name = 'noting'\n"
        "    def handle_init(self):\n"
        f"        open({str(tmp_path / 'said')!r}, 'w').write(repr(sorted(self.config.items())))\n"
        "    def handle_recv(self, data):\n"
        "        pass\n"
    )
    plugin = {"use": "noting.Noting", "color": "a:::b c", "number": 3, "working_dir": str(tmp_path)}
    sys.path.insert(0, str(tmp_path))
    try:
        arbiter = made(directory, SLEEPER, plugins=[plugin])
        await asyncio.wait_for(arbiter.start(), DEADLINE)
    finally:
        sys.path.remove(str(tmp_path))
    try:
        assert set(arbiter.statuses()) == {"web", "noting.Noting"}
        said = await until(lambda: (tmp_path / "said").exists() and (tmp_path / "said").read_text())
        assert "('color', 'a:::b c')" in said
        assert "('number', '3')" in said
    finally:
        await asyncio.wait_for(arbiter.stop(), DEADLINE)


# -- commands of one's own, with the conventions of 0.19


@pytest.fixture
def _forgotten() -> Iterator[None]:
    """Commands that a test defines are known only to it."""
    known = list(KNOWN_COMMANDS)
    yield
    KNOWN_COMMANDS[:] = known


@pytest.mark.usefixtures("_forgotten")
async def test_commands_of_one_s_own_are_answered(directory: str) -> None:
    class Greet(Command):
        """Say hello to a watcher

        The rest of the help.
        """

        name = "greet"
        properties = ["name"]  # noqa: RUF012 - as programs of 0.19 write it
        options: ClassVar[Any] = [("loud", "loud", False, "say it loudly")]

        def message(self, *args: str, **opts: Any) -> Any:
            return self.make_message(name=args[0], **opts)

        def execute(self, arbiter: Any, props: dict[str, Any]) -> Any:
            watcher = self._get_watcher(arbiter, props["name"])
            how = props.get("how")
            if how == "list":
                return [watcher.name]
            if how == "nothing":
                return None
            if how == "coroutine":
                return self._later(watcher)
            if how == "future":
                future = TransformableFuture()
                future.set_upstream_future(self._later(watcher))
                future.set_transform_function(lambda found: {"told": found})
                return future
            if how == "other":
                return 3
            return {"hello": watcher.name}

        async def _later(self, watcher: Any) -> dict[str, Any]:
            await asyncio.sleep(0)
            return {"later": watcher.name}

    assert (Greet.short, Greet.order > 0, "The rest" in Greet.desc) == ("Say hello to a watcher", True, True)
    assert Greet().message("web", loud=True) == {
        "command": "greet",
        "properties": {"name": "web", "loud": True},
    }
    arbiter = made(directory, SLEEPER)
    await asyncio.wait_for(arbiter.start(), DEADLINE)
    client = AsyncCircusClient(endpoint=arbiter.endpoint, timeout=DEADLINE)

    async def greet(**props: Any) -> dict[str, Any]:
        reply = await client.send_message("greet", **props)
        return {key: value for key, value in reply.items() if key not in ("id", "time", "tb")}

    try:
        assert await greet(name="WEB") == {"status": "ok", "hello": "web"}
        assert await greet(name="web", how="list") == {"status": "ok", "results": ["web"]}
        assert await greet(name="web", how="nothing") == {"status": "ok"}
        assert await greet(name="web", how="coroutine", waiting=True) == {"status": "ok", "later": "web"}
        assert await greet(name="web", how="coroutine") == {"status": "ok"}
        assert await greet(name="web", how="future", waiting=True) == {"status": "ok", "told": {"later": "web"}}
        assert (await greet(name="web", how="other"))["status"] == "error"
        assert (await greet())["errno"] == 3
        assert (await greet(name="none"))["reason"] == "program none not found"
    finally:
        client.stop()
        await asyncio.wait_for(arbiter.stop(), DEADLINE)


def test_values_of_options_are_checked_for_commands_of_others() -> None:
    assert convert_option("numprocesses", "3") == 3
    assert convert_option("env", "A=1,B=2") == {"A": "1", "B": "2"}
    with pytest.raises(ArgumentError):
        convert_option("zz", "1")
    validate_option("numprocesses", 3)
    with pytest.raises(MessageError, match="integer"):
        validate_option("numprocesses", "3")
    with pytest.raises(MessageError, match="unknown key"):
        validate_option("zz", 1)
