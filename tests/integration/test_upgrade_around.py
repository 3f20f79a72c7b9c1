"""What surrounds a circusd that is upgraded: subscribers, exporters, alerts, keys, files, limits and a state file."""

from __future__ import annotations

import os
import pathlib
import resource
import subprocess

import pytest

from circus.client import CircusClient
from tests import workers
from tests.conftest import CircusD
from tests.helpers import proc, real
from tests.helpers.channels import Caller, Recorder
from tests.helpers.curve import lets_in, make_key
from tests.helpers.daemon import Daemon, script
from tests.helpers.metrics import scrape
from tests.helpers.old_circus import clean_environment
from tests.helpers.orphans import Scene, scene
from tests.helpers.ports import reserved_port
from tests.helpers.upgrades import assert_nothing_lost, end_of, upgrade
from tests.helpers.waiting import DEADLINE, wait_until

__all__ = ["scene"]

SLEEPERS = "[watcher:web]\ncmd = sleep 600\nnumprocesses = 2\n"


def seqs(recorder: Recorder) -> list[int]:
    return [message.body["seq"] for message in recorder.messages]


def test_a_subscriber_heals_what_it_missed_from_the_journal(circusd: CircusD) -> None:
    daemon = circusd(SLEEPERS)
    daemon.wait_pids("web", 2)
    recorder = daemon.events("lifecycle.")
    first = daemon.ok("telemetry")["seq"] + 1
    for _ in range(3):
        daemon.ok("restart", name="web", waiting=True)
        upgrade(daemon)
    daemon.ok("restart", name="web", waiting=True)
    last = daemon.ok("telemetry")["seq"]
    # Reconnected, it hears again.
    wait_until(lambda: daemon.ok("incr", name="web", waiting=True) and seqs(recorder)[-1] > last)
    messages = list(recorder.messages)
    heard = {message.body["seq"]: message.body for message in messages}
    asked = {record["seq"]: record for record in daemon.ok("events", since=first - 1)["records"]}
    assert set(range(first, max(heard) + 1)) <= asked.keys()
    assert {seq: asked[seq] for seq in heard} == heard
    assert len(messages) == len(heard), "nothing came twice"
    previous: dict[str | None, int] = {}
    for record in daemon.ok("events")["records"]:
        assert record["previous"] == previous.get(record["watcher"])
        previous[record["watcher"]] = record["seq"]


def test_samples_are_counted_on_and_cpu_never_falls(circusd: CircusD) -> None:
    daemon = circusd(f"[watcher:w]\ncmd = {workers.python('burn')}\n", options={"sample_interval": 0.1})
    daemon.wait_pids("w", 1)
    recorder = daemon.stats("sample.")
    upgraded = 0
    for _ in range(2):
        recorder.wait_for(lambda message, since=upgraded: message.topic == "sample.w" and message.body["seq"] > since)
        upgrade(daemon)
        upgraded = max(message.body["seq"] for message in recorder.messages if message.topic == "sample.w")
    recorder.wait_for(lambda message: message.topic == "sample.w" and message.body["seq"] > upgraded + 3)
    for topic in ("sample.w", "sample.-"):
        told = [message.body for message in recorder.messages if message.topic == topic]
        assert [each["seq"] for each in told] == sorted({each["seq"] for each in told})
        assert {each["boot"] for each in told} == {daemon.ok("telemetry")["boot"]}
    totals = [m.body["totals"] for m in recorder.messages if m.topic == "sample.w"]
    spent = [each["cpu_user_seconds"] + each["cpu_system_seconds"] for each in totals]
    assert spent == sorted(spent)
    assert spent[-1] > 0


def test_the_exporter_counts_on(circusd: CircusD) -> None:
    with reserved_port() as port:
        daemon = circusd(
            f"{SLEEPERS}[watcher:lines]\ncmd = {workers.python('count')}\ncapture = True\n"
            f"[exporter:prometheus]\nport = {port}\n"
        )
        daemon.wait_pids("web", 2)
        (exporter,) = daemon.wait_pids("circus-exporter", 1)
        daemon.ok("restart", name="web", waiting=True)
        starts = ("circus_watcher_process_starts_total", {"watcher": "web"})
        page = wait_until(
            lambda: found if (found := scrape(port)) and found.total(starts[0], **starts[1]) == 4 else None,
            what=lambda: scrape(port) and scrape(port).text,  # type: ignore[union-attr]
        )
        lines = page.total("circus_watcher_stream_lines_total", watcher="lines")
        upgrade(daemon)
        daemon.ok("restart", name="web", waiting=True)
        after = wait_until(
            lambda: found if (found := scrape(port)) and found.total(starts[0], **starts[1]) == 6 else None,
            what=daemon.log_text,
        )
        assert (page.value("circus_upgrades_total"), after.value("circus_upgrades_total")) == (0, 1)
        assert after.value("circus_up") == 1
        assert after.value("circus_start_time_seconds") == page.value("circus_start_time_seconds")
        assert after.total("circus_watcher_stream_lines_total", watcher="lines") > lines > 0
        assert daemon.pids("circus-exporter") == [exporter]


