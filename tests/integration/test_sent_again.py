"""What is lost with a connection is sent again by our clients, and done once."""

from __future__ import annotations

import asyncio
import contextlib
import pathlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from circus.answered import UNSURE
from circus.client import AsyncCircusClient, CircusClient
from circus.direct import DirectClient
from circus.exc import CallError
from tests.conftest import CircusD
from tests.helpers.daemon import Daemon
from tests.helpers.relay import Relay
from tests.helpers.upgrades import upgrade
from tests.helpers.waiting import DEADLINE, wait_until

INI = "[watcher:w]\ncmd = sleep 600\n"


class Asynchronous:
    """An AsyncCircusClient that is called like the others."""

    def __init__(self, endpoint: str, timeout: float) -> None:
        self._loop = asyncio.new_event_loop()
        self._client = AsyncCircusClient(endpoint=endpoint, timeout=timeout)

    def send_message(self, command: str, /, **props: Any) -> dict[str, Any]:
        return self._loop.run_until_complete(self._client.send_message(command, **props))

    def stop(self) -> None:
        self._client.stop()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()


def blocking(endpoint: str, timeout: float) -> CircusClient:
    return CircusClient(endpoint=endpoint, timeout=timeout)


Client = Callable[[str, float], Any]
CLIENTS: list[Client] = [blocking, Asynchronous, DirectClient]
each_client = pytest.mark.parametrize("client", CLIENTS, ids=["blocking", "asyncio", "direct"])


def times_done(daemon: Daemon, command: str = "incr") -> Counter[str]:
    """How often each request of a command was begun, by its id."""
    records = daemon.ok("events", watcher="-", record="command.started", limit=100_000)["records"]
    return Counter(each["cause"]["id"] for each in records if each["data"]["command"] == command)


@contextlib.contextmanager
def asking_through_relay(daemon: Daemon, tmp_path: pathlib.Path, client: Client) -> Iterator[tuple[Relay, Any]]:
    """The relay between them, and the client."""
    with Relay(tmp_path / "relay", daemon.endpoint) as relay:
        asking = client(relay.endpoint, DEADLINE)
        try:
            yield relay, asking
        finally:
            asking.stop()


@each_client
@pytest.mark.parametrize("lost", ["request", "reply"])
def test_what_only_reads_is_asked_again(circusd: CircusD, tmp_path: pathlib.Path, client: Client, lost: str) -> None:
    daemon = circusd(INI)
    with asking_through_relay(daemon, tmp_path, client) as (relay, asking):
        assert asking.send_message("list")["watchers"] == ["w"]
        relay.lose = lost
        assert asking.send_message("list", name="w")["status"] == "ok"
        assert asking.send_message("list")["watchers"] == ["w"]
    assert relay.lost == 1


@each_client
def test_what_was_done_is_answered_from_memory(circusd: CircusD, tmp_path: pathlib.Path, client: Client) -> None:
    daemon = circusd(INI)
    with asking_through_relay(daemon, tmp_path, client) as (relay, asking):
        relay.lose = "reply"
        assert asking.send_message("incr", name="w", nb=2, waiting=True)["numprocesses"] == 3
    assert relay.lost == 1
    assert daemon.ok("numprocesses", name="w")["numprocesses"] == 3
    assert list(times_done(daemon).values()) == [1]


@each_client
def test_what_is_under_way_is_answered_where_it_is_asked_again(
    circusd: CircusD, tmp_path: pathlib.Path, client: Client
) -> None:
    daemon = circusd(f"{INI}warmup_delay = 0.5\n")
    with Relay(tmp_path / "relay", daemon.endpoint) as relay, ThreadPoolExecutor(1) as pool:
        asking = client(relay.endpoint, DEADLINE)
        work = pool.submit(asking.send_message, "incr", name="w", nb=3, waiting=True)
        wait_until(lambda: times_done(daemon))
        relay.part()
        assert work.result()["numprocesses"] == 4
        asking.stop()
    assert list(times_done(daemon).values()) == [1]


@each_client
def test_what_may_have_been_done_is_not_done_again(circusd: CircusD, tmp_path: pathlib.Path, client: Client) -> None:
    daemon = circusd(INI)
    with asking_through_relay(daemon, tmp_path, client) as (relay, asking):
        relay.lose = "request"
        reply = asking.send_message("incr", name="w", waiting=True)
    assert (reply["status"], reply["reason"]) == ("error", UNSURE)
    assert daemon.ok("numprocesses", name="w")["numprocesses"] == 1


@pytest.mark.parametrize("lost", ["request", "reply"])
def test_what_an_upgrade_lost_is_done_once(circusd: CircusD, tmp_path: pathlib.Path, lost: str) -> None:
    daemon = circusd(INI)
    # It must have been there for longer than a client takes to find the next one.
    time.sleep(2.0)
    with contextlib.ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(len(CLIENTS)))
        works = []
        for number, client in enumerate(CLIENTS):
            path = tmp_path / f"relay{number}"
            relay = stack.enter_context(Relay(path, daemon.endpoint, lose=lost, silently=True))
            asking = client(relay.endpoint, 3 * DEADLINE)
            stack.callback(asking.stop)
            works.append(pool.submit(asking.send_message, "incr", name="w", waiting=True))
            wait_until(lambda relay=relay: relay.lost)
        upgrade(daemon)
        assert sorted(work.result().get("numprocesses", 0) for work in works) == [2, 3, 4]
    assert daemon.ok("numprocesses", name="w")["numprocesses"] == 4
    assert sorted(times_done(daemon).values()) == [1, 1, 1]


def test_who_asks_as_fast_as_he_can_over_five_upgrades_gets_all_answers(circusd: CircusD) -> None:
    daemon = circusd(INI)
    time.sleep(2.0)  # as above
    over = threading.Event()

    def ask(client: Client, command: str, **properties: object) -> tuple[int, list[object]]:
        asking, answered, wrong = client(daemon.endpoint, DEADLINE), 0, []
        while not over.is_set():
            try:
                reply = asking.send_message(command, **properties)
                answered += 1
            except CallError as error:
                wrong.append(error)
                continue
            if reply["status"] != "ok":
                wrong.append(reply)
        asking.stop()
        return answered, wrong

    with ThreadPoolExecutor(4) as pool:
        works = [pool.submit(ask, client, "list") for client in CLIENTS]
        works.append(pool.submit(ask, DirectClient, "set", name="w", options={"max_retry": 7}, waiting=True))
        try:
            for _ in range(5):
                # Hardly a moment is without a command in progress.
                upgrade(daemon, timeout=3 * DEADLINE)
        finally:
            over.set()
        asked = [work.result() for work in works]
    assert [wrong for _, wrong in asked] == [[], [], [], []]
    counts = times_done(daemon, "set")
    assert set(counts.values()) == {1}
    assert daemon.ok("telemetry")["arbiter"]["upgrades"] == 5
