"""A thousand alerts at once: none that should go is lost, and nobody gets them faster than he wants."""

from __future__ import annotations

import asyncio
import pathlib
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator

import pytest

from circus.spec.alerts import NotifySpec, read_alerts
from circus_exporters.alerts.setup import AlertExport
from circus_exporters.feed import Feed
from circus_exporters.state import FleetState
from tests.fakes import fleet
from tests.fakes.scripted_daemon import ScriptedDaemon
from tests.helpers.waiting import wait_until
from tests.helpers.webhooks import Webhooks

NUMBER = 1_000
MIB = 1 << 20
RATE, BURST = 400.0, 50


@pytest.fixture
async def daemon() -> AsyncIterator[ScriptedDaemon]:
    with tempfile.TemporaryDirectory(prefix="circus-") as directory:
        async with ScriptedDaemon(pathlib.Path(directory), fleet.telemetry(fleet.watcher("web", NUMBER))) as made:
            yield made


@pytest.fixture
def hooks() -> Iterator[Webhooks]:
    made = Webhooks()
    yield made
    made.stop()


async def until(predicate) -> None:
    await asyncio.to_thread(wait_until, predicate, 60.0)


async def test_a_thousand_alerts_at_once_all_arrive_within_the_rate_and_in_order(
    daemon: ScriptedDaemon, hooks: Webhooks
) -> None:
    state = FleetState(daemon.endpoint)
    feed = Feed(daemon.endpoint, state)
    rules, _, _ = read_alerts({"memory": {"above": "100MiB", "for": "0"}}, {})
    single = NotifySpec(name="single", type="webhook", url=f"{hooks.url}/single", rate=RATE, burst=BURST, batch=1)
    few = NotifySpec(name="few", type="webhook", url=f"{hooks.url}/few", rate=5.0, burst=2, batch=100)
    short = NotifySpec(name="short", type="webhook", url="http://127.0.0.1:9", queue=100)
    export = AlertExport(state, rules, [single, few, short], feed.ask, feed.refresh, tick=0.05)
    daemon.journal += [fleet.record(seq) for seq in range(1, 11)]
    tasks = [asyncio.create_task(job) for job in (feed.run(), export.run())]

    async def publish(size: int) -> float:
        processes = [fleet.process(wid, resident_bytes=size * MIB) for wid in range(1, NUMBER + 1)]
        publish.seq += 1  # type: ignore[attr-defined]
        begun = time.monotonic()
        await daemon.publish(fleet.daemon_sample(seq=publish.seq))  # type: ignore[attr-defined]
        await daemon.publish(fleet.sample("web", processes, seq=publish.seq))  # type: ignore[attr-defined]
        return begun

    publish.seq = 0  # type: ignore[attr-defined]
    try:
        await daemon.subscribed()
        await until(lambda: export._known)
        begun = await publish(200)
        await until(lambda: export.counts.waiting["single"] > BURST)
        await publish(20)
        await until(lambda: export.counts.delivered["few"] == export.counts.delivered["single"] == 2 * NUMBER)
        ended = hooks.requests[-1].at
        await until(lambda: sum(each["record"] == "alert.resolved" for each in daemon.recorded) == NUMBER)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await export.close()

    alone = [request for request in hooks.requests if request.path == "/single"]
    together = [request for request in hooks.requests if request.path == "/few"]
    assert len(alone) == 2 * NUMBER
    assert ended - begun >= (2 * NUMBER - BURST) / RATE
    assert 20 <= len(together) <= 24
    counted = Counter(hooks.alerts())
    assert set(counted.values()) == {2}  # both of them, each once
    assert len(counted) == 2 * NUMBER
    told = [status for status, *_ in hooks.alerts(wid="7")]
    assert sorted(told) == ["firing", "firing", "resolved", "resolved"]
    assert export.counts.failed["single"]["overflow"] == 0
    # Who takes only a hundred gets the latest hundred, once it is there, and the others are counted.
    assert export.counts.failed["short"]["overflow"] >= NUMBER - 100
    firing = [each for each in daemon.recorded if each["record"] == "alert.firing"]
    assert sorted(each["wid"] for each in firing) == list(range(1, NUMBER + 1))
    for name in ("single", "few"):
        delivered = [each["data"] for each in daemon.recorded if each["record"] == "alert.delivered"]
        assert sum(each["count"] for each in delivered if each["notify"] == name) == 2 * NUMBER
