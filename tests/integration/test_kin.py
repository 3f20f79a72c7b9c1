"""Who belongs to a process, found where circusd is not the main program, and when he could be overlooked."""

from __future__ import annotations

import asyncio
import os
import pathlib
import signal
import subprocess
from collections.abc import Callable, Iterator

import pytest

from circus.api import get_arbiter
from circus.arbiter import Arbiter
from circus.process import Process, devnull
from circus.reach import Reach
from circus.runtime.cgroup import Group, Groups
from circus.runtime.kin import Kin
from circus.runtime.reaper import Reaper
from tests.helpers import proc
from tests.helpers.waiting import DEADLINE, wait_until

# The descriptor of /dev/null stays open in this process from its first use.
devnull()

Sleeper = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def sleeper() -> Iterator[Sleeper]:
    """Start `sleep` in a session of its own, with this environment."""
    started: list[subprocess.Popen[bytes]] = []

    def start(env: dict[str, str]) -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen(["sleep", "1000"], env=env, start_new_session=True))
        return started[-1]

    yield start
    for each in started:
        each.kill()
        each.wait()


@pytest.fixture
def groups() -> Iterator[Groups]:
    """Where cgroups can be made."""
    found = Groups.open()
    if found is None:
        pytest.skip("no cgroup v2 that we may change")
    yield found
    found.close()


def process(name: str, env: dict[str, str]) -> Process:
    return Process(name, 1, "sleep 1000", env=env, pipe_stdout=False, pipe_stderr=False)


async def test_who_turns_up_after_sigkill_gets_it_too(sleeper: Sleeper) -> None:
    loop = asyncio.get_running_loop()
    reach = Reach(loop, Reaper(loop), "boot")
    mark = reach.mark("web", 1, 1)
    main = process("web", mark)
    reach.born(main, mark, None)
    assert reach.signal(main, signal.SIGKILL, "tree") == (main.pid,)
    await asyncio.to_thread(main.wait, DEADLINE)
    late = sleeper(mark)
    left = reach.leftovers(main, "tree")
    assert left is not None
    assert [each.pid for each in left] == [late.pid]
    gone = asyncio.Event()
    reach.await_end(main.pid, "tree", lambda left: None if left else gone.set())
    await asyncio.wait_for(gone.wait(), DEADLINE)
    assert await asyncio.to_thread(late.wait, DEADLINE) == -signal.SIGKILL
    reach.close()


def test_who_was_forked_before_the_process_was_in_its_cgroup_is_found_by_his_mark(
    sleeper: Sleeper, groups: Groups
) -> None:
    mark = "boot:web:1:1"
    env = {"CIRCUS_PROCESS": mark}
    group = groups.make("web.1.1")
    assert group is not None
    main, early = process("web", env), sleeper(env)
    assert group.join(main.pid)
    kin = Kin(main.pid, adopted=None, mark=mark, group=group)
    assert [each.pid for each in kin.look()] == [early.pid]
    main.send_signal(signal.SIGKILL)
    main.wait(DEADLINE)
    kin.main_gone = True
    assert [each.pid for each in kin.rest("tree")] == [early.pid]
    assert kin.signal(signal.SIGKILL, "tree") == [early.pid]
    early.wait(DEADLINE)
    assert kin.rest("tree") == []
    kin.close()


class Unlisted(Group):
    """A group whose processes are others whenever they are looked at."""

    def pids(self) -> list[int]:
        return []


def test_as_long_as_somebody_lives_in_the_cgroup_something_is_left(sleeper: Sleeper, groups: Groups) -> None:
    group = groups.make("web.1.1")
    assert group is not None
    runner = sleeper({})
    assert group.join(runner.pid)
    kin = Kin(1, adopted=None, group=Unlisted(group.path))
    kin.main_gone = True
    assert kin.look() == []
    assert [each.seen for each in kin.rest("tree")] == [False]
    assert kin.signal(signal.SIGKILL, "tree") == []
    assert runner.wait(DEADLINE) == -signal.SIGKILL
    wait_until(lambda: kin.rest("tree") == [])
    kin.close()
    assert not pathlib.Path(group.path).exists()


def test_no_two_trees_get_one_cgroup(groups: Groups) -> None:
    made = [groups.make(name) for name in ("a/b.1.1", "a_b.1.1", "a_b.1.1")]
    assert len({group.path for group in made if group is not None}) == 3
    for group in made:
        assert group is not None
        group.remove()


def test_a_group_is_found_again_by_who_is_in_it(sleeper: Sleeper, groups: Groups) -> None:
    first, second = groups.make("web.1.1"), groups.make("web.1.1")
    assert first is not None
    assert second is not None
    inside = sleeper({})
    assert second.join(inside.pid)
    found = groups.find("web.1.1", inside.pid), groups.find("web.1.1", os.getpid()), groups.find("other.1.1", 0)
    assert [None if each is None else each.path for each in found] == [second.path, first.path, None]
    inside.kill()
    inside.wait(DEADLINE)
    for group in (first, second):
        group.remove()


async def test_watchers_of_one_name_in_two_arbiters_of_a_program_have_nothing_in_common(
    tmp_path: pathlib.Path,
) -> None:
    def arbiter(number: int) -> Arbiter:
        names = ("controller", "pubsub_endpoint", "stats_endpoint")
        where = {name: f"ipc://{tmp_path}/{name}{number}" for name in names}
        return get_arbiter([{"name": "web", "cmd": "sleep 1000", "kill_scope": "tree"}], **where)

    arbiters = [arbiter(1), arbiter(2)]
    tasks = [asyncio.ensure_future(each.run()) for each in arbiters]

    def pids() -> list[int]:
        return [pid for each in arbiters for pid in each.get_watcher("web").pids]

    while len(pids()) < 2:  # noqa: ASYNC110 -- the loop is what starts them
        await asyncio.sleep(0.01)
    other = pids()[1]
    await asyncio.wait_for(arbiters[0].get_watcher("web").stop(), DEADLINE)
    assert pids() == [other]
    assert proc.alive(other)
    for each in arbiters:
        await asyncio.wait_for(each.quit(), DEADLINE)
    for task in tasks:
        await asyncio.wait_for(task, DEADLINE)
    assert not proc.alive(other)


async def test_a_sigkill_for_the_process_alone_leaves_the_others_their_grace(sleeper: Sleeper) -> None:
    loop = asyncio.get_running_loop()
    reach = Reach(loop, Reaper(loop), "boot")
    mark = reach.mark("web", 1, 1)
    main = process("web", mark)
    reach.born(main, mark, None)
    other = sleeper(mark)
    reach.signal(main, signal.SIGKILL, "main")
    await asyncio.to_thread(main.wait, DEADLINE)
    left = reach.leftovers(main, "tree")
    assert left is not None
    assert [each.pid for each in left] == [other.pid]
    gone = asyncio.Event()
    reach.await_end(main.pid, "tree", lambda left: None if left else gone.set())
    assert proc.alive(other.pid)
    reach.signal(main, signal.SIGTERM, "tree")
    assert await asyncio.to_thread(other.wait, DEADLINE) == -signal.SIGTERM
    await asyncio.wait_for(gone.wait(), DEADLINE)
    reach.close()
