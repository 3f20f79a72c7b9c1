"""The measurements: each runs one supervisor on a job and gives numbers by the keys of the catalogue.

A measurement yields `(key, value)` or `(key, Cannot)`, as they come, so what went wrong in the middle loses nothing
that came before. Times are taken by the children, on the monotonic clock that all processes share.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.benchmarks.beacon import Beacons
from tests.benchmarks.peers import kernel
from tests.benchmarks.peers.kinds import wait_answering
from tests.benchmarks.peers.supervisors import LONG, Cannot, Client, Job, Programs, Supervisor, closed
from tests.benchmarks.report import percentile
from tests.helpers.ports import reserved_port

LISTENER = pathlib.Path(__file__).with_name("listener.py")
Found = Iterator[tuple[str, float | Cannot]]
Maker = Callable[[], contextlib.AbstractContextManager[Supervisor]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much of each: `processes`, seconds of looking on, the most repetitions and seconds that a row may take."""

    processes: int = 1_000
    settle: float = 3.0
    idle: float = 10.0
    listen: float = 12.0
    kills: int = 60
    most_seconds: float = 15.0
    megabytes: int = 100
    writers: int = 50
    writer_lines: int = 20_000
    reloads: int = 3


QUICK = Plan(processes=200, settle=1.5, idle=5.0, listen=6.0, kills=20, most_seconds=5.0, reloads=2)


# -- a fleet of children that do nothing ----------------------------------------------------------------------------