def test_alerts_and_silences_stay(circusd: CircusD) -> None:
    daemon = circusd(SLEEPERS)
    data = {"alert": "leak", "kind": "memory", "severity": "warning", "since": 1.0, "value": 2.0, "threshold": 1.0}
    daemon.ok("record", record="alert.firing", watcher="web", wid=1, data={**data, "unit": "bytes"})
    daemon.ok("silence", watcher="web", alert="*", seconds=3600, comment="while we look")
    before = daemon.ok("alerts")
    upgrade(daemon)
    after = daemon.ok("alerts")
    for name in ("alerts", "silences", "notifiers", "boot"):
        assert after[name] == before[name]
    assert daemon.ok("silence", watcher="web", alert="*", seconds=60, comment="")["silence"]["id"] == 2
    daemon.ok("record", record="alert.resolved", watcher="web", wid=1, data={"alert": "leak", "reason": "recovered"})
    assert daemon.ok("alerts")["alerts"] == []


def test_the_last_lines_and_their_numbers_stay(circusd: CircusD) -> None:
    daemon = circusd("[watcher:w]\ncmd = sh -c 'echo one; echo two; printf thr; exec sleep 600'\ncapture = True\n")
    wait_until(lambda: len(daemon.ok("tail", name="w")["chunks"]) >= 1)
    before = daemon.ok("tail", name="w")
    upgrade(daemon)
    after = daemon.ok("tail", name="w")
    assert (after["life"], after["chunks"]) == (before["life"], before["chunks"])
    os.kill(daemon.pids("w")[0], 9)
    daemon.ok("stop", name="w", waiting=True)
    lines = [line for chunk in daemon.ok("tail", name="w")["chunks"] for line in chunk["lines"]]
    assert lines[:3] == ["one", "two", "thr"]


def test_curve_keys_stay(circusd: CircusD, tmp_path: pathlib.Path) -> None:
    server, admin = make_key(tmp_path, "server"), make_key(tmp_path, "admin")
    with reserved_port() as one, reserved_port() as two, reserved_port() as three, reserved_port() as port:
        names = ("endpoint", "pubsub_endpoint", "stats_endpoint")
        where = {name: f"tcp://127.0.0.1:{each}" for name, each in zip(names, (one, two, three), strict=True)}
        daemon = circusd(
            f"{SLEEPERS}{lets_in(admin, 'admin', 'me')}[exporter:prometheus]\nport = {port}\n",
            start=False,
            options={**where, "curve_secret_key_file": server.file},
        )
        daemon.spawn()

        def ask(command: str, **props: object) -> dict[str, object]:
            client = CircusClient(endpoint=where["endpoint"], timeout=3 * DEADLINE, keys=admin.to(server))
            try:
                return client.send_message(command, **props)  # type: ignore[return-value]
            finally:
                client.stop()

        wait_until(lambda: ask("numwatchers")["status"] == "ok")
        wait_until(lambda: (found := scrape(port)) and found.value("circus_up") == 1)
        server.file.unlink()  # what runs does not need it any more
        assert ask("upgrade")["status"] == "ok"
        wait_until(lambda: ask("telemetry")["arbiter"]["upgrades"] == 1)  # type: ignore[index]
        ask("restart", name="web", waiting=True)
        wait_until(
            lambda: (found := scrape(port)) and found.total("circus_watcher_process_starts_total", watcher="web") == 4,
            what=daemon.log_text,
        )


