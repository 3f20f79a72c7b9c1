"""Both readers on real processes, beside psutil's own answers: within a tick of the clock and a page of memory."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import resource
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator

import psutil
import pytest

from circus.stats.readers import choose_readers
from tests.helpers.waiting import wait_until
from tests.workers import python

TICK = 1.0 / os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
KINDS = ["procfs", "psutil"] if sys.platform == "linux" else ["psutil"]

THREADS = """
import threading, time
for _ in range(7):
    threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
print(flush=True)
time.sleep(1000)
"""


@contextlib.contextmanager
def running(command: str, **options) -> Iterator[subprocess.Popen]:
    """A child, ended afterwards; one that sleeps already does."""
    child = subprocess.Popen(shlex.split(command), stdin=subprocess.DEVNULL, **options)
    try:
        if command.startswith("/bin/sleep"):
            wait_until(lambda: psutil.Process(child.pid).status() == psutil.STATUS_SLEEPING)
        yield child
    finally:
        child.kill()
        child.wait()
        if child.stdout is not None:
            child.stdout.close()


@pytest.fixture(params=KINDS)
def make(request):
    """Makes readers of one kind and closes them."""
    factory = choose_readers(request.param)
    made = []

    def reader(pid: int, **options):
        made.append(factory(pid, **options))
        return made[-1]

    reader.kind = request.param
    yield reader
    for each in made:
        each.close()


def between(reader, process: psutil.Process) -> None:
    """What the reader says lies between what psutil says before and after, give or take a tick and a page."""
    before, memory_before = process.cpu_times(), process.memory_info()
    _, user, system, resident, virtual, threads, _, _ = reader.read()
    after, memory_after = process.cpu_times(), process.memory_info()
    assert before.user - 1.01 * TICK <= user <= after.user + 1.01 * TICK
    assert before.system - 1.01 * TICK <= system <= after.system + 1.01 * TICK
    lowest, highest = sorted((memory_before.rss, memory_after.rss))
    assert lowest - PAGE <= resident <= highest + PAGE
    lowest, highest = sorted((memory_before.vms, memory_after.vms))
    assert lowest - PAGE <= virtual <= highest + PAGE
    assert threads == process.num_threads()


def test_a_sleeping_process(make):
    with running("/bin/sleep 1000") as child:
        reader = make(child.pid)
        for _ in range(5):
            between(reader, psutil.Process(child.pid))
        assert reader.read()[0] == "S"


def test_a_busy_process(make):
    with running(python("burn", 1000, 0)) as child:
        reader, process = make(child.pid), psutil.Process(child.pid)
        wait_until(lambda: process.cpu_times().user > 0.2)  # it has started, and its memory stays as it is
        seen = []
        while not seen or seen[-1] < seen[0] + 0.5:
            between(reader, process)
            seen.append(reader.read()[1])
        assert len(set(seen)) > 10


def test_a_growing_process(make):
    with running(python("leak", 100 << 20, 60 << 20), stdout=subprocess.DEVNULL) as child:
        reader, process = make(child.pid), psutil.Process(child.pid)
        first = reader.read()[3]

        def grown():
            between(reader, process)
            return reader.read()[3] > first + (50 << 20)

        wait_until(grown)


def test_a_process_with_threads(make):
    with running(shlex.join([sys.executable, "-c", THREADS]), stdout=subprocess.PIPE) as child:
        child.stdout.read(1)
        reader = make(child.pid)
        between(reader, psutil.Process(child.pid))
        assert reader.read()[5] == 8


def test_this_process_with_all_its_memory(make):
    reader = make(os.getpid())
    ballast = bytearray(20_000_000)
    between(reader, psutil.Process())
    assert reader.read()[3] > len(ballast)


def test_a_stopped_process(make):
    with running("/bin/sleep 1000") as child:
        reader = make(child.pid)
        psutil.Process(child.pid).suspend()
        wait_until(lambda: reader.read()[0] == "T")


def test_a_zombie_can_still_be_read_and_is_gone_once_it_is_reaped(make):
    with running("/bin/true") as child:
        reader = make(child.pid)
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        told = reader.read()
        assert (told[0], told[3]) == ("Z", 0)
        assert reader.describe().nice is None
        child.wait()
        assert reader.read() is None


def test_a_process_that_is_gone_raises_in_the_slow_tier(make):
    with running("/bin/sleep 1000") as child:
        reader = make(child.pid)
        reader.read()
        child.kill()
        child.wait()
        with pytest.raises((ProcessLookupError, FileNotFoundError)):
            reader.read_slow()


def test_the_slow_tier_agrees_with_psutil(make, tmp_path):
    with running(f"/bin/sh -c 'exec 7>{tmp_path}/x 8>{tmp_path}/y; exec /bin/sleep 1000'") as child:
        process = psutil.Process(child.pid)
        wait_until(lambda: process.name() == "sleep" and process.status() == psutil.STATUS_SLEEPING)
        reader = make(child.pid)
        reader.read()
        told = reader.read_slow()
        assert told.open_fds == process.num_fds()
        assert told.shared_bytes == process.memory_info().shared
        assert told.max_fds == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        assert (told.read_bytes, told.write_bytes) == process.io_counters()[2:4]
        assert (told.voluntary_switches, told.involuntary_switches) == tuple(process.num_ctx_switches())


def test_many_open_descriptors_are_counted(make, tmp_path):
    code = f"import time; kept = [open({str(tmp_path / 'x')!r}, 'w') for _ in range(300)]; print(flush=True); time.sleep(1000)"
    with running(shlex.join([sys.executable, "-c", code]), stdout=subprocess.PIPE) as child:
        child.stdout.read(1)
        reader = make(child.pid)
        reader.read()
        assert reader.open_fds() == psutil.Process(child.pid).num_fds() > 300


def test_exact_memory_agrees_with_psutil(make):
    with running("/bin/sleep 1000") as child:
        process = psutil.Process(child.pid)
        told, full = make(child.pid).read_memory(), process.memory_full_info()
        assert told.unique_bytes == pytest.approx(full.uss, abs=PAGE)
        assert told.proportional_bytes == pytest.approx(full.pss, abs=PAGE)
        assert told.swapped_bytes == full.swap


def test_a_tree_is_found_down_to_its_leaves(make, tmp_path):
    told = tmp_path / "pids"
    with running(python("fork_tree", told)) as child:
        wait_until(told.exists)
        pids = json.loads(told.read_text())
        try:
            reader = make(child.pid)
            reader.read()
            assert sorted(reader.children()) == sorted([pids["child"], pids["sibling"]])
            found = walked(reader)
            processes = [psutil.Process(pid) for pid in pids.values()]
            assert found.processes == 4
            assert found.resident_bytes == pytest.approx(
                sum(process.memory_info().rss for process in processes), abs=4 * PAGE
            )
            assert found.cpu_seconds == pytest.approx(
                sum(sum(process.cpu_times()[:4]) for process in processes), abs=8 * TICK
            )
        finally:
            for pid in pids.values():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, 9)


def walked(reader):
    steps = reader.tree()
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def test_cpu_of_a_child_that_ended_stays_in_the_tree(make):
    code = (
        "import subprocess, sys, time\n"
        "subprocess.run([sys.executable, '-c', 'import time; t = time.process_time\\nwhile t() < 0.3: pass'])\n"
        "print(flush=True); time.sleep(1000)"
    )
    with running(shlex.join([sys.executable, "-c", code]), stdout=subprocess.PIPE) as child:
        child.stdout.read(1)
        reader = make(child.pid)
        reader.read()
        found = walked(reader)
        assert found.processes == 1
        assert found.cpu_seconds >= 0.3


def test_program_user_niceness_and_start_agree_with_psutil(make):
    with running("/bin/sleep 1000") as child:
        process = psutil.Process(child.pid)
        process.nice(3)
        reader = make(child.pid)
        reader.read()
        told = reader.describe()
        assert (told.cmdline, told.username, told.nice) == ("sleep", process.username(), 3)
        assert told.cpu_seconds == pytest.approx(sum(process.cpu_times()), abs=3 * TICK)
        assert reader.create_time == pytest.approx(process.create_time(), abs=TICK)


def test_another_program_in_the_same_process_is_seen(make, tmp_path):
    go = tmp_path / "go"
    os.mkfifo(go)
    with running(f"/bin/sh -c 'read x < {go}; exec /bin/sleep 1000'") as child:
        reader = make(child.pid)

        def program():
            reader.read()
            return reader.describe().cmdline

        wait_until(lambda: program() == "sh")
        pathlib.Path(go).write_text("now\n")
        wait_until(lambda: program() == "sleep")


@pytest.mark.skipif(sys.platform != "linux", reason="about descriptors of /proc")
def test_sizes_of_fd_directories_are_used_only_where_they_are_counts():
    release = tuple(int(part) for part in os.uname().release.split(".")[:2])
    assert choose_readers("procfs").fd_sizes == (release >= (6, 2))


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="only root may start another user's process")
def test_a_process_of_another_user_tells_what_the_kernel_lets_everybody_see():
    code = (
        "import os, sys\n"
        "from circus.stats.readers import choose_readers\n"
        "reader = choose_readers('procfs')(int(sys.argv[1]))\n"
        "os.setuid(65534)\n"  # only now: that user may not even read the modules
        "told = reader.read(); slow = reader.read_slow()\n"
        "print(told[0], slow.max_fds, slow.read_bytes, reader.read_memory(), reader.describe().username)"
    )
    with running("/bin/sleep 1000") as child:
        answer = subprocess.run(
            [sys.executable, "-c", code, str(child.pid)], capture_output=True, text=True, check=True, timeout=60
        ).stdout
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert answer.split() == ["S", str(limit), "None", "None", "root"]


def test_a_reading_costs_no_descriptor_after_close(make):
    with running("/bin/sleep 1000") as child:
        before = len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0
        reader = make(child.pid)
        for _ in range(3):
            reader.read()
            reader.children()
        reader.close()
        if sys.platform == "linux":
            assert len(os.listdir("/proc/self/fd")) == before
        assert time.time() - reader.create_time < 3600
