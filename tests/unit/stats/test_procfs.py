"""Reading /proc, on plain files that hold what the kernel writes."""

from __future__ import annotations

import os
import resource
import subprocess
import sys

import pytest

from tests.fakes.proc_tree import FakeProc
from tests.helpers.waiting import wait_until

if sys.platform != "linux":
    pytest.skip("only Linux has the calls that this reader uses", allow_module_level=True)

from circus.stats import procfiles
from circus.stats.procfiles import KEEP_BELOW
from circus.stats.procfs import Procfs

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


@pytest.fixture
def proc(tmp_path):
    return FakeProc(tmp_path)


@pytest.fixture
def make(proc):
    """Makes readers on the files and closes them."""
    procfs = Procfs(str(proc.root))
    made = []

    def reader(pid: int, **options):
        made.append(procfs(pid, **options))
        return made[-1]

    reader.procfs = procfs
    yield reader
    for each in made:
        each.close()


def tree(reader):
    """The result of the walk, and after how many steps."""
    steps = reader.tree()
    count = 0
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value, count
        count += 1


def ticks(count):
    return count / TICKS


# -- the fast tier


def test_the_numbers_of_stat_and_statm(proc, make):
    proc.process(42)
    assert make(42).read() == ("S", ticks(12), ticks(34), 442 * PAGE, 3133440, 1, 99, 3)


def test_resident_memory_is_that_of_statm_not_of_stat(proc, make):
    proc.process(42)
    proc.statm(42, resident=1000)
    assert make(42).read()[3] == 1000 * PAGE


@pytest.mark.parametrize("comm", ["a b", "x) S 1 2", "((", ")", "(sd-pam)", "é\n"])
def test_a_name_may_hold_anything(proc, make, comm):
    proc.process(42, comm=comm, state="R", utime=7)
    assert make(42).read()[:2] == ("R", ticks(7))


def test_kept_descriptors_see_what_has_changed(proc, make):
    proc.process(42)
    reader = make(42)
    reader.read()
    proc.stat(42, utime=5000, state="D")
    assert reader.read()[:2] == ("D", ticks(5000))


def test_a_process_that_never_was_is_gone(make):
    assert make(42).read() is None


@pytest.mark.parametrize("keep", [True, False])
def test_a_pid_that_another_process_got_is_gone(proc, make, keep):
    proc.process(42)
    reader = make(42, keep=keep)
    reader.read()
    proc.stat(42, start=999999)
    assert reader.read() is None


def test_the_same_tuple_comes_while_nothing_changes(proc, make):
    proc.process(42)
    reader = make(42)
    first = reader.read()
    assert all(reader.read() is first for _ in range(20))


def test_memory_that_changes_without_a_trace_in_stat_is_seen_a_few_readings_later(proc, make):
    proc.process(42)
    reader = make(42)
    reader.read()
    proc.statm(42, resident=400)
    assert 400 * PAGE in {reader.read()[3] for _ in range(6)}


def test_memory_is_read_at_once_when_stat_changes(proc, make):
    proc.process(42)
    reader = make(42)
    reader.read()
    proc.stat(42, minflt=100)
    proc.statm(42, resident=443)
    assert reader.read()[3] == 443 * PAGE


def test_after_close_a_reading_opens_anew(proc, make):
    proc.process(42)
    reader = make(42)
    reader.read()
    reader.close()
    assert reader.read()[1] == ticks(12)


def test_create_time_is_boot_plus_ticks(proc, make):
    proc.process(42)
    reader = make(42)
    assert reader.create_time == 0.0
    reader.read()
    assert reader.create_time == pytest.approx(1_700_000_000 + 136170 / TICKS)


# -- a process that is calm


def calm(reader):
    """Read until its account is asked first."""
    return [reader.read() for _ in range(13)][-1]


def followed(proc):
    return [name.rpartition("/")[2] for name in open_below(proc.root)].count("schedstat") == 1