def test_a_daemon_in_the_background_stays_what_it_is(circusd: CircusD, tmp_path: pathlib.Path) -> None:
    pidfile, log = tmp_path / "circusd.pid", tmp_path / "log"
    daemon = circusd(
        "[watcher:w]\ncmd = sh -c 'umask; ulimit -n; pwd; exec sleep 600'\nstdout_stream.class = FileStream\n"
        "stdout_stream.filename = facts.{wid}\nenv.A = B\nnumprocesses = 1\n",
        start=False,
        options={"umask": "027", "pidfile": pidfile, "logoutput": log},
    )
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    words = [script("circusd"), "--daemon", str(daemon.ini)]

    def lower() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 300), hard))

    done = subprocess.run(words, cwd=daemon.directory, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          preexec_fn=lower, timeout=60)  # fmt: skip
    assert done.returncode == 0, done.stderr
    daemon.wait_answering()
    pid = int(pidfile.read_text())
    try:
        first = daemon.directory / "facts.1"
        wait_until(lambda: first.exists() and len(first.read_text().splitlines()) == 3)
        session = os.getsid(pid)
        upgrade(daemon)
        assert int(pidfile.read_text()) == pid
        assert os.getsid(pid) == session
        assert not list(daemon.directory.glob("*.pid.*"))
        daemon.ok("incr", name="w", waiting=True)
        second = daemon.directory / "facts.2"
        wait_until(lambda: second.exists() and len(second.read_text().splitlines()) == 3)
        assert second.read_text() == first.read_text()
        assert first.read_text().split()[:2] == ["0027", "300"]
        assert [line for line in log.read_text().splitlines() if "has taken over" in line]
        daemon.ok("quit")
        wait_until(lambda: not pidfile.exists())
        wait_until(lambda: not proc.alive(pid))
    finally:
        if proc.alive(pid):
            proc.end(pid)


def test_a_plugin_goes_on_and_is_heard(circusd: CircusD) -> None:
    daemon = circusd(
        "[watcher:w]\ncmd = sh -c 'sleep 0.2; exit 1'\n[plugin:flapping]\nuse = circus.plugins.flapping.Flapping\n"
        "attempts = 3\nwindow = 60\nretry_in = 600\nmax_retry = 1\n"
    )
    (pid,) = daemon.wait_pids("plugin:flapping", 1)
    upgrade(daemon)
    assert daemon.pids("plugin:flapping") == [pid]
    # It has heard of the deaths after it, and its command to stop arrives.
    daemon.wait_status("w", "stopped", 3 * DEADLINE)


def test_the_state_file_goes_on(scene: Scene) -> None:
    daemon = scene.circusd(f"[circus]\norphans = kill\n{SLEEPERS}")
    daemon.wait_pids("web", 2)
    (file,) = scene.state_files()
    upgrade(daemon)
    daemon.ok("incr", name="web", waiting=True)
    pids = daemon.wait_pids("web", 3)
    other = scene.circusd(f"[circus]\norphans = kill\nstate_file = {file}\n{SLEEPERS}", start=False)
    other.spawn()
    assert other.wait() != 0, "the lock is held as before"
    assert all(map(proc.alive, pids))
    upgrade(daemon)
    left = scene.kill(daemon)
    assert set(pids) <= left
    daemon.start()
    assert not any(map(proc.alive, left))
    daemon.wait_pids("web", 2)


@pytest.mark.real
def test_the_client_of_0_19_works_after_it(circusd: CircusD) -> None:
    daemon = circusd(SLEEPERS)
    pids = daemon.wait_pids("web", 2)
    upgrade(daemon)
    words = [real.old_circus("circusctl"), "--endpoint", daemon.endpoint, "list", "web"]
    done = subprocess.run(words, capture_output=True, text=True, env=clean_environment(), timeout=60, check=True)
    assert sorted(map(int, done.stdout.split(","))) == pids


def test_requests_that_wait_are_answered_by_the_next_program(circusd: CircusD) -> None:
    daemon = circusd(SLEEPERS)
    daemon.wait_pids("web", 2)
    for _ in range(3):
        reply = _ask_and_crowd(daemon)
        end_of(daemon, reply)


def _ask_and_crowd(daemon: Daemon) -> int:
    """Ask for an upgrade, and connect ten clients in the moment in which nobody serves; all are answered."""
    callers: list[Caller] = []
    done = daemon.log_text().count("has taken over")
    try:
        with daemon.caller() as other:
            other.send("upgrade")
            seq: int = other.receive(3 * DEADLINE)["seq"]
        # Or the test itself came too late for that moment; then they are clients like any others.
        wait_until(lambda: _exec_begins(daemon.pid) or daemon.log_text().count("has taken over") > done)
        for _ in range(10):
            callers.append(daemon.caller())
            callers[-1].send("numprocesses")
        assert [each.receive(3 * DEADLINE)["numprocesses"] for each in callers] == [2] * 10
    finally:
        for each in callers:
            each.close()
    return seq


def _exec_begins(pid: int) -> bool:
    """True once the threads of libzmq are gone, so that it is the next program that runs, or is about to."""
    return len(os.listdir(f"/proc/{pid}/task")) == 1


