"""The page of lifecycle records, against what the real circusd records: each kind with exactly its keys."""

from __future__ import annotations

import re

from circus.core.stimuli import Vanished
from circus.spec.watcher import WatcherSpec
from tests.fakes.world import World
from tests.helpers.channels import Message
from tests.helpers.daemon import REPOSITORY

HOOKS = "def yes(**_): return True\n"
INI = """
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


def is_stopped(message: Message) -> bool:
    return message.topic == "lifecycle.-.arbiter.stopped"


def test_the_page_of_records_tells_exactly_the_keys_that_circusd_sends(circusd, tmp_path):
    (tmp_path / "pagehooks.py").write_text(HOOKS)
    daemon = circusd(INI.format(hooks=tmp_path))
    with daemon.events("lifecycle.") as events:
        daemon.wait_status("web", "active")
        daemon.wait_status("stubborn", "active")
        daemon.ok("reload", name="web", waiting=True)
        daemon.ok("stop", name="stubborn", waiting=True)
        daemon.ok("add", name="more", cmd="sleep 1000", waiting=True)
        daemon.ok("set", name="more", options={"priority": 3}, waiting=True)
        daemon.ok("rm", name="more", waiting=True)
        written = daemon.ini.read_text()
        daemon.ini.write_text("nonsense")
        assert daemon.call("restart", waiting=True)["status"] == "error"
        daemon.ini.write_text(written)
        daemon.ok("restart", waiting=True)
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