@pytest.mark.parametrize("keep", [KEEP_BELOW, 0], ids=["with its files kept", "with nothing else kept"])
def test_of_a_calm_process_only_the_account_of_its_time_is_read(proc, make, monkeypatch, keep):
    monkeypatch.setattr(procfiles.may_keep, "__defaults__", (keep,))
    proc.process(42)
    reader = make(42)
    told = calm(reader)
    assert followed(proc)
    assert len(open_below(proc.root)) == (2 if keep else 1)
    # Nothing but itself can change the numbers of a process, so this cannot happen; it shows what is read.
    proc.stat(42, utime=99)
    assert reader.read() is told


@pytest.mark.parametrize("keep", [KEEP_BELOW, 0], ids=["with its files kept", "with nothing else kept"])
def test_a_calm_process_that_runs_is_read_at_once(proc, make, monkeypatch, keep):
    monkeypatch.setattr(procfiles.may_keep, "__defaults__", (keep,))
    proc.process(42)
    reader = make(42)
    calm(reader)
    proc.stat(42, utime=99, state="R")
    proc.statm(42, resident=500)
    proc.write(42, "schedstat", b"9234567 250000000 18\n")
    told = reader.read()
    assert (told[0], told[1], told[3]) == ("R", ticks(99), 500 * PAGE)
    assert not followed(proc)
    proc.stat(42, utime=100, state="R")
    assert reader.read()[1] == ticks(100)


def test_what_changes_without_its_running_is_seen_a_few_readings_later(proc, make):
    proc.process(42)
    reader = make(42)
    calm(reader)
    proc.statm(42, resident=400)
    assert 400 * PAGE in {reader.read()[3] for _ in range(6)}
    assert followed(proc)


def test_after_a_long_time_all_is_read_of_a_calm_process_too(proc, make):
    proc.process(42)
    reader = make(42)
    calm(reader)
    proc.stat(42, nice=5)
    for _ in range(400):
        reader.read()
    assert reader.describe().nice == 5


def test_the_sooner_it_runs_again_the_longer_it_must_have_been_calm(proc, make):
    proc.process(42)
    reader = make(42)
    needed = []
    for number in range(4):
        proc.write(42, "schedstat", b"%d 0 17\n" % (9234567 + number))
        reader.read()
        assert not followed(proc)
        needed.append(0)
        while not followed(proc):
            needed[-1] += 1
            reader.read()
    assert needed == sorted(set(needed))


def test_children_of_a_calm_process_are_looked_for_when_it_has_run(proc, make):
    proc.process(42, children=[43])
    reader = make(42)
    calm(reader)
    assert reader.children() == [43]
    proc.children(42, [43, 44])
    proc.write(42, "schedstat", b"9234567 250000000 18\n")
    reader.read()
    assert reader.children() == [43, 44]


@pytest.mark.parametrize("stat", [{"threads": 2}, {"state": "T"}, {"state": "Z"}])
def test_threads_and_states_of_which_the_account_says_too_little(proc, make, stat):
    proc.process(42, **stat)
    calm(make(42))
    assert not followed(proc)


@pytest.mark.parametrize("content", [b"0 0 0\n", None])
def test_a_kernel_without_the_account(proc, make, content):
    proc.process(42)
    if content is None:
        proc.remove(42, "schedstat")
    else:
        proc.write(42, "schedstat", content)
    reader = make(42)
    calm(reader)
    assert not followed(proc)
    proc.stat(42, utime=99)
    assert reader.read()[1] == ticks(99)


def test_a_calm_process_that_ends_is_gone(proc, make):
    child = subprocess.Popen(["/bin/sleep", "1000"])
    reader = Procfs()(child.pid)
    try:
        wait_until(lambda: reader.read() and f"/proc/{child.pid}/schedstat" in open_below(f"/proc/{child.pid}"))
    finally:
        child.kill()
        child.wait()
    assert reader.read() is None
    reader.close()


# -- descriptors


def open_below(root):
    return [name for fd in os.listdir("/proc/self/fd") if (name := _target(fd)).startswith(str(root))]


def _target(fd):
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return ""


def test_two_descriptors_are_kept_and_given_back(proc, make):
    proc.process(42)
    reader = make(42)
    reader.read()
    assert len(open_below(proc.root)) == 2
    reader.close()
    assert open_below(proc.root) == []


def test_a_reader_that_keeps_nothing_leaves_nothing_open(proc, make):
    proc.process(42)
    assert make(42, keep=False).read() is not None
    assert open_below(proc.root) == []


