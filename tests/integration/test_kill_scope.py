"""How far a stop reaches: children, grandchildren, who ignores SIGTERM, who left for a session of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pathlib
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from circus.api import get_arbiter
from circus.process import devnull
from circus.runtime.cgroup import Groups
from tests import workers
from tests.helpers import proc
from tests.helpers.daemon import Daemon
from tests.helpers.waiting import DEADLINE, wait_until

Start = Callable[..., Daemon]

# The daemon's descriptor of /dev/null stays open in this process from its first use.
devnull()


@pytest.fixture
def tree(tmp_path: pathlib.Path) -> Iterator[Callable[..., dict[str, int]]]:
    """The pids of a fork_tree that writes to `pids`, by role, once all live; what still lives afterwards is ended."""
    known: set[int] = set()
    file = tmp_path / "pids"

    def pids(without: dict[str, int] | None = None) -> dict[str, int]:
        def read() -> dict[str, int] | None:
            found = json.loads(file.read_text()) if file.exists() else None
            return found if found != without else None

        found = wait_until(read)
        assert found
        known.update(found.values())
        return found

    yield pids
    for pid in known:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    # They may have been adopted by this process.
    for pid in known & proc.own_children():
        os.waitpid(pid, 0)


def ini(tmp_path: pathlib.Path, *words: str, options: str = "kill_scope = tree\n") -> str:
    return f"[watcher:web]\ncmd = {workers.python('fork_tree', tmp_path / 'pids', *words)}\n{options}"


def by(*ways: str) -> dict[str, str]:
    return {"CIRCUS_KILL_BY": ",".join(ways)}


def living(pids: dict[str, int]) -> set[str]:
    return {role for role, pid in pids.items() if proc.alive(pid)}


def grouped() -> bool:
    groups = Groups.open()
    if groups is None:
        return False
    groups.close()
    return True


EACH_WAY = pytest.mark.parametrize(
    ("way", "words"),
    [
        pytest.param(
            "cgroup", ("--daemon",), marks=pytest.mark.skipif(not grouped(), reason="no cgroup v2 that we may change")
        ),
        ("walk", ()),
        ("adoption,mark", ("--daemon",)),
        ("mark", ("--daemon",)),
        ("", ("--daemon",)),
    ],
)


@pytest.mark.parametrize("deaf", [False, True])
@EACH_WAY
def test_a_stop_of_a_tree_ends_all_of_it(  # noqa: PLR0917 -- fixtures and parameters
    circusd: Start,
    tmp_path: pathlib.Path,
    tree: Callable[..., dict[str, int]],
    way: str,
    words: tuple[str, ...],
    deaf: bool,
) -> None:
    options = "kill_scope = tree\n" + ("graceful_timeout = 0.3\n" if deaf else "")
    daemon = circusd(ini(tmp_path, *words, *(["--deaf"] if deaf else []), options=options), env=by(way))
    pids = tree()
    told = daemon.events("lifecycle.web.process.")
    events = daemon.events("watcher.web.")
    daemon.ok("stop", name="web", waiting=True)
    assert living(pids) == set()
    signalled = told.wait_for_topic("lifecycle.web.process.signalled")[0].body["data"]
    assert (signalled["signal"], signalled["scope"], signalled["count"]) == ("SIGTERM", "tree", len(pids))
    if deaf:
        escalated = told.wait_for_topic("lifecycle.web.process.escalated")[0].body["data"]
        assert set(escalated["left"]) == set(pids.values()) - {pids["worker"]}
        drained = told.wait_for_topic("lifecycle.web.process.drained")[0].body["data"]
        assert (drained["left"], drained["seconds"] > 0) == ([], True)
    exited = told.wait_for_topic("lifecycle.web.process.exited")[0].body["data"]
    assert (exited["reason"], exited["outcome"], exited["leftovers"]) == ("stopped", "success", [])
    events.wait_for_topic("watcher.web.stop")
    kills = [message.body["process_pid"] for message in events.messages if message.topic.endswith(".kill")]
    assert set(kills) == set(pids.values())
    assert kills[0] == pids["worker"]


def test_stop_children_means_the_whole_tree(
    circusd: Start, tmp_path: pathlib.Path, tree: Callable[..., dict[str, int]]
) -> None:
    daemon = circusd(ini(tmp_path, options="stop_children = true\n"))
    pids = tree()
    assert daemon.ok("options", name="web")["options"]["kill_scope"] == "tree"
    daemon.ok("stop", name="web", waiting=True)
    assert living(pids) == set()


@pytest.mark.parametrize("options", ["", "stop_children = true\nkill_scope = main\n"])
def test_with_the_process_alone_in_scope_those_who_stay_are_named(
    circusd: Start, tmp_path: pathlib.Path, tree: Callable[..., dict[str, int]], options: str
) -> None:
    daemon = circusd(ini(tmp_path, options=options))
    pids = tree()
    told = daemon.events("lifecycle.web.process.exited")
    daemon.ok("stop", name="web", waiting=True)
    assert living(pids) == set(pids) - {"worker"}
    left = told.wait_for_topic("lifecycle.web.process.exited")[0].body["data"]["leftovers"]
    assert {each["pid"] for each in left} == set(pids.values()) - {pids["worker"]}
    assert all(each["name"].startswith("python") for each in left)
    (watcher,) = daemon.ok("telemetry")["watchers"]
    assert watcher["counters"]["leftovers"] == len(left)


@pytest.mark.parametrize("way", ["mark", "adoption", "cgroup"])
def test_what_a_removed_watcher_left_behind_is_no_part_of_one_of_its_name(
    circusd: Start, tmp_path: pathlib.Path, tree: Callable[..., dict[str, int]], way: str
) -> None:
    if way == "cgroup" and not grouped():
        pytest.skip("no cgroup v2 that we may change")
    daemon = circusd(ini(tmp_path), env=by(way))
    left = tree()
    daemon.ok("rm", name="web", nostop=True, waiting=True)
    options = {"kill_scope": "tree"}
    daemon.ok("add", name="web", cmd="sleep 1000", options=options, start=True, waiting=True)
    (fresh,) = daemon.pids("web")
    assert daemon.ok("telemetry")["watchers"][0]["generation"] == 2
    daemon.ok("rm", name="web", waiting=True)
    assert not proc.alive(fresh)
    assert living(left) == set(left)


def test_with_the_group_in_scope_who_left_the_session_stays(
    circusd: Start, tmp_path: pathlib.Path, tree: Callable[..., dict[str, int]]
) -> None:
    daemon = circusd(ini(tmp_path, "--daemon", options="kill_scope = group\n"))
    pids = tree()
    daemon.ok("stop", name="web", waiting=True)
    assert living(pids) == {"daemon"}


@EACH_WAY
def test_after_a_crash_the_rest_is_gone_before_the_next_starts(
    circusd: Start, tmp_path: pathlib.Path, tree: Callable[..., dict[str, int]], way: str, words: tuple[str, ...]
) -> None:
    daemon = circusd(ini(tmp_path, *words), env=by(way))
    pids = tree()
    events = daemon.events("watcher.web.")
    os.kill(pids["worker"], signal.SIGKILL)
    if way == "walk":  # nobody is found below a dead parent
        daemon.wait_pids("web", 1, without=[pids["worker"]])
    else:
        events.wait_for_topic("watcher.web.spawn")
        assert living(pids) == set()
    tree(without=pids)


def test_a_process_that_is_replaced_takes_its_tree_along(
    circusd: Start, tmp_path: pathlib.Path, tree: Callable[..., dict[str, int]]
) -> None:
    daemon = circusd(ini(tmp_path, "--daemon"))
    first = tree()
    daemon.ok("kill", name="web", waiting=True)
    assert living(first) == set()
    second = tree(without=first)
    daemon.ok("reload", name="web", waiting=True)
    assert living(second) == set()
    third = tree(without=second)
    daemon.ok("decr", name="web", waiting=True)
    assert living(third) == set()


def test_the_end_of_the_daemon_is_the_end_of_all_trees(
    circusd: Start, tmp_path: pathlib.Path, tree: Callable[..., dict[str, int]]
) -> None:
    daemon = circusd(ini(tmp_path, "--daemon", "--deaf", options="kill_scope = tree\ngraceful_timeout = 1000\n"))
    pids = tree()
    daemon.signal(signal.SIGTERM)
    wait_until(lambda: not proc.alive(pids["worker"]))
    assert living(pids) == set(pids) - {"worker"}
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0
    assert living(pids) == set()


def test_orphans_are_adopted_and_reaped(
    circusd: Start, tmp_path: pathlib.Path, tree: Callable[..., dict[str, int]]
) -> None:
    daemon = circusd(ini(tmp_path, "--daemon", options=""))
    pids = tree()
    daemon.ok("stop", name="web", waiting=True)
    assert {proc.stat(pid).ppid for role, pid in pids.items() if role in ("child", "sibling", "daemon")} == {daemon.pid}
    for role in ("child", "grandchild", "sibling", "daemon"):
        os.kill(pids[role], signal.SIGKILL)
    wait_until(lambda: proc.children(daemon.pid) == set())
    assert daemon.ok("telemetry")["arbiter"]["strangers_reaped"] >= 4


def test_a_subprocess_of_a_hook_keeps_its_status(circusd: Start, tmp_path: pathlib.Path) -> None:
    (tmp_path / "hooks_with_children.py").write_text(
        "import subprocess, time\n"
        "def ask(**_):\n"
        "    child = subprocess.Popen(['sh', '-c', 'exit 7'])\n"
        "    time.sleep(0.3)\n"
        f"    open({str(tmp_path / 'status')!r}, 'w').write(str(child.wait()))\n"
        "    return True\n"
    )
    text = "[watcher:web]\ncmd = sleep 1000\nhooks.before_start = hooks_with_children.ask\n"
    daemon = circusd(text, env={"PYTHONPATH": str(tmp_path)})
    daemon.wait_status("web", "active")
    assert (tmp_path / "status").read_text() == "7"


def test_a_child_that_no_hook_waits_for_is_reaped_in_the_end_also_without_a_sweep(
    circusd: Start, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "impatient.py").write_text("from circus.runtime import reaper\nreaper._FOREIGN_SECONDS = 1.0\n")
    (tmp_path / "hooks_that_fork.py").write_text(
        "import os\n"
        "def fork(**_):\n"
        "    return os.fork() or os._exit(0)\n"
        "def fork_and_return(**_):\n"
        "    os.fork()\n"
        "    return True\n"
    )
    text = (
        "[circus]\ncheck_delay = 0\n[watcher:web]\ncmd = sleep 1000\n"
        "hooks.before_start = hooks_that_fork.fork\nhooks.after_start = hooks_that_fork.fork_and_return\n"
    )
    daemon = circusd(text, env={"PYTHONPATH": str(tmp_path)}, module="impatient")
    (worker,) = daemon.wait_pids("web", 1)
    wait_until(lambda: daemon.ok("telemetry")["arbiter"]["strangers_reaped"] == 2)
    assert proc.children(daemon.pid) == {worker}


@pytest.mark.skipif(not grouped(), reason="no cgroup v2 that we may change")
def test_cgroups_are_removed_again(circusd: Start, tmp_path: pathlib.Path, tree: Callable[..., dict[str, int]]) -> None:
    daemon = circusd(ini(tmp_path))
    (worker,) = {tree()["worker"]}
    mine = [line for line in pathlib.Path(f"/proc/{worker}/cgroup").read_text().splitlines() if line.startswith("0::")]
    assert f"/circus-{daemon.pid}/web.1.1" in mine[0]
    groups = Groups.open()
    assert groups is not None
    home = groups._path.parent
    groups.close()
    assert (home / f"circus-{daemon.pid}").is_dir()
    daemon.ok("quit", waiting=True)
    daemon.wait()
    assert not (home / f"circus-{daemon.pid}").exists()


@pytest.mark.parametrize("way", ["mark", "walk"])
async def test_an_embedded_arbiter_adopts_nobody_and_finds_them_all_the_same(
    tmp_path: pathlib.Path, tree: Callable[..., dict[str, int]], monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.setenv("CIRCUS_KILL_BY", way)
    words = ["--daemon"] if way == "mark" else []
    watcher = {"name": "web", "cmd": workers.python("fork_tree", tmp_path / "pids", *words), "kill_scope": "tree"}
    where = {name: f"ipc://{tmp_path}/{name}" for name in ("controller", "pubsub_endpoint", "stats_endpoint")}
    arbiter = get_arbiter([watcher], **where)
    task = asyncio.ensure_future(arbiter.run())
    pids = await asyncio.to_thread(tree)
    await asyncio.wait_for(arbiter.get_watcher("web").stop(), DEADLINE)
    assert living(pids) == set()
    await asyncio.wait_for(arbiter.quit(), DEADLINE)
    await asyncio.wait_for(task, DEADLINE)


def running(word: str) -> set[int]:
    """Who has that word in its command line."""
    found = set()
    for entry in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if word.encode() in pathlib.Path(f"/proc/{entry}/cmdline").read_bytes() and proc.alive(int(entry)):
                found.add(int(entry))
    return found


@pytest.mark.parametrize(
    "way",
    [
        pytest.param("cgroup", marks=pytest.mark.skipif(not grouped(), reason="no cgroup v2 that we may change")),
        "adoption,mark",
        "",
    ],
)
def test_nobody_runs_away(circusd: Start, tmp_path: pathlib.Path, way: str) -> None:
    word = str(tmp_path / "ready")
    command = workers.python("runaway", f"{word}-$(circus.wid)")
    options = "numprocesses = 5\nkill_scope = tree\ngraceful_timeout = 0.3\n"
    daemon = circusd(f"[watcher:web]\ncmd = {command}\n{options}", env=by(way))
    wait_until(lambda: len(list(tmp_path.glob("ready-*"))) == 5)
    # Those who run away may be missed while /proc is looked through.
    wait_until(lambda: len(running(word)) > 5)
    daemon.ok("stop", name="web", waiting=True)
    assert running(word) - {daemon.pid} == set()


HELD = """
import os, pathlib, time
from {module} import {owner} as owner
original = owner.{function}
calls = 0