def test_the_configuration_is_not_read_again(circusd: CircusD) -> None:
    daemon = circusd(SLEEPERS)
    pids = daemon.wait_pids("web", 2)
    text = daemon.ini.read_text()
    daemon.ini.write_text("[watcher:")
    upgrade(daemon)
    assert daemon.pids("web") == pids
    daemon.ini.write_text(text.replace("numprocesses = 2", "numprocesses = 3"))
    upgrade(daemon)
    assert daemon.pids("web") == pids
    daemon.ok("reloadconfig", waiting=True)
    assert len(daemon.wait_pids("web", 3)) == 3
    assert set(pids) <= set(daemon.pids("web"))


@pytest.mark.parametrize(
    "options",
    [
        "path = a.sock\numask = 077",
        "host = 127.0.0.1\nport = 0\nso_reuseport = True",
        "host = 127.0.0.1\nport = 0\ntype = SOCK_DGRAM",
        "host = localhost\nport = 0\nblocking = True\nbacklog = 7",
    ],
)
def test_every_kind_of_socket_is_what_it_was(circusd: CircusD, options: str) -> None:
    told = workers.python("socket_facts", "facts", "$(circus.sockets.s)")
    daemon = circusd(f"[socket:s]\n{options}\n[watcher:w]\ncmd = {told}\nuse_sockets = True\n")
    facts = daemon.directory / "facts"

    def lines() -> list[str]:
        return facts.read_text().splitlines() if facts.exists() else []

    wait_until(lambda: len(lines()) == 1, what=daemon.log_text)
    before, first = daemon.ok("listsockets"), lines()
    upgrade(daemon)
    assert daemon.ok("listsockets")["sockets"] == before["sockets"]
    facts.unlink()
    daemon.ok("restart", name="w", waiting=True)
    wait_until(lambda: len(lines()) == 1, what=daemon.log_text)
    assert lines() == first
    daemon.ok("quit", waiting=True)
    daemon.wait()
    assert not (daemon.directory / "a.sock").exists()


def test_hooks_and_streams_of_ones_own_are_there_again(circusd: CircusD, tmp_path: pathlib.Path) -> None:
    (tmp_path / "mine.py").write_text(
        "def told(watcher, hook_name, **_):\n"
        "    open('hooks', 'a').write(hook_name + '\\n')\n"
        "    return True\n"
        "class Keeping:\n"
        "    def __init__(self, **_): self.kept = b''\n"
        "    def __call__(self, chunk): self.kept += chunk['data']\n"
        "    def close(self):\n"
        "        open('kept', 'ab').write(self.kept)\n"
        "        self.kept = b''\n"
    )
    hooks = "".join(f"hooks.{name} = mine.told\n" for name in ("before_start", "after_spawn", "before_stop"))
    daemon = circusd(
        f"[watcher:w]\ncmd = {workers.python('count')}\nstdout_stream.class = mine.Keeping\n{hooks}",
        env={"PYTHONPATH": str(tmp_path)},
    )
    (pid,) = daemon.wait_pids("w", 1)
    for _ in range(2):
        wait_until(lambda: daemon.ok("tail", name="w")["chunks"])
        upgrade(daemon)
    daemon.ok("stop", name="w", waiting=True)
    assert assert_nothing_lost(daemon.directory / "kept").keys() == {pid}
    assert (daemon.directory / "hooks").read_text().split() == ["before_start", "after_spawn", "before_stop"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else")
def test_a_worker_of_another_user_goes_on(circusd: CircusD) -> None:
    daemon = circusd("[watcher:w]\ncmd = sleep 600\nuid = nobody\ngid = nogroup\nrlimit_nofile = 50\nmax_age = 600\n")
    (pid,) = daemon.wait_pids("w", 1)
    upgrade(daemon)
    assert daemon.pids("w") == [pid]
    daemon.ok("restart", name="w", waiting=True)
    (other,) = daemon.wait_pids("w", 1, without=[pid])
    assert pathlib.Path(f"/proc/{other}").owner() == "nobody"


def test_processes_that_were_adopted_go_on(scene: Scene) -> None:
    daemon = scene.circusd(
        f"[circus]\norphans = adopt\n[watcher:w]\ncmd = {workers.python('count', 0.01)}\nnumprocesses = 2\n"
        "stdout_stream.class = FileStream\nstdout_stream.filename = lines.log\n"
    )
    pids = daemon.wait_pids("w", 2)
    scene.kill(daemon)
    daemon.start()
    assert sorted(daemon.wait_pids("w", 2)) == sorted(pids)
    upgrade(daemon)
    upgrade(daemon)
    assert sorted(daemon.pids("w")) == sorted(pids)
    log = daemon.directory / "lines.log"
    size = log.stat().st_size
    wait_until(lambda: log.stat().st_size > size)
    os.kill(pids[0], 9)
    daemon.wait_pids("w", 2, without=pids[:1])
    daemon.ok("stop", name="w", waiting=True)
    assert not any(map(proc.alive, pids))
