"""The feed of the exporter over real sockets, against a daemon that a test plays."""

from __future__ import annotations

import asyncio
import pathlib
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator

import msgspec
import pytest

from circus_exporters.feed import Feed, Timings
from circus_exporters.state import FleetState, Listener
from tests.fakes import fleet
from tests.fakes.scripted_daemon import ScriptedDaemon
from tests.helpers.waiting import DEADLINE, Late

QUICK = Timings(answer=0.3, retry=0.02, silence=0.3, settle=0.05)


async def until(condition: Callable[[], object]) -> None:
    """Wait for a condition that another task of this loop makes true."""
    end = time.monotonic() + DEADLINE
    while not condition():
        if time.monotonic() > end:
            raise Late("the condition did not come true")
        await asyncio.sleep(0.005)


@pytest.fixture
def directory() -> Iterator[pathlib.Path]:
    made = pathlib.Path(tempfile.mkdtemp(prefix="circus-"))
    yield made
    shutil.rmtree(made)


class Following:
    """A feed that runs, and what it reported."""

    def __init__(self, directory: pathlib.Path) -> None:
        self.state = FleetState("here")
        self.attached: list[bool] = []
        self.losses = 0
        self.feed = Feed(
            f"ipc://{directory}/control", self.state,
            on_attached=self.attached.append, on_lost=self._lost, timings=QUICK,
        )  # fmt: skip

    def _lost(self) -> None:
        self.losses += 1


@pytest.fixture
async def following(directory: pathlib.Path) -> AsyncIterator[Following]:
    made = Following(directory)
    task = asyncio.create_task(made.feed.run())
    yield made
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def daemon(directory: pathlib.Path) -> AsyncIterator[ScriptedDaemon]:
    async with ScriptedDaemon(directory) as made:
        yield made


async def test_a_daemon_is_found_and_its_snapshot_taken(following: Following, daemon: ScriptedDaemon) -> None:
    await until(following.state.attached)
    assert [watcher.name for watcher in following.state.watchers()] == ["web"]
    assert following.attached == [True]


async def test_a_daemon_that_comes_later_is_found(following: Following, directory: pathlib.Path) -> None:
    await asyncio.sleep(0.1)
    assert not following.state.attached()
    async with ScriptedDaemon(directory):
        await until(following.state.attached)


async def test_samples_are_followed(following: Following, daemon: ScriptedDaemon) -> None:
    await daemon.subscribed()
    await until(following.state.attached)
    await daemon.publish(fleet.daemon_sample(seq=1))
    await daemon.publish(fleet.sample("web", 2, seq=1))
    await until(lambda: list(following.state.samples(time.monotonic())))
    assert following.state.up(time.monotonic())


async def test_a_refresh_takes_a_new_snapshot(following: Following, daemon: ScriptedDaemon) -> None:
    await until(following.state.attached)
    daemon.telemetry = fleet.telemetry(fleet.watcher("web", 3))
    assert await following.feed.refresh()
    assert following.state.watchers()[0].desired == 3


async def test_refreshes_that_wait_together_share_a_question(following: Following, daemon: ScriptedDaemon) -> None:
    await until(following.state.attached)
    daemon.asked.clear()
    assert all(await asyncio.gather(*(following.feed.refresh() for _ in range(20))))
    assert daemon.asked.count("telemetry") <= 2


async def test_records_are_followed_in_order(following: Following, daemon: ScriptedDaemon) -> None:
    await daemon.subscribed()
    await until(following.state.attached)
    for seq in (11, 12, 13):
        await daemon.publish(fleet.record(seq))
    await until(lambda: following.state.last_seq == 13)
    assert [record.seq for record in following.state.recent] == [11, 12, 13]
    assert following.state.event_gaps == 0


async def test_a_gap_is_filled_from_the_journal(following: Following, daemon: ScriptedDaemon) -> None:
    await daemon.subscribed()
    await until(following.state.attached)
    daemon.journal += [fleet.record(11), fleet.record(12)]  # made, and never arrived
    await daemon.publish(fleet.record(13))
    await until(lambda: following.state.last_seq == 13)
    assert [record.seq for record in following.state.recent] == [11, 12, 13]
    assert following.state.event_gaps == 2
    assert following.state.events_lost == 0


class Heard(Listener):
    def __init__(self, seqs: list[int]) -> None:
        self._seqs = seqs

    def on_record(self, record) -> None:
        self._seqs.append(record.seq)


@pytest.mark.parametrize("kept_from", [1, 4])
async def test_who_wants_records_gets_each_once_and_in_order_also_those_from_before(
    daemon: ScriptedDaemon, directory: pathlib.Path, kept_from: int
) -> None:
    daemon.journal += [fleet.record(seq) for seq in range(kept_from, 11)]
    following, told = Following(directory), []
    following.state.listeners.append(Heard(told))
    task = asyncio.create_task(following.feed.run())
    try:
        await daemon.subscribed()
        await daemon.publish(fleet.record(11))
        await until(lambda: following.state.last_seq == 11)
        daemon.journal += [fleet.record(12), fleet.record(13)]  # made, and never arrived
        await daemon.publish(fleet.record(14))
        await until(lambda: following.state.last_seq == 14)
        daemon.deaf = True
        await until(lambda: following.losses == 1)
        daemon.journal.append(fleet.record(15))  # while nobody followed
        daemon.telemetry = fleet.telemetry(fleet.watcher("web", 2), seq=15)
        daemon.deaf = False
        await until(lambda: following.state.last_seq == 15)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert told == list(range(kept_from, 16))
    assert following.state.events_lost == 0


