"""What commands are told, and when that takes a look at the processes."""

from __future__ import annotations

import asyncio

import pytest

from circus.stats import service as module
from circus.stats.sampler import Sampler
from circus.stats.service import StatsService
from tests.fakes.readers import FakeClock, FakeReaders


class Desk:
    def __init__(self, loop, *, budget=1.0, extend=None):
        self.clock = FakeClock()
        self.readers = FakeReaders(self.clock)
        self.sampler = Sampler(self.clock, reader_factory=self.readers, ended_cpu=lambda _: (0.0, 0.0), budget=budget)
        self.service = StatsService(self.sampler, interval=1.0, loop=loop, extend=extend)

    def add(self, wid, pid, watcher="web"):
        self.sampler.add(watcher, wid, pid, wid, self.clock.time() - 60.0)


@pytest.fixture
async def desk():
    made = Desk(asyncio.get_running_loop())
    yield made
    made.service.close()


async def test_infos_come_by_pid_with_wid_and_start(desk):
    desk.add(1, 11)
    desk.add(2, 12)
    infos = await desk.service.infos("web")
    assert list(infos) == [11, 12]
    assert [info["wid"] for info in infos.values()] == [1, 2]
    assert infos[11]["started"] == desk.clock.time() - 60.0
    assert infos[11]["age"] == 60.0
    assert list(infos[11])[-3:] == ["children", "started", "wid"]


async def test_a_sample_younger_than_an_interval_is_not_renewed(desk):
    desk.add(1, 11)
    await desk.service.infos("web")
    desk.clock.now += 0.9
    await desk.service.infos("web")
    assert desk.readers.made[11].reads == 1


async def test_an_older_sample_is_renewed(desk):
    desk.add(1, 11)
    await desk.service.infos("web")
    desk.clock.now += 1.0
    desk.readers.made[11].resident = 1536 * 1024
    assert (await desk.service.infos("web"))[11]["mem_info1"] == "1.50M"


async def test_an_info_asked_for_again_differs_in_what_goes_on_by_itself(desk):
    desk.add(1, 11)
    first = (await desk.service.infos("web"))[11]
    desk.clock.now += 2.0
    desk.readers.made[11].below = [77]
    again = (await desk.service.infos("web"))[11]
    assert (again.pop("age"), first.pop("age")) == (62.0, 60.0)
    assert ([child["pid"] for child in again.pop("children")], first.pop("children")) == ([77], [])
    assert again == first


async def test_processes_of_other_watchers_are_not_read(desk):
    desk.add(1, 11)
    desk.add(1, 21, "other")
    await desk.service.infos("web")
    assert desk.readers.made[21].reads == 0


async def test_an_unknown_watcher_has_no_infos(desk):
    assert await desk.service.infos("nobody") == {}


async def test_a_process_that_is_gone_has_no_info(desk):
    desk.add(1, 11)
    desk.add(2, 12)
    desk.readers.made[11].gone = True
    assert list(await desk.service.infos("web")) == [12]


async def test_all_infos_name_watchers_without_processes_too(desk):
    desk.sampler.add_watcher("idle")
    desk.add(1, 11)
    assert {name: list(infos) for name, infos in (await desk.service.all_infos()).items()} == {"idle": [], "web": [11]}


async def test_direct_children_have_infos_of_their_own(desk):
    desk.add(1, 11)
    desk.readers.made[11].below = [77, 78]
    (info,) = (await desk.service.infos("web")).values()
    assert [child["pid"] for child in info["children"]] == [77, 78]
    assert all(child["cpu"] == 0.0 and "wid" not in child for child in info["children"])


async def test_the_hook_changes_infos_when_it_is_asked_for():
    async def extend(watcher, pid, info):
        info["extra"] = f"{watcher} {pid}"

    desk = Desk(asyncio.get_running_loop(), extend=extend)
    desk.add(1, 11)
    assert "extra" not in (await desk.service.infos("web"))[11]
    assert (await desk.service.infos("web", extended=True))[11]["extra"] == "web 11"
    desk.service.close()


async def test_the_daemon_itself_has_an_info(desk):
    info = await desk.service.daemon_info()
    assert info["pid"] == desk.service.own.sample.pid
    assert "wid" not in info


async def test_others_get_their_turn_while_many_are_read():
    desk = Desk(asyncio.get_running_loop(), budget=0.0)
    for wid in range(1, 51):
        desk.add(wid, wid)
    turns = 0

    async def other():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    await desk.service.infos("web")
    task.cancel()
    assert turns >= 50
    desk.service.close()


async def test_a_process_may_end_while_others_are_read():
    desk = Desk(asyncio.get_running_loop(), budget=0.0)
    for wid in (1, 2):
        desk.add(wid, wid)
    asking = asyncio.create_task(desk.service.infos("web"))
    await asyncio.sleep(0)
    desk.sampler.discard("web", 2)
    assert list(await asking) == [1]
    desk.service.close()


async def test_readers_are_closed_some_time_after_the_last_use(desk, monkeypatch):
    monkeypatch.setattr(module, "LINGER_SECONDS", 0.0)
    desk.add(1, 11)
    await desk.service.infos("web")
    for _ in range(1000):
        await asyncio.sleep(0)
        if desk.readers.made[11].closed:
            break
    assert desk.readers.made[11].closed == 1


async def test_readers_stay_open_while_somebody_uses_them(desk, monkeypatch):
    monkeypatch.setattr(module, "LINGER_SECONDS", 0.0)
    desk.add(1, 11)
    desk.service.begin_use()
    await desk.service.infos("web")
    for _ in range(10):
        await asyncio.sleep(0)
    assert desk.readers.made[11].closed == 0
    desk.service.end_use()