def sleeps(seconds):
    def words(pid):
        try:
            return pathlib.Path(f"/proc/{{pid}}/cmdline").read_bytes().split(bytes(1))
        except OSError:
            return []

    return any(words(pid)[:2] == [b"sleep", seconds] for pid in os.listdir("/proc"))

def late(*args, **kwargs):
    global calls
    calls += 1
    {before}
    found = original(*args, **kwargs)
    {after}
    return found

owner.{function} = late
"""


def held(tmp_path: pathlib.Path, where: str, *, before: str = "", after: str = "") -> dict[str, str]:
    """A module that holds circusd up in a function, and the environment in which it is found."""
    module, owner, function = where.rsplit(".", 2)
    text = HELD.format(module=module, owner=owner, function=function, before=before, after=after)
    (tmp_path / "holding.py").write_text(text)
    return {"PYTHONPATH": str(tmp_path)}


GROUPED = pytest.mark.skipif(not grouped(), reason="no cgroup v2 that we may change")


@pytest.fixture
def hiding() -> Iterator[str]:
    """For how long somebody sleeps who hides in the first instructions of a worker: forked twice, in a session of his own,
    with an empty environment. No other process sleeps so long; it is ended afterwards.
    """
    word = f"1000.{os.getpid()}{time.monotonic_ns()}"
    yield word
    for pid in running(word):
        os.kill(pid, signal.SIGKILL)


def hider(word: str, then: str) -> str:
    return f"cmd = (env -i setsid sleep {word} &); {then}\nshell = true\nkill_scope = tree\n"


@GROUPED
@pytest.mark.parametrize("way", ["cgroup", ""])
@pytest.mark.parametrize("user", ["", "uid = nobody\n"])
def test_who_hides_before_circusd_can_do_anything_is_found(
    circusd: Start, tmp_path: pathlib.Path, hiding: str, way: str, user: str
) -> None:
    env = held(
        tmp_path, "circus.reach.Reach.born", before=f"while not sleeps({hiding.encode()!r}): time.sleep(0.01)"
    ) | by(way)
    daemon = circusd(f"[watcher:web]\n{hider(hiding, 'exec sleep 1000')}{user}", env=env, module="holding")
    daemon.wait_status("web", "active")
    assert running(hiding)
    daemon.ok("stop", name="web", waiting=True)
    assert running(hiding) == set()


@GROUPED
@pytest.mark.parametrize("way", ["cgroup", ""])
def test_who_hides_and_is_left_before_circusd_can_do_anything_is_found(
    circusd: Start, tmp_path: pathlib.Path, hiding: str, way: str
) -> None:
    # The worker is dead by then, and nobody has collected its status.
    dead = "open(f'/proc/{args[1].pid}/stat').read().rpartition(')')[2].split()[0] == 'Z'"
    until = f"while not ({dead} and sleeps({hiding.encode()!r})): time.sleep(0.01)"
    env = held(tmp_path, "circus.reach.Reach.born", before=until) | by(way)
    text = f"[watcher:web]\n{hider(hiding, 'exit 0')}respawn = false\nautostart = false\n"
    daemon = circusd(text, env=env, module="holding")
    told = daemon.events("lifecycle.web.process.")
    daemon.ok("start", name="web")
    assert told.wait_for_topic("lifecycle.web.process.drained")[0].body["data"]["left"] == []
    assert running(hiding) == set()


@pytest.mark.parametrize(
    ("way", "where"),
    [
        pytest.param("cgroup", "circus.runtime.cgroup.Group.pids", marks=GROUPED),
        ("adoption,mark", "circus.runtime.reaper.Reaper.orphans"),
        ("mark", "circus.runtime.kin._marked"),
    ],
)
def test_who_is_gone_when_circusd_looks_at_him_may_have_left_another(
    circusd: Start, tmp_path: pathlib.Path, way: str, where: str
) -> None:
    ready = tmp_path / "ready"
    # In that time all of them have been replaced.
    after = f"if calls <= 4 and pathlib.Path({str(ready)!r}).exists(): time.sleep(0.5)"
    env = held(tmp_path, where, after=after) | by(way)
    command = workers.python("runaway", ready)
    text = f"[watcher:web]\ncmd = {command}\nkill_scope = tree\ngraceful_timeout = 0.3\n"
    daemon = circusd(text, env=env, module="holding")
    wait_until(ready.exists)
    daemon.ok("stop", name="web", waiting=True)
    assert running(str(ready)) - {daemon.pid} == set()
