"""The page of lifecycle records, against what the real circusd records: each kind with exactly its keys."""

from __future__ import annotations

import os
import re
import signal
import time

from circus.core.stimuli import Vanished
from circus.spec.watcher import WatcherSpec
from tests.fakes.world import World
from tests.helpers import proc
from tests.helpers.channels import Message
from tests.helpers.daemon import REPOSITORY, Daemon
from tests.helpers.upgrades import ask, upgrade
from tests.helpers.waiting import wait_until

HOOKS = "def yes(**_): return True\n"
INI = """
[circus]
sample_interval = 0.1
orphans = adopt

[watcher:web]
cmd = sleep 1000
graceful_timeout = 0.2
hooks.after_spawn = pagehooks.yes

[watcher:stubborn]
cmd = sh -c "trap '' TERM; while :; do sleep 0.1; done"
graceful_timeout = 0.1

[watcher:full]
cmd = echo lost
respawn = false
stdout_stream.filename = /dev/full

[watcher:parent]
cmd = sh -c "sleep 1000 & echo $!"
kill_scope = tree
respawn = false

[alert:down]
watchers = web

[watcher:missing]
cmd = /no/such/program
max_retry = 1

[env]
PYTHONPATH = {hooks}
PATH = /usr/bin:/bin
"""
_SECTION = re.compile(r"^### ([\w.]+)$(.*?)(?=^##|\Z)", re.MULTILINE | re.DOTALL)
_KEY = re.compile(r"^\| `(\w+)` \|", re.MULTILINE)


def documented() -> dict[str, set[str]]:
    """The keys of each record as the page tells them."""
    page = (REPOSITORY / "docs/reference/records.md").read_text()
    keys = {name: set(_KEY.findall(text)) for name, text in _SECTION.findall(page)}
    keys["process.lost"] |= keys["process.exited"]
    return keys


def lose_something(daemon: Daemon) -> None:
    """Samples for which there was no time, and an answer to somebody who has left."""
    with daemon.stats("sample."):
        daemon.signal(signal.SIGSTOP)
        time.sleep(0.5)  # some sample_interval in which the daemon does nothing
        daemon.signal(signal.SIGCONT)
        wait_until(lambda: daemon.ok("events", record="sample.skipped")["records"])
    daemon.ok("set", name="stubborn", options={"graceful_timeout": 1000}, waiting=True)

    def answer_nobody() -> object:
        daemon.ok("start", name="stubborn", waiting=True)
        (pid,) = daemon.pids("stubborn")
        os.kill(pid, signal.SIGSTOP)
        wait_until(lambda: (found := proc.stat(pid)) and found.state == "T")
        with daemon.caller() as other:
            other.send("stop", name="stubborn", waiting=True)
            daemon.wait_state("stubborn", "stopping")
            assert ask(daemon, timeout=0)["status"] == "error", "something is in progress"
        daemon.ok("numwatchers")
        os.kill(pid, signal.SIGKILL)
        daemon.wait_status("stubborn", "stopped")
        return daemon.ok("events", record="message.dropped")["records"]

    # Whether the daemon knows yet that he has left is a matter of luck.
    wait_until(answer_nobody, pause=0.3)


def alert_of_everything(daemon: Daemon) -> None:
    """What the exporter tells of an alert, and what people do about it."""
    firing = {"alert": "down", "kind": "down", "severity": "info", "since": 1.0}
    delivery = {"notify": "ops", "type": "exec", "count": 1}
    told = {
        "alert.firing": firing,
        "alert.resolved": {"alert": "down", "reason": "recovered"},
        "alert.delivered": delivery,
        "alert.failed": delivery,
    }
    for record, data in told.items():
        daemon.ok("record", record=record, watcher="web", data=data)
    daemon.ok("unsilence", silence=daemon.ok("silence", seconds=1000)["silence"]["id"])
    daemon.ok("test-alert", alert="down")


def is_stopped(message: Message) -> bool:
    return message.topic == "lifecycle.-.arbiter.stopped"


def test_the_page_of_records_tells_exactly_the_keys_that_circusd_sends(circusd, tmp_path):
    (tmp_path / "pagehooks.py").write_text(HOOKS)
    (tmp_path / "run").mkdir()
    daemon = circusd(INI.format(hooks=tmp_path), env={"CIRCUS_RUNTIME_DIR": str(tmp_path / "run")})
    daemon.wait_status("web", "active")
    daemon.kill()  # what it leaves is taken over
    daemon.start()
    with daemon.events("lifecycle.") as events:
        daemon.wait_status("web", "active")
        daemon.wait_status("stubborn", "active")
        daemon.ok("reload", name="web", waiting=True)
        daemon.ok("stop", name="stubborn", waiting=True)
        daemon.ok("add", name="more", cmd="sleep 1000", waiting=True)
        daemon.ok("set", name="more", options={"priority": 3}, waiting=True)
        daemon.ok("rm", name="more", waiting=True)
        alert_of_everything(daemon)
        upgrade(daemon)
        written = daemon.ini.read_text()
        daemon.ini.write_text("nonsense")
        assert daemon.call("restart", waiting=True)["status"] == "error"
        daemon.ini.write_text(written)
        daemon.ok("restart", waiting=True)
        lose_something(daemon)
        kept = daemon.ok("events")["records"]
        daemon.ok("quit")
        events.wait_for(is_stopped)
        records = [*kept, *(message.body for message in events.messages)]
    sent: dict[str, set[str]] = {}
    for record in records:
        sent.setdefault(record["record"], set(record["data"]))
        assert set(record["data"]) == sent[record["record"]], "one kind of record, two sets of keys"
    told = documented()
    del told["process.lost"]  # cannot be provoked from the outside
    assert sent == told


def test_the_page_of_records_tells_the_keys_of_a_lost_process():
    world = World(WatcherSpec(name="web", cmd="sleep 1"))
    world.submit("start")
    world.run(1.0)
    process = next(iter(world.alive.values()))
    world.tell(Vanished(process.wid, process.generation, "somebody else collected the status"))
    lost = next(record for record in world.records if record.record == "process.lost")
    assert set(lost.data) == documented()["process.lost"]
