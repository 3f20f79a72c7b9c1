"""What alerts cost the exporter for 2,000 processes, a flood of 10,000 records, and what the exporter costs the daemon.

The exporter is the real process each time. With alerts and without are measured in turns, because this machine has
other things to do as well.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import pathlib
import tempfile
import time
from collections.abc import AsyncIterator, Iterator

from circus.spec.exporters import ExporterDocument
from circus.wire.events import Record
from tests.benchmarks.bench_sampling import subscriber
from tests.benchmarks.bench_scrape import EXPORTER_TARGET, MEMORY_TARGET, PROCESSES, WATCHERS, _publish, _resident
from tests.benchmarks.daemons import daemon as real_daemon
from tests.benchmarks.daemons import usage
from tests.benchmarks.report import Row, median
from tests.fakes import fleet
from tests.fakes.scripted_daemon import ScriptedDaemon
from tests.helpers.daemon import Daemon, script
from tests.helpers.metrics import scrape
from tests.helpers.ports import wait_listening
from tests.helpers.waiting import DEADLINE, wait_until

ROUNDS = 3
ROUND_SECONDS = 10.0
SCRAPE_EVERY = 5.0
RECORDS = 10_000
SLEEPERS = 200
ALERTS: dict[str, dict[str, str]] = {
    "flapping": {}, "down": {}, "replicas_missing": {}, "exit": {}, "hook_failed": {}, "stuck_reload": {},
    "silent_output": {}, "stats_stale": {}, "memory": {"above": "1GiB"}, "memory_growth": {}, "cpu": {}, "fds": {},
}  # fmt: skip
NOTIFY = {"nobody": {"type": "exec", "cmd": "true"}}


@contextlib.asynccontextmanager
async def exporter(daemon: ScriptedDaemon, *, alerts: bool) -> AsyncIterator[asyncio.subprocess.Process]:
    """A real exporter that follows a played daemon, as circusd would start it."""
    document = ExporterDocument(
        endpoint=daemon.endpoint, pubsub_endpoint=daemon.pubsub_endpoint, stats_endpoint=daemon.stats_endpoint,
        exporters={"prometheus": {"port": "0"}}, alerts=ALERTS if alerts else {}, notify=NOTIFY if alerts else {},
    )  # fmt: skip
    made = await asyncio.create_subprocess_exec(
        script("circus-exporter"), "--stdin", stdin=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    assert made.stdin is not None
    made.stdin.write(json.dumps(dataclasses.asdict(document)).encode())
    made.stdin.close()
    try:
        await asyncio.wait_for(daemon.subscribed(), DEADLINE)
        yield made
    finally:
        made.terminate()
        await made.wait()


async def _following() -> list[Row]:
    each = PROCESSES // WATCHERS
    told = fleet.telemetry(*(fleet.watcher(f"watcher-{number}", each, slots=[]) for number in range(WATCHERS)), seq=0)
    shares: dict[bool, list[float]] = {False: [], True: []}
    resident: dict[bool, int] = {}
    with tempfile.TemporaryDirectory(prefix="circus-") as directory:
        async with (
            ScriptedDaemon(pathlib.Path(directory), told) as daemon,
            exporter(daemon, alerts=False) as plain,
            exporter(daemon, alerts=True) as watching,
        ):
            publishing = asyncio.create_task(_publish(daemon, each))
            processes = {False: plain.pid, True: watching.pid}
            ports = {kind: await asyncio.to_thread(wait_listening, pid) for kind, pid in processes.items()}
            for _ in range(ROUNDS):
                before = {kind: usage(pid) for kind, pid in processes.items()}
                begun = time.monotonic()
                for _ in range(int(ROUND_SECONDS / SCRAPE_EVERY)):
                    for port in ports.values():
                        await asyncio.to_thread(scrape, port)
                    await asyncio.sleep(SCRAPE_EVERY)
                for kind, pid in processes.items():
                    used = (usage(pid) - before[kind]).cpu_seconds
                    shares[kind].append(used / (time.monotonic() - begun))
            resident = {kind: _resident(pid) for kind, pid in processes.items()}
            publishing.cancel()
    without, having = median(shares[False]) * 100, median(shares[True]) * 100
    return [
        Row(what=f"exporter of {PROCESSES} processes at 1 Hz, scraped every {SCRAPE_EVERY:g} s, {len(ALERTS)} alerts",
            measured=having, unit="% of a core", target=EXPORTER_TARGET, note=f"without alerts {without:.2f} %"),
        Row(what="its resident memory", measured=resident[True] / 1e6, unit="MB", target=MEMORY_TARGET,
            note=f"without alerts {resident[False] / 1e6:.0f} MB"),
    ]  # fmt: skip


def _flood() -> Iterator[Record]:
    """Crashes and respawns of all watchers, and at last the one that an alert tells us of."""
    for seq in range(1, RECORDS):
        name = f"watcher-{seq // 2 % WATCHERS}"
        if seq % 2:
            yield fleet.record(seq, "process.exited", name, data={"reason": "exit_error", "expected": False})
        else:
            yield fleet.record(seq, "process.spawned", name, data={"cause": "crash"})
    yield fleet.record(RECORDS, "process.exited", "last", data={"reason": "oom", "expected": False})


async def _flooded() -> list[Row]:
    names = [*(f"watcher-{number}" for number in range(WATCHERS)), "last"]
    told = fleet.telemetry(*(fleet.watcher(name, 1, slots=[]) for name in names), seq=0)
    with tempfile.TemporaryDirectory(prefix="circus-") as directory:
        async with ScriptedDaemon(pathlib.Path(directory), told) as daemon, exporter(daemon, alerts=True) as process:
            port = await asyncio.to_thread(wait_listening, process.pid)
            await asyncio.to_thread(wait_until, lambda: "alerts" in daemon.asked)
            records = list(_flood())
            before, begun = usage(process.pid), time.monotonic()
            for record in records:
                await daemon.publish(record)
            published = time.monotonic() - begun

            def told_of_last() -> bool:
                firing = [each for each in daemon.recorded if each["record"] == "alert.firing"]
                return any(each["watcher"] == "last" for each in firing)

            await asyncio.to_thread(wait_until, told_of_last, 60.0)
            took = time.monotonic() - begun
            used = (usage(process.pid) - before).cpu_seconds
            page = await asyncio.to_thread(scrape, port)
    assert page is not None
    lost = page.value("circus_exporter_event_lost_records_total")
    gaps = page.value("circus_exporter_event_gap_records_total")
    firing = [each for each in daemon.recorded if each["record"] == "alert.firing" and each["data"]["alert"] == "exit"]
    return [
        Row(what=f"{RECORDS} records, until the alert about the last is told", measured=took, unit="s",
            note=f"published in {published:.1f} s; the tick is 1 s; {used:.2f} s of CPU"),
        Row(what="of them lost", measured=lost, unit="records", target=0.0, note=f"{gaps:.0f} asked for again"),
        Row(what="watchers whose crashes were told", measured=len(firing), unit=f"of {len(names)}"),
    ]  # fmt: skip


def _daemons_cost() -> Iterator[Row]:
    """A subscriber that only reads, and the exporter, in turns: what is beyond publishing."""
    rules = "".join(
        f"[alert:{name}]\n" + "".join(f"{option} = {text}\n" for option, text in options.items())
        for name, options in ALERTS.items()
    )
    ini = (
        f"[watcher:sleeper]\ncmd = /bin/sleep 100000\nnumprocesses = {SLEEPERS}\n"
        f"[exporter:prometheus]\nport = 0\n[notify:nobody]\ntype = exec\ncmd = true\n{rules}"
    )
    with real_daemon(ini) as daemon:
        daemon.wait_pids("sleeper", SLEEPERS, 60.0)
        shares: dict[str, list[float]] = {"nobody": [], "subscriber": [], "exporter": []}
        for _ in range(ROUNDS):
            daemon.ok("stop", name="circus-exporter", waiting=True)
            shares["nobody"].append(_share(daemon, None))
            with subscriber(daemon.stats_endpoint, "sample."), subscriber(daemon.pubsub_endpoint, "lifecycle."):
                shares["subscriber"].append(_share(daemon, None))
            daemon.ok("start", name="circus-exporter", waiting=True)
            (pid,) = daemon.wait_pids("circus-exporter", 1)
            shares["exporter"].append(_share(daemon, wait_listening(pid)))
    nobody, publishing, watched = (median(found) * 100 for found in shares.values())
    yield Row(what=f"circusd with {SLEEPERS} processes, its samples and records read by somebody", measured=publishing,
              unit="% of a core", note=f"by nobody {nobody:.2f} %")  # fmt: skip
    yield Row(what=f"the same with the exporter, {len(ALERTS)} alerts, scraped every {SCRAPE_EVERY:g} s",
              measured=watched, unit="% of a core", note=f"{watched - publishing:+.2f} % beyond publishing")  # fmt: skip


def _share(daemon: Daemon, port: int | None) -> float:
    """CPU of the daemon in cores over a while, after a moment of quiet."""
    assert daemon.process is not None
    time.sleep(2.0)
    before, begun = usage(daemon.process.pid), time.monotonic()
    while time.monotonic() - begun < ROUND_SECONDS:
        if port is not None:
            scrape(port)
        time.sleep(SCRAPE_EVERY)
    return (usage(daemon.process.pid) - before).cpu_seconds / (time.monotonic() - begun)


def run() -> Iterator[Row]:
    yield from asyncio.run(_following())
    yield from asyncio.run(_flooded())
    yield from _daemons_cost()
