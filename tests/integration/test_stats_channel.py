"""The stats channel over real zmq, with real processes: who gets what, and that nobody listening costs nothing."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import shlex
import socket
import subprocess
import sys
import time
from types import SimpleNamespace

import psutil
import pytest
import zmq

from circus.runtime.clock import SystemClock
from circus.runtime.listener import listen
from circus.stats import backlog
from circus.stats.channel import QUEUE, StatsChannel
from circus.stats.readers import choose_readers
from circus.stats.sampler import Sampler
from circus.wire import samples
from tests.fakes.readers import FakeClock, FakeReaders
from tests.helpers.channels import Recorder
from tests.helpers.waiting import DEADLINE
from tests.workers import python

SOON = 0.05
NEVER_AGAIN = 3600.0
INFO = ["mem_info1", "mem_info2", "cpu", "mem", "ctime", "pid", "username", "nice", "create_time", "age", "cmdline",
        "children", "subtopic", "name"]  # fmt: skip
KINDS = ["procfs", "psutil"] if sys.platform == "linux" else ["psutil"]


class Desk:
    """The daemon's part: processes, a sampler and the channel; `ended` is what the reaper has told."""

    def __init__(self, directory, *, interval=SOON, readers=None, sockets=(), budget=0.001):
        self.context = zmq.Context()
        self.children = {}
        self.ended = {}
        self.clock = SystemClock()
        self.sampler = Sampler(
            self.clock, reader_factory=readers, ended_cpu=lambda name: self.ended.get(name, (0.0, 0.0)), budget=budget
        )
        self.listener = listen(f"ipc://{directory}/stats.sock")
        self.endpoint = self.listener.endpoint
        self.channel = StatsChannel(
            self.listener, self.context, loop=asyncio.get_running_loop(), clock=self.clock, sampler=self.sampler,
            boot="b00t", version="1.2.3", started=1.5, endpoint="ipc:///control", pubsub_endpoint="ipc:///events",
            interval=interval, sockets=lambda: sockets, queue_depth=lambda: 7, drops=lambda: {"events": 3},
        )  # fmt: skip
        self.recorders = []

    def spawn(self, watcher, command="/bin/sleep 1000", wid=1, generation=1):
        child = subprocess.Popen(shlex.split(command), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        self.children[watcher, wid] = child
        self.sampler.add(watcher, wid, child.pid, generation, self.clock.time())
        return child.pid

    def end(self, watcher, wid=1):
        """Kill, reap, and tell the sampler, as the daemon does it."""
        child = self.children.pop((watcher, wid))
        child.kill()
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        before = self.ended.get(watcher, (0.0, 0.0))
        self.ended[watcher] = (before[0] + usage.ru_utime, before[1] + usage.ru_stime)
        self.sampler.discard(watcher, wid)
        return usage

    async def listen_to(self, *prefixes):
        recorder = await asyncio.to_thread(Recorder, self.endpoint, prefixes, self.context)
        self.recorders.append(recorder)
        return recorder

    async def subscribed(self, prefix):
        await self.until(lambda: prefix in self.channel.subscriptions)

    async def until(self, condition, pause=0.005):
        deadline = time.monotonic() + DEADLINE
        while not condition():
            assert time.monotonic() < deadline, "the condition did not come true in time"
            await asyncio.sleep(pause)

    async def passes(self, more):
        wanted = self.channel.passes + more
        await self.until(lambda: self.channel.passes >= wanted)

    def close(self):
        for recorder in self.recorders:
            recorder.close()
        for child in self.children.values():
            child.kill()
            child.wait()
        self.channel.close()
        self.listener.close()
        self.context.term()


@pytest.fixture
async def make(tmp_path):
    made = []

    def desk(**options):
        made.append(Desk(tmp_path, **options))
        return made[-1]

    yield desk
    for each in made:
        each.close()


async def heard(recorder, topic, count=1):
    """The bodies of the first so many messages on exactly this topic."""
    found = await asyncio.to_thread(recorder.wait_for_topic, topic, count=count)
    return [message.body for message in found]


async def one(recorder, topic):
    return (await heard(recorder, topic))[0]


# -- when


async def test_while_nobody_listens_nothing_is_read(make):
    desk = make(interval=0.001)
    desk.spawn("web")
    await asyncio.sleep(0.05)
    assert desk.channel.passes == 0
    assert desk.sampler.members("web")[0].sample.state is None


async def test_the_first_subscriber_is_served_at_once(make):
    desk = make(interval=NEVER_AGAIN)
    pid = desk.spawn("web")
    body = await one(await desk.listen_to("sample.web"), "sample.web")
    assert [process["pid"] for process in body["processes"]] == [pid]


async def test_a_later_subscriber_is_served_by_the_next_pass(make):
    desk = make()
    desk.spawn("web")
    await one(await desk.listen_to("sample."), "sample.web")
    assert (await one(await desk.listen_to("sample."), "sample.web"))["seq"] > 1


async def test_passes_end_with_the_last_subscriber(make):
    desk = make()
    desk.spawn("web")
    recorder = await desk.listen_to("sample.")
    await one(recorder, "sample.web")
    recorder.close()
    await desk.until(lambda: not len(desk.channel.subscriptions))
    passes = desk.channel.passes
    await asyncio.sleep(3 * SOON)
    assert desk.channel.passes == passes


async def test_passes_go_on_for_the_subscriber_who_stays(make):
    desk = make()
    desk.spawn("web")
    leaving, _ = await desk.listen_to("sample."), await desk.listen_to("stat.")
    await one(leaving, "sample.web")
    leaving.close()
    await desk.until(lambda: len(desk.channel.subscriptions) == 1)
    await desk.passes(2)


async def test_somebody_who_comes_and_goes_gets_no_more_than_one_pass_an_interval(make):
    desk = make(interval=NEVER_AGAIN)
    desk.spawn("web")
    first = await desk.listen_to("sample.")
    await one(first, "sample.web")
    first.close()
    await desk.until(lambda: not len(desk.channel.subscriptions))
    await desk.listen_to("sample.")
    await desk.subscribed(b"sample.")
    await asyncio.sleep(0.05)
    assert desk.channel.passes == 1


async def test_a_subscription_to_something_else_wakes_nobody(make):
    desk = make(interval=0.001)
    desk.spawn("web")
    await desk.listen_to("watcher.", "samples", "statistics")
    await desk.subscribed(b"statistics")
    await asyncio.sleep(0.05)
    assert desk.channel.passes == 0


async def test_a_pass_that_overruns_its_interval_makes_others_be_skipped_and_counted(make):
    desk = make(interval=0.001, readers=FakeReaders(FakeClock()), budget=0.0)
    for wid in range(1, 301):
        desk.sampler.add("web", wid, wid, wid, 0.0)
    await desk.listen_to("sample.")
    await desk.passes(2)
    assert desk.channel.skipped > 0


async def test_a_pass_that_fails_is_told_and_the_next_one_comes(make, caplog):
    readers = FakeReaders(FakeClock())
    desk = make(readers=readers)
    desk.sampler.add("web", 1, 11, 1, 0.0)
    readers.made[11].error = RuntimeError("not an answer of the system")
    with caplog.at_level(logging.ERROR):
        recorder = await desk.listen_to("sample.")
        await desk.until(lambda: desk.sampler.errors["other"] > 0)
    assert "not an answer of the system" in caplog.text
    readers.made[11].error = None
    assert (await one(recorder, "sample.web"))["totals"]["processes"] == 1


async def test_each_pass_tells_how_late_it_began(make):
    desk = make()
    await desk.listen_to("sample.")
    await desk.passes(3)
    assert sum(desk.channel.loop_lag.counts) >= 3


async def test_closing_twice_in_the_middle_of_a_pass_is_harmless(make):
    desk = make(readers=FakeReaders(FakeClock()), budget=0.0)
    for wid in range(1, 301):
        desk.sampler.add("web", wid, wid, wid, 0.0)
    await desk.listen_to("sample.")
    await desk.until(lambda: desk.channel._pass is not None, pause=0.0)
    passes = desk.channel.passes
    desk.channel.close()
    desk.channel.close()
    await asyncio.sleep(3 * SOON)
    assert desk.channel.passes == passes


# -- what of it


@pytest.mark.parametrize("prefix", ["", "s", "sample", "sample.", "sample.web"])
async def test_every_prefix_of_a_topic_asks_for_it(make, prefix):
    desk = make()
    desk.spawn("web")
    assert (await one(await desk.listen_to(prefix), "sample.web"))["watcher"] == "web"


@pytest.mark.parametrize("prefix", ["", "st", "stat.web", "stat.web."])
async def test_every_prefix_of_a_stat_topic_asks_for_it(make, prefix):
    desk = make()
    pid = desk.spawn("web")
    assert (await one(await desk.listen_to(prefix), f"stat.web.{pid}"))["pid"] == pid


async def test_only_what_is_subscribed_is_sent(make):
    desk = make()
    desk.spawn("web")
    recorder = await desk.listen_to("sample.web")
    await heard(recorder, "sample.web", 2)
    assert set(recorder.topics()) == {"sample.web"}


async def test_watchers_that_nobody_wants_to_hear_of_are_not_read(make):
    desk = make()
    desk.spawn("web")
    desk.spawn("other")
    await one(await desk.listen_to("stat.web."), f"stat.web.{desk.children['web', 1].pid}")
    assert desk.sampler.members("other")[0].sample.state is None


async def test_one_process_by_its_pid(make):
    desk = make()
    wanted, _ = desk.spawn("web", wid=1), desk.spawn("web", wid=2)
    recorder = await desk.listen_to(f"stat.web.{wanted}")
    await heard(recorder, f"stat.web.{wanted}", 2)
    assert set(recorder.topics()) == {f"stat.web.{wanted}"}


async def test_the_daemon_alone_is_told_without_reading_processes(make):
    desk = make()
    desk.spawn("web")
    assert (await one(await desk.listen_to("sample.-"), "sample.-"))["processes"] == 1
    assert desk.sampler.members("web")[0].sample.state is None


async def test_all_messages_of_one_pass_fit_into_the_queue(make):
    desk = make(interval=NEVER_AGAIN, readers=FakeReaders(FakeClock()))
    for wid in range(1, 1001):
        desk.sampler.add(f"w{wid % 10}", wid, wid, wid, 0.0)
    recorder = await desk.listen_to("stat.")
    await one(recorder, "stat.circus")
    pids = {topic.rpartition(".")[2] for topic in recorder.topics() if topic.startswith("stat.w")}
    assert pids >= {str(pid) for pid in range(1, 1001)}


async def test_who_comes_later_has_as_long_a_queue(make):
    desk = make(interval=0.2, readers=FakeReaders(FakeClock()))
    for wid in range(1, 1001):
        desk.sampler.add(f"w{wid % 10}", wid, wid, wid, 0.0)
    await one(await desk.listen_to("stat."), "stat.circus")
    later = desk.context.socket(zmq.SUB)
    try:
        later.setsockopt(zmq.RCVHWM, 1)  # what it does not read waits at the daemon
        later.setsockopt(zmq.SUBSCRIBE, b"stat.")
        later.connect(desk.endpoint)
        await desk.until(lambda: later.poll(0))
        passes = desk.channel.passes
        await desk.until(lambda: desk.channel.passes > passes + 1)
        # Set anew it would be told to connections that libzmq has freed: that ended circusd.
        assert desk.channel._socket.socket.getsockopt(zmq.SNDHWM) == QUEUE
        assert desk.channel.drops == 0
        topics = set()
        while later.poll(1000) and len(topics) < 1000:
            topic = later.recv_multipart()[0]
            if topic.startswith(b"stat.w") and topic.count(b".") == 2:
                topics.add(topic)
        assert len(topics) == 1000
    finally:
        later.close(0)


# -- sample.


@pytest.mark.parametrize("kind", KINDS)
async def test_a_sample_holds_what_psutil_says(make, kind):
    desk = make(interval=NEVER_AGAIN, readers=choose_readers(kind))
    pid = desk.spawn("web", wid=3, generation=9)
    process = psutil.Process(pid)
    await desk.until(lambda: process.status() == psutil.STATUS_SLEEPING)
    body = await one(await desk.listen_to("sample."), "sample.web")
    sample = samples.decode_watcher(json.dumps(body).encode()).processes[0]
    memory = process.memory_info()
    assert (sample.wid, sample.pid, sample.generation, sample.state) == (3, pid, 9, "S")
    assert (sample.resident_bytes, sample.virtual_bytes, sample.shared_bytes) == (memory.rss, memory.vms, memory.shared)
    assert (sample.threads, sample.open_fds) == (1, process.num_fds())
    assert sample.tree.processes == 1
    assert sample.slow_time == pytest.approx(body["time"], abs=5.0)
    assert sample.proportional_bytes is None
    assert body["totals"] == {
        "processes": 1,
        "cpu_user_seconds": sample.cpu_user_seconds,
        "cpu_system_seconds": sample.cpu_system_seconds,
        "resident_bytes": memory.rss,
    }


async def test_a_sample_says_whose_it_is(make):
    desk = make()
    desk.sampler.add_watcher("My Web.App")
    body = await one(await desk.listen_to("sample."), "sample.my_web.app")
    assert (body["boot"], body["seq"], body["interval_seconds"]) == ("b00t", 1, SOON)
    assert (body["watcher"], body["processes"]) == ("My Web.App", [])


async def test_each_topic_counts_what_was_published_on_it(make):
    desk = make()
    desk.spawn("web")
    early = await desk.listen_to("sample.web")
    await heard(early, "sample.web", 2)
    late = await desk.listen_to("sample.-")
    assert [body["seq"] for body in await heard(late, "sample.-", 3)] == [1, 2, 3]
    seqs = [body["seq"] for body in await heard(early, "sample.web", 5)]
    assert seqs == [1, 2, 3, 4, 5]


async def test_totals_hold_the_exact_time_of_those_that_ended(make):
    desk = make()
    desk.spawn("web", python("burn", 1000, 0))
    recorder = await desk.listen_to("sample.")

    def busy(message):
        return message.topic == "sample.web" and message.body["totals"]["cpu_user_seconds"] > 0.1

    await asyncio.to_thread(recorder.wait_for, busy)
    usage = desk.end("web")
    recorder.clear()
    body = await one(recorder, "sample.web")
    assert body["totals"]["processes"] == 0
    assert body["totals"]["cpu_user_seconds"] == pytest.approx(usage.ru_utime, abs=0.011)


async def test_totals_never_go_down_over_restarts(make):
    desk = make(interval=0.01)
    desk.spawn("web", python("burn", 1000, 0))
    recorder = await desk.listen_to("sample.web")
    for generation in range(2, 6):
        await desk.passes(3)
        desk.end("web")
        desk.spawn("web", python("burn", 1000, 0), generation=generation)
    await desk.passes(3)
    used = [message.body["totals"]["cpu_user_seconds"] for message in list(recorder.messages)]
    assert used == sorted(used)
    assert used[-1] > 0.0


async def test_a_process_that_dies_between_two_passes_is_no_error(make):
    desk = make()
    desk.spawn("web")
    desk.spawn("web", wid=2)
    recorder = await desk.listen_to("sample.")
    await one(recorder, "sample.web")
    desk.end("web", 2)
    recorder.clear()
    assert (await one(recorder, "sample.web"))["totals"]["processes"] == 1
    assert desk.sampler.errors == {"vanished": 0, "denied": 0, "other": 0}


async def test_exact_memory_comes_where_it_was_asked_for(make):
    desk = make()
    desk.sampler.add_watcher("web", memory=True)
    pid = desk.spawn("web")
    recorder = await desk.listen_to("sample.")

    def told(message):
        return message.topic == "sample.web" and message.body["processes"][0]["proportional_bytes"] is not None

    (message,) = await asyncio.to_thread(recorder.wait_for, told)
    process = message.body["processes"][0]
    assert process["pid"] == pid
    assert 0 < process["unique_bytes"] <= process["proportional_bytes"]


async def test_the_daemons_own_sample(make):
    desk = make()
    body = await one(await desk.listen_to("sample.-"), "sample.-")
    sample = samples.decode_daemon(json.dumps(body).encode())
    assert (sample.endpoint, sample.pubsub_endpoint, sample.stats_endpoint) == (
        "ipc:///control", "ipc:///events", desk.endpoint,
    )  # fmt: skip
    assert (sample.boot, sample.version, sample.started, sample.pid) == ("b00t", "1.2.3", 1.5, os.getpid())
    assert (sample.queue_depth, sample.subscribers) == (7, {"sample.-": 1})
    assert sample.drops == {"stats": 0, "events": 3}
    assert sample.errors == {"vanished": 0, "denied": 0, "other": 0}
    assert sample.passes == sum(sample.pass_duration.counts) == 1
    assert sample.resident_bytes == pytest.approx(psutil.Process().memory_info().rss, rel=0.2)
    assert sample.open_fds > 3


# -- stat.


async def test_stat_of_a_process_has_the_form_of_0_19(make):
    desk = make()
    pid = desk.spawn("web")
    body = await one(await desk.listen_to("stat."), f"stat.web.{pid}")
    assert list(body) == INFO
    assert (body["pid"], body["subtopic"], body["name"], body["cmdline"]) == (pid, pid, None, "sleep")
    assert (body["cpu"], body["children"], body["nice"]) == (0.0, [], 0)
    assert body["mem_info1"][-1] in "KM"
    assert 0.0 < body["age"] < 3600.0


async def test_stat_of_a_watcher_has_the_form_of_0_19(make):
    desk = make()
    pids = [desk.spawn("web", wid=wid) for wid in (1, 2)]
    recorder = await desk.listen_to("stat.")
    body = await one(recorder, "stat.web")
    assert list(body) == ["pid", "cpu", "mem", "age"]
    assert body["pid"] == pids
    single = [await one(recorder, f"stat.web.{pid}") for pid in pids]
    assert body["mem"] == pytest.approx(sum(info["mem"] for info in single))


async def test_stat_of_the_daemon_has_the_form_of_0_19(make):
    desk = make()
    recorder = await desk.listen_to("stat.circus")
    body = await one(recorder, f"stat.circus.{os.getpid()}")
    assert list(body) == INFO
    assert (body["subtopic"], body["name"]) == (os.getpid(), "circusd")
    assert (await one(recorder, "stat.circus"))["pid"] == [os.getpid()]


async def test_a_busy_process_shows_its_percentage(make):
    desk = make(interval=0.3)
    pid = desk.spawn("web", python("burn", 1000, 0))
    recorder = await desk.listen_to("stat.web.")
    await asyncio.to_thread(
        recorder.wait_for, lambda message: message.topic == f"stat.web.{pid}" and message.body["cpu"] > 20.0
    )


# -- sockets


@contextlib.contextmanager
def listening(path=None, kind=socket.SOCK_STREAM):
    """A socket as Circus owns it."""
    sock = socket.socket(socket.AF_UNIX if path else socket.AF_INET, kind)
    with sock:
        sock.bind(str(path) if path else ("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            sock.listen(16)
        host, port = ("127.0.0.1", sock.getsockname()[1]) if not path else ("", 0)
        yield SimpleNamespace(
            name="s", host=host, port=port, path=str(path) if path else None, backlog=16, fileno=sock.fileno, sock=sock
        )


async def test_stat_of_sockets_has_the_form_of_0_19(make, tmp_path):
    with listening(tmp_path / "ux.sock") as unix, listening() as tcp:
        desk = make(sockets=[unix, tcp])
        recorder = await desk.listen_to("stat.")
        assert await one(recorder, f"stat.sockets.{tcp.fileno()}") == {
            "fd": tcp.fileno(), "subtopic": tcp.fileno(), "reads": 0, "address": f"127.0.0.1:{tcp.port}",
        }  # fmt: skip
        assert await one(recorder, "stat.sockets") == {
            "addresses": [str(tmp_path / "ux.sock"), f"127.0.0.1:{tcp.port}"], "reads": 0,
        }  # fmt: skip


async def test_without_sockets_nothing_is_told_of_them(make):
    desk = make()
    recorder = await desk.listen_to("stat.")
    await heard(recorder, "stat.circus", 2)
    assert not [topic for topic in recorder.topics() if "sockets" in topic]


def reads(sock):
    (row,) = backlog.waiting([sock])
    return row["reads"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the length of the queue")
def test_connections_that_nobody_accepts_are_counted():
    with listening() as tcp, contextlib.ExitStack() as clients:
        for _ in range(3):
            clients.enter_context(socket.create_connection(("127.0.0.1", tcp.port)))
        assert reads(tcp) == 3
        tcp.sock.accept()[0].close()
        assert reads(tcp) == 2


def test_a_unix_socket_with_somebody_waiting_reads_one(tmp_path):
    with listening(tmp_path / "ux.sock") as unix, socket.socket(socket.AF_UNIX) as client:
        client.connect(unix.path)
        assert reads(unix) == 1


def test_a_datagram_that_waits_reads_one():
    with listening(kind=socket.SOCK_DGRAM) as udp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        assert reads(udp) == 0
        client.sendto(b"x", ("127.0.0.1", udp.port))
        assert reads(udp) == 1


def test_a_socket_that_is_not_bound_reads_nothing():
    with socket.socket() as sock:
        placeholder = SimpleNamespace(name="s", host="127.0.0.1", port=1, path=None, backlog=1, fileno=sock.fileno)
        assert reads(placeholder) == 0


def test_a_closed_socket_is_left_out():
    sock = socket.socket()
    sock.close()
    gone = SimpleNamespace(name="s", host="127.0.0.1", port=1, path=None, backlog=1, fileno=sock.fileno)
    assert backlog.waiting([gone]) == []


# -- what commands are told


async def test_infos_of_real_processes_with_their_children(make, tmp_path):
    desk = make()
    told = tmp_path / "pids"
    desk.spawn("tree", python("fork_tree", told))
    await desk.until(told.exists)
    pids = json.loads(told.read_text())
    try:
        (info,) = (await desk.channel.infos("tree")).values()
        assert sorted(child["pid"] for child in info["children"]) == sorted([pids["child"], pids["sibling"]])
        assert list(info) == [*INFO[:-2], "started", "wid"]
        assert info["children"][0]["cmdline"] == info["cmdline"]
        assert desk.channel.passes == 0
    finally:
        for role in ("grandchild", "child", "sibling"):
            os.kill(pids[role], 9)


async def test_all_infos_and_the_daemons(make):
    desk = make()
    pid = desk.spawn("web")
    desk.sampler.add_watcher("idle")
    infos = await desk.channel.all_infos()
    assert {name: list(found) for name, found in infos.items()} == {"web": [pid], "idle": []}
    assert list(await desk.channel.daemon_info()) == INFO[:-2]
