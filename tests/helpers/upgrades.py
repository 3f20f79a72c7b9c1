"""Upgrading a daemon in a test, and looking at whether anything was lost by it."""

from __future__ import annotations

import contextlib
import pathlib
import socket
import threading
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from tests.helpers.channels import NoAnswer
from tests.helpers.daemon import Daemon
from tests.helpers.waiting import DEADLINE, wait_until

ENDS = ("arbiter.upgraded", "arbiter.upgrade_failed")


def ask(daemon: Daemon, **properties: Any) -> dict[str, Any]:
    """The reply to `upgrade`."""
    with daemon.caller() as other:
        other.send("upgrade", **properties)
        return other.receive(3 * DEADLINE)


def upgrade(daemon: Daemon, **properties: Any) -> dict[str, Any]:
    """Upgrade, and return the record of it once the new program answers."""
    reply = ask(daemon, **properties)
    assert reply["status"] == "ok", reply
    record = end_of(daemon, reply["seq"])
    assert record["record"] == "arbiter.upgraded", record
    return record


def end_of(daemon: Daemon, since: int) -> dict[str, Any]:
    """The record that tells how an upgrade after that seq went."""

    def told() -> dict[str, Any] | None:
        # What is sent in the moment of the exchange gets no answer.
        with contextlib.suppress(NoAnswer):
            reply = daemon.call("events", timeout=1.0, since=since, watcher="-")
            return next((each for each in reply["records"] if each["record"] in ENDS), None)
        return None

    found = wait_until(told, 3 * DEADLINE, daemon.log_text)
    assert found is not None
    return found


class Hammer:
    """Clients that ask workers on a TCP port one after the other, until `stop`; `failed` is what went wrong."""

    def __init__(self, port: int, clients: int = 2) -> None:
        self.answered = 0
        self.failed: list[str] = []
        self._port = port
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(clients)]
        for thread in self._threads:
            thread.start()

    def _run(self) -> None:
        while not self._over.wait(0.001):
            try:
                with socket.create_connection(("127.0.0.1", self._port), timeout=DEADLINE) as connection:
                    connection.sendall(b"?\n")
                    answer = connection.recv(64)
                if not answer:
                    self.failed.append("no answer")
                self.answered += 1
            except OSError as error:
                self.failed.append(repr(error))

    def stop(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()


@contextlib.contextmanager
def hammered(port: int) -> Iterator[Hammer]:
    """Clients at work; afterwards none may have failed."""
    hammer = Hammer(port)
    try:
        yield hammer
    finally:
        hammer.stop()
    assert hammer.failed == []


def numbers(file: pathlib.Path) -> dict[int, list[int]]:
    """The numbers by pid in what `workers/count.py` wrote; every line must be whole but the last."""
    found: dict[int, list[int]] = defaultdict(list)
    for line in file.read_bytes().split(b"\n")[:-1]:
        pid, number, *rest = line.split(b" ")
        assert rest in ([], [b"x" * 3000]), line[:80]
        found[int(pid)].append(int(number))
    return found


def assert_nothing_lost(file: pathlib.Path) -> dict[int, list[int]]:
    """No number is missing, none is there twice, none is out of order."""
    found = numbers(file)
    for pid, seen in found.items():
        assert seen == list(range(len(seen))), f"process {pid}"
    return found