@pytest.fixture
def fd_limit():
    """Sets the soft limit so that so many descriptors are free; None restores it."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)

    def limit(free: int | None) -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        if free is None:
            return
        probe = os.open("/", os.O_RDONLY)
        os.close(probe)
        resource.setrlimit(resource.RLIMIT_NOFILE, (probe + free, before[1]))

    yield limit
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_when_descriptors_are_short_nothing_is_kept(proc, make, fd_limit):
    proc.process(42)
    reader = make(42)
    fd_limit(2)
    told = reader.read()
    fd_limit(None)
    assert told[1] == ticks(12)
    assert open_below(proc.root) == []


def test_one_free_descriptor_is_enough(proc, make, fd_limit):
    proc.process(42)
    reader = make(42)
    fd_limit(1)
    told = reader.read()
    again = reader.read()
    fd_limit(None)
    assert told[3] == 442 * PAGE
    assert again is told


def test_without_a_free_descriptor_the_reading_fails_and_later_ones_do_not(proc, make, fd_limit):
    proc.process(42)
    reader = make(42)
    fd_limit(0)
    with pytest.raises(OSError, match="Too many open files"):
        reader.read()
    fd_limit(None)
    assert reader.read()[1] == ticks(12)


# -- the slow tier


def test_the_numbers_of_the_slow_tier(proc, make):
    proc.process(42, fds=5)
    reader = make(42)
    reader.read()
    assert reader.read_slow()._asdict() == {
        "shared_bytes": 414 * PAGE, "open_fds": 5, "max_fds": 1024, "read_bytes": 4096, "write_bytes": 8192,
        "voluntary_switches": 41, "involuntary_switches": 2, "peak_resident_bytes": 9216 * 1024,
        "cpu_wait_seconds": 0.25,
    }  # fmt: skip


def test_a_kernel_without_these_accounts_tells_none(proc, make):
    proc.process(42)
    proc.remove(42, "schedstat")
    proc.write(42, "status", b"Name:\tx\n")
    reader = make(42)
    reader.read()
    slow = reader.read_slow()
    assert (slow.cpu_wait_seconds, slow.peak_resident_bytes) == (None, None)


def test_a_limit_that_is_none_is_not_a_number(proc, make):
    proc.process(42)
    proc.write(
        42, "limits", b"Max cpu time   unlimited\nMax open files            unlimited            unlimited  files\n"
    )
    reader = make(42)
    reader.read()
    assert reader.read_slow().max_fds is None


def test_a_kernel_without_io_accounting_tells_none(proc, make):
    proc.process(42)
    proc.remove(42, "io")
    reader = make(42)
    reader.read()
    assert reader.read_slow().read_bytes is None
    assert reader.read_slow().open_fds == 3


def test_a_process_that_goes_before_its_slow_reading_raises(proc, make):
    proc.process(42)
    reader = make(42)
    reader.read()
    proc.remove(42, "status")
    with pytest.raises(FileNotFoundError):
        reader.read_slow()


def test_memory_of_the_rollup(proc, make):
    proc.process(42)
    assert make(42).read_memory()._asdict() == {
        "unique_bytes": (100 + 116 + 8) * 1024, "proportional_bytes": 320 * 1024, "swapped_bytes": 12 * 1024,
    }  # fmt: skip


@pytest.mark.parametrize("content", [b"", b"[rollup]\n"])
def test_a_zombie_has_no_exact_memory(proc, make, content):
    proc.process(42)
    proc.write(42, "smaps_rollup", content)
    assert make(42).read_memory() is None


# -- children


def test_a_tree_is_the_process_with_all_below_it(proc, make):
    proc.process(42, children=[43, 44])
    proc.process(43, children=[45], utime=100, stime=0)
    proc.process(44, utime=200, stime=0)
    proc.process(45, utime=300, stime=0)
    reader = make(42)
    reader.read()
    told, steps = tree(reader)
    assert (told.processes, steps) == (4, 3)
    assert told.cpu_seconds == pytest.approx(ticks(12 + 34 + 100 + 200 + 300))
    assert told.resident_bytes == 4 * 442 * PAGE


def test_cpu_of_children_that_were_waited_for_counts_in_a_tree(proc, make):
    proc.process(42, children=[43])
    proc.stat(42, children=(1000, 500))
    proc.process(43)
    proc.stat(43, children=(10, 5))
    reader = make(42)
    reader.read()
    assert tree(reader)[0].cpu_seconds == pytest.approx(ticks(2 * (12 + 34) + 1500 + 15))


def test_a_descendant_that_goes_meanwhile_is_left_out(proc, make):
    proc.process(42, children=[43, 44])
    proc.process(44)
    reader = make(42)
    reader.read()
    assert tree(reader)[0].processes == 2


def test_children_of_all_threads_belong_to_the_process(proc, make):
    proc.process(42, threads=2, children=[43])
    proc.children(42, [44, 45], thread=77)
    reader = make(42)
    reader.read()
    assert sorted(reader.children()) == [43, 44, 45]


def test_the_children_of_a_process_with_one_thread_change(proc, make):
    proc.process(42)
    reader = make(42)
    reader.read()
    assert reader.children() == []
    proc.children(42, [43])
    assert reader.children() == [43]


def test_more_children_than_one_read_brings(proc, make):
    many = list(range(10_000, 20_000))
    proc.process(42, children=many)
    reader = make(42)
    reader.read()
    assert reader.children() == many


def test_a_kernel_that_lists_no_children_has_no_trees(proc, make):
    proc.process(42)
    proc.root.joinpath("42", "task", "42", "children").unlink()
    reader = make(42)
    reader.read()
    assert tree(reader)[0] is None


def test_the_tree_of_a_process_that_is_gone_raises(proc, make):
    proc.process(42)
    reader = make(42)
    reader.read()
    proc.root.joinpath("42", "task", "42", "children").unlink()
    proc.remove(42, "stat")
    with pytest.raises(FileNotFoundError):
        tree(reader)


# -- what 0.19's infos want


def described(reader):
    reader.read()
    return reader.describe()


def test_program_user_niceness_and_cpu_of_all_kinds(proc, make):
    proc.process(42, nice=-5, children=[])
    proc.stat(42, nice=-5, utime=1, stime=2, children=(4, 8), iowait=16)
    told = described(make(42))
    assert (told.cmdline, told.username, told.nice) == ("sleep", "root", -5)
    assert told.cpu_seconds == pytest.approx(ticks(31))


@pytest.mark.parametrize(
    ("cmdline", "program"),
    [
        (b"python3\0-m\0http.server\0", "python3"),
        (b"/usr/sbin/nginx: master process /usr/sbin/nginx\0", "nginx:"),
        (b"", "N/A"),
        (b"\0\0", "N/A"),
        (b"/opt/caf\xc3\xa9/run\0", "run"),
    ],
)
def test_the_program_is_the_first_word(proc, make, cmdline, program):
    proc.process(42)
    proc.write(42, "cmdline", cmdline)
    assert described(make(42)).cmdline == program


def test_a_user_without_a_name_is_a_number(proc, make):
    proc.process(42)
    proc.write(42, "status", b"Name:\tx\nUid:\t3999999\t0\t0\t0\n")
    assert described(make(42)).username == "3999999"


def test_a_zombie_has_no_niceness(proc, make):
    proc.process(42, state="Z")
    assert described(make(42)).nice is None


def test_program_and_user_are_read_once(proc, make):
    proc.process(42)
    reader = make(42)
    described(reader)
    proc.write(42, "cmdline", b"other\0")
    proc.stat(42, utime=99)
    assert described(reader).cmdline == "sleep"


def test_an_exec_makes_program_and_user_be_read_again(proc, make):
    proc.process(42, comm="sh")
    reader = make(42)
    described(reader)
    proc.write(42, "cmdline", b"/usr/bin/worker\0")
    proc.stat(42, comm="worker")
    assert described(reader).cmdline == "worker"


def test_the_slow_tier_makes_a_changed_user_be_seen(proc, make):
    proc.process(42)
    reader = make(42)
    described(reader)
    proc.write(42, "status", b"Name:\tx\nUid:\t3999999\t0\t0\t0\n")
    reader.read_slow()
    assert reader.describe().username == "3999999"