def fleet(supervisor: Supervisor, beacons: Beacons, plan: Plan) -> Found:
    """Start, deaths, requests, restarts and the stop, of so many children."""
    count = plan.processes
    began = supervisor.start(beacon_job(beacons, count))
    first = beacons.gather(count, LONG)
    times = [said.at for said in first]
    yield "start", max(times) - began
    yield "start_children", max(times) - min(times)
    wait_answering(supervisor)
    time.sleep(plan.settle)
    if supervisor.name != "bare loop":
        yield from idle(supervisor, plan)
    alive = {said.pid for said in first}
    yield from replaced(alive, beacons, plan)
    yield from half_killed(alive, beacons, count // 2)
    if supervisor.name != "bare loop":
        yield from requests(supervisor, plan)
        yield from restarted(supervisor, beacons, alive)
    yield "stop", stopped(supervisor, alive)


def beacon_job(beacons: Beacons, count: int, *, stats: bool = False) -> Job:
    path = beacons.command[1]
    return Job(words=beacons.command, count=count, variables={"BEACON": path}, stats=stats)


def idle(supervisor: Supervisor, plan: Plan) -> Found:
    pids = supervisor.processes()
    try:
        supervisor.stats_endpoint()
    except Cannot:
        yield "pss", kernel.memory(pids) / 1e6
    before, began = kernel.cpu_seconds(pids), time.monotonic()
    time.sleep(plan.idle)
    used = kernel.cpu_seconds(pids) - before
    yield "idle", used / (time.monotonic() - began) * 60


def replaced(alive: set[int], beacons: Beacons, plan: Plan) -> Found:
    """One death after the other; each victim is one of the first, so no supervisor has a reason to wait."""
    taken = []
    until = time.monotonic() + plan.most_seconds
    for victim in random.sample(sorted(alive), min(plan.kills, len(alive) // 3)):
        time.sleep(random.uniform(0.01, 0.05))
        alive.discard(victim)
        killed = time.monotonic()
        os.kill(victim, signal.SIGKILL)
        said = beacons.next(killed + LONG)
        alive.add(said.pid)
        taken.append((said.at - killed) * 1e3)
        if time.monotonic() > until:
            break
    yield "replace", percentile(taken, 0.5)
    yield "replace_worst", max(taken)


def half_killed(alive: set[int], beacons: Beacons, count: int) -> Found:
    victims = random.sample(sorted(alive), count)
    killed = time.monotonic()
    for pid in victims:
        os.kill(pid, signal.SIGKILL)
    back = beacons.gather(count, LONG)
    alive.difference_update(victims)
    alive.update(said.pid for said in back)
    yield "half", max(said.at for said in back) - killed


def requests(supervisor: Supervisor, plan: Plan) -> Found:
    try:
        with contextlib.closing(supervisor.client()) as client:
            client.status()
            yield "list", percentile(answers(client.list, 50, 0.02, plan.most_seconds / 3), 0.5)
            try:
                yield "stats", percentile(answers(client.stats, 8, 1.2, plan.most_seconds), 0.5)
            except Cannot as cannot:
                yield "stats", cannot
    except Cannot as cannot:
        yield from ((key, cannot) for key in ("list", "stats"))
    try:
        line = supervisor.status_line()
        yield "status_line", percentile(answers(lambda: finish(supervisor.run(line)), 10, 0.05, 5.0), 0.5)
    except Cannot as cannot:
        yield "status_line", cannot


def answers(ask: Callable[[], None], count: int, pause: float, most_seconds: float) -> list[float]:
    """Milliseconds that each of so many took, less of them when they take long."""
    taken: list[float] = []
    until = time.monotonic() + most_seconds
    while len(taken) < count and (not taken or time.monotonic() < until):
        time.sleep(pause)
        began = time.perf_counter()
        ask()
        taken.append((time.perf_counter() - began) * 1e3)
    return taken


def finish(command: subprocess.Popen[bytes]) -> None:
    status = kernel.wait_end(command, LONG)
    if status:
        raise RuntimeError(f"{command.args} ended with {status}")


def restarted(supervisor: Supervisor, beacons: Beacons, alive: set[int]) -> Found:
    """Once to see how long it takes, once more to see how long others wait meanwhile."""
    try:
        line = supervisor.restart_line()
    except Cannot as cannot:
        yield from ((key, cannot) for key in ("restart", "status_worst"))
        return
    began = time.monotonic()
    command = supervisor.run(line)
    back = beacons.gather(len(alive), LONG)
    yield "restart", max(said.at for said in back) - began
    finish(command)
    renew(alive, [said.pid for said in back])
    time.sleep(2.0)  # two restarts in one second are not what is measured
    try:
        with contextlib.closing(supervisor.client()) as client:
            client.status()
            command = supervisor.run(line)
            worst = watched(client, beacons, alive)
            finish(command)
            yield "status_worst", worst
    except Cannot as cannot:
        yield "status_worst", cannot


def watched(client: Client, beacons: Beacons, alive: set[int]) -> float:
    """Milliseconds of the slowest answer until all have been replaced."""
    worst, back = 0.0, []
    until = time.monotonic() + LONG
    while len(back) < len(alive):
        began = time.perf_counter()
        client.status()
        worst = max(worst, (time.perf_counter() - began) * 1e3)
        slice_end = time.monotonic() + 0.005
        while len(back) < len(alive):
            try:
                back.append(beacons.next(slice_end).pid)
            except TimeoutError:
                break
        if time.monotonic() > until:
            raise TimeoutError(f"{len(back)} of {len(alive)} are back after {LONG} s")
    renew(alive, back)
    return worst


def renew(alive: set[int], pids: list[int]) -> None:
    alive.clear()
    alive.update(pids)


def stopped(supervisor: Supervisor, alive: set[int]) -> float:
    process = supervisor.process
    assert process is not None
    watched = alive | set(supervisor.processes()) - {process.pid}
    began = time.monotonic()
    process.send_signal(supervisor.end_signal)
    kernel.wait_end(process, LONG)
    return max(time.monotonic(), kernel.wait_gone(watched, began + LONG)) - began


# -- the same children, with their numbers published ----------------------------------------------------------------


def numbers(supervisor: Supervisor, beacons: Beacons, plan: Plan) -> Found:
    """One subscriber to the numbers of each process: what that costs, and how old they get."""
    endpoint = supervisor.stats_endpoint()
    supervisor.start(beacon_job(beacons, plan.processes, stats=True))
    beacons.gather(plan.processes, LONG)
    wait_answering(supervisor)
    own, *others = supervisor.stats_prefixes
    used, memory, heard = listened(supervisor, endpoint, own, plan)
    yield "pss", memory
    yield "stats_cpu", used
    yield "stats_age", heard["p99"]
    yield "stat_cpu", listened(supervisor, endpoint, others[0], plan)[0] if others else used


def listened(supervisor: Supervisor, endpoint: str, prefix: str, plan: Plan) -> tuple[float, float, dict[str, float]]:
    """(CPU in percent of a core, memory in MB, what the subscriber tells) while somebody hears all of a prefix."""
    with subprocess.Popen(
        [sys.executable, str(LISTENER), endpoint, prefix], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as listener:
        assert listener.stdin is not None
        assert listener.stdout is not None
        try:
            listener.stdout.readline()  # it hears something
            time.sleep(plan.settle)
            listener.stdin.write("\n")  # count from here on
            listener.stdin.flush()
            pids = supervisor.processes()
            before, began = kernel.cpu_seconds(pids), time.monotonic()
            time.sleep(plan.listen)
            used = kernel.cpu_seconds(pids) - before
            seconds = time.monotonic() - began
            memory = kernel.memory([pid for pid in pids if pid != listener.pid]) / 1e6
            listener.stdin.close()
            heard = json.loads(listener.stdout.readline())
        finally:
            listener.kill()
    if heard["processes"] < plan.processes:
        raise RuntimeError(f"numbers of only {heard['processes']} of {plan.processes} processes came")
    return used / seconds * 100, memory, heard


# -- what children write --------------------------------------------------------------------------------------------


def one_writer(supervisor: Supervisor, beacons: Beacons, plan: Plan) -> Found:
    with tempfile.TemporaryDirectory(prefix="circus-lines-") as name:
        target = pathlib.Path(name) / "current"
        lines = plan.megabytes * 10_000
        words = [supervisor.programs.path("writer"), beacons.command[1], str(lines), "100", "65536"]
        pids, ready = wrote_to(supervisor, beacons, Job(words=words, count=1, output=target))
        before = kernel.cpu_seconds(pids)
        os.kill(ready[0], signal.SIGUSR1)
        began = beacons.next(time.monotonic() + LONG).at
        beacons.next(time.monotonic() + LONG)
        ended = wait_size(target, lines * 100)
        yield "log_speed", lines * 100 / (ended - began) / 1e6
        yield "log_cpu", (kernel.cpu_seconds(pids) - before) * 100 / plan.megabytes


def many_writers(supervisor: Supervisor, beacons: Beacons, plan: Plan) -> Found:
    with tempfile.TemporaryDirectory(prefix="circus-lines-") as name:
        target = pathlib.Path(name) / "current"
        words = [supervisor.programs.path("writer"), beacons.command[1], str(plan.writer_lines), "0", "4096"]
        _, ready = wrote_to(supervisor, beacons, Job(words=words, count=plan.writers, output=target))
        for pid in ready:
            os.kill(pid, signal.SIGUSR1)
        beacons.gather(2 * plan.writers, LONG)
        wait_quiet(target)
        yield "torn", torn(target, ready, plan.writer_lines)


def wrote_to(supervisor: Supervisor, beacons: Beacons, job: Job) -> tuple[list[int], list[int]]:
    """(The supervisor's processes, the writers), all of them waiting."""
    supervisor.start(job)
    ready = [said.pid for said in beacons.gather(job.count, LONG)]
    wait_answering(supervisor)
    time.sleep(0.5)
    return supervisor.processes(), ready


def size_of(path: pathlib.Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def wait_size(path: pathlib.Path, size: int) -> float:
    """The monotonic time at which the file held that much."""
    until = time.monotonic() + LONG
    while size_of(path) < size:
        if time.monotonic() > until:
            raise TimeoutError(f"{size_of(path):,} of {size:,} bytes came")
        time.sleep(0.0005)
    return time.monotonic()


def wait_quiet(path: pathlib.Path) -> None:
    """Return when nothing has come for a second."""
    last, since = -1, time.monotonic()
    while time.monotonic() - since < 1.0:
        if size_of(path) != last:
            last, since = size_of(path), time.monotonic()
        time.sleep(0.05)


def torn(path: pathlib.Path, pids: list[int], each: int) -> int:
    """Lines of the file that are not whole, and those that are missing beside."""
    whole = re.compile(rb"(\d+) (\d+) (=*) (\d+)")
    own = {str(pid).encode() for pid in pids}
    lines = path.read_bytes().split(b"\n")
    good = 0
    for line in lines:
        found = whole.fullmatch(line)
        good += bool(found and found[1] == found[4] and found[1] in own and len(found[3]) == int(found[2]) % 90)
    bad = len(lines) - good - (not lines[-1])
    return max(bad, len(pids) * each - good)


# -- servers that are exchanged while they are asked ----------------------------------------------------------------


def reload(supervisor: Supervisor, beacons: Beacons, plan: Plan, workers: int) -> Found:
    with reserved_port() as port:
        words = [supervisor.programs.path("responder"), beacons.command[1], "{fd}"]
        line = supervisor.reload_line()
        supervisor.start(Job(words=words, count=workers, port=port))
        beacons.gather(workers, LONG)
        wait_answering(supervisor)
        wait_listening(port)
        with subprocess.Popen(
            [supervisor.programs.path("requester"), str(port), "4"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as requester:
            assert requester.stdout is not None
            try:
                for _ in range(plan.reloads):
                    time.sleep(0.7)
                    command = supervisor.run(line)
                    beacons.gather(workers, LONG)
                    finish(command)
                time.sleep(0.7)
                told, _ = requester.communicate("", LONG)
            finally:
                requester.kill()
        asked, failed, _ = map(int, told.split())
        yield f"failed_{workers}", failed
        yield f"asked_{workers}", asked


def wait_listening(port: int) -> None:
    until = time.monotonic() + LONG
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1.0).close()
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
        else:
            return


MEASUREMENTS: dict[str, Callable[[Supervisor, Beacons, Plan], Found]] = {
    "fleet": fleet,
    "numbers": numbers,
    "one_writer": one_writer,
    "many_writers": many_writers,
    "reload_4": lambda supervisor, beacons, plan: reload(supervisor, beacons, plan, 4),
    "reload_32": lambda supervisor, beacons, plan: reload(supervisor, beacons, plan, 32),
}
GIVES = {
    "numbers": ("stats_cpu", "stats_age", "stat_cpu"),
    "one_writer": ("log_speed", "log_cpu"),
    "many_writers": ("torn",),
    "reload_4": ("failed_4",),
    "reload_32": ("failed_32",),
}


def measured(name: str, make: type[Supervisor], programs: Programs, plan: Plan, **keywords: object) -> Found:
    """One measurement of a supervisor that is made for it and gone afterwards."""
    with (
        tempfile.TemporaryDirectory(prefix="circus-beacon-") as directory,
        Beacons(pathlib.Path(directory), program=programs.path("beacon")) as beacons,
        closed(make, programs, **keywords) as supervisor,
    ):
        try:
            yield from MEASUREMENTS[name](supervisor, beacons, plan)
        except Cannot as cannot:
            yield from ((key, cannot) for key in GIVES.get(name, ("start",)))
        except Exception as error:
            error.add_note(supervisor.said())
            raise