async def test_a_flood_of_records_is_taken_to_the_last_one(following: Following, daemon: ScriptedDaemon) -> None:
    await daemon.subscribed()
    await until(following.state.attached)
    for seq in range(11, 5011):
        await daemon.publish(fleet.record(seq))
    await until(lambda: following.state.last_seq == 5010)
    assert following.state.events_lost == 0


async def test_a_journal_that_answers_nothing_useful_is_asked_once(
    following: Following, daemon: ScriptedDaemon
) -> None:
    await daemon.subscribed()
    await until(following.state.attached)
    strange = [fleet.record(seq, boot="elsewhere") for seq in (11, 12)]
    daemon.answers["events"] = lambda _: {"status": "ok", "boot": fleet.BOOT, "records": msgspec.to_builtins(strange)}
    daemon.asked.clear()
    await daemon.publish(fleet.record(13))
    await until(lambda: following.state.last_seq == 13)
    assert daemon.asked.count("events") == 1


async def test_what_the_journal_has_forgotten_is_counted_as_lost(following: Following, daemon: ScriptedDaemon) -> None:
    await daemon.subscribed()
    await until(following.state.attached)
    daemon.journal += [fleet.record(14)]  # 11 to 13 are gone for ever
    await daemon.publish(fleet.record(15))
    await until(lambda: following.state.last_seq == 15)
    assert following.state.events_lost == 3
    assert [record.seq for record in following.state.recent] == [14, 15]


async def test_records_that_came_last_and_were_lost_are_missed(following: Following, daemon: ScriptedDaemon) -> None:
    await daemon.subscribed()
    await until(following.state.attached)
    daemon.journal += [fleet.record(11), fleet.record(12)]
    daemon.telemetry = fleet.telemetry(fleet.watcher("web", 2), seq=12)
    assert await following.feed.refresh()
    await until(lambda: following.state.last_seq == 12)
    assert following.state.event_gaps == 2


async def test_an_unreadable_message_is_passed_over(following: Following, daemon: ScriptedDaemon) -> None:
    await daemon.subscribed()
    await until(following.state.attached)
    await daemon.publish_raw(b"lifecycle.web.process.spawned", b"{")
    await daemon.publish_raw(b"sample.web", b'{"boot": 3}')
    await daemon.publish(fleet.record(11))
    await until(lambda: following.state.last_seq == 11)
    assert following.state.attached()


async def test_the_end_of_the_daemon_is_noticed(following: Following, directory: pathlib.Path) -> None:
    async with ScriptedDaemon(directory):
        await until(following.state.attached)
    await until(lambda: following.losses == 1)
    assert not following.state.attached()
    assert not await following.feed.refresh()


async def test_a_daemon_that_hangs_and_recovers_is_the_same_one(following: Following, daemon: ScriptedDaemon) -> None:
    await until(following.state.attached)
    daemon.deaf = True
    await until(lambda: following.losses == 1)
    daemon.deaf = False
    await until(following.state.attached)
    assert following.attached == [True, False]


async def test_a_quiet_daemon_that_answers_is_alive(following: Following, daemon: ScriptedDaemon) -> None:
    await until(following.state.attached)
    daemon.asked.clear()
    await until(lambda: daemon.asked.count("telemetry") >= 3)
    assert following.losses == 0


async def test_another_daemon_at_the_same_address_is_told_apart(following: Following, directory: pathlib.Path) -> None:
    async with ScriptedDaemon(directory):
        await until(following.state.attached)
    async with ScriptedDaemon(directory, fleet.telemetry(fleet.watcher("api", 1), boot="other")) as second:
        await until(lambda: following.attached == [True, True])
        assert [watcher.name for watcher in following.state.watchers()] == ["api"]
        await second.subscribed()
        await second.publish(fleet.daemon_sample(boot="other"))
        await until(lambda: following.state.daemon is not None)


async def test_a_daemon_that_begins_anew_without_a_pause_is_noticed_by_its_samples(
    following: Following, daemon: ScriptedDaemon
) -> None:
    await daemon.subscribed()
    await until(following.state.attached)
    daemon.telemetry = fleet.telemetry(fleet.watcher("web", 2), boot="second")
    await daemon.publish(fleet.daemon_sample(boot="second"))
    await until(lambda: following.attached == [True, True])
    assert following.state.boot == "second"


async def test_a_daemon_without_telemetry_is_told_in_one_line(
    directory: pathlib.Path, following: Following, caplog: pytest.LogCaptureFixture
) -> None:
    async with ScriptedDaemon(directory) as old:
        del old.answers["telemetry"]
        await until(lambda: old.asked.count("telemetry") >= 3)
    told = [message for message in caplog.messages if "telemetry" in message]
    assert len(told) == 1
    assert "unknown command" in told[0]
