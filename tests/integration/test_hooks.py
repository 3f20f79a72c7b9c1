"""Hooks in real threads beside a real loop: answers, order, vetoes, time-outs, and facades that cannot deadlock."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import sys
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from circus.exc import HookError, Overtaken
from circus.hooks import HookResult, HookRunner
from circus.spec.watcher import HookSpec

DEADLINE = 10.0


async def until(predicate: Callable[[], object]) -> None:
    """Let the loop turn until it is true."""
    async with asyncio.timeout(DEADLINE):
        while not predicate():  # noqa: ASYNC110 - what is waited for happens in threads
            await asyncio.sleep(0.001)


class Watcher:
    """A watcher as far as hooks need one; everything it does must happen in the thread of its loop."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.home = threading.get_ident()
        self.numprocesses = 1
        self.env = {"A": "1"}
        self.signals: list[tuple[int, int]] = []
        self.started = 0
        self.release = asyncio.Event()
        self.threads: set[int] = set()

    def _here(self) -> None:
        self.threads.add(threading.get_ident())

    @property
    def processes(self) -> dict[int, Process]:
        self._here()
        return {10: Process(10), 11: Process(11)}

    def status(self) -> str:
        self._here()
        return "starting"

    def send_signal(self, pid: int, signum: int) -> None:
        self._here()
        self.signals.append((pid, signum))

    def __len__(self) -> int:
        self._here()
        return 2

    async def start(self) -> dict[str, list[int]]:
        self._here()
        await self.release.wait()
        self.started += 1
        return {"started": [1], "kept": []}

    async def stop(self) -> None:
        raise Overtaken("cancelled: quit overtook stop")

    async def restart(self) -> None:
        raise ValueError("no such thing")


class Process:
    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.sent: list[int] = []

    def send_signal(self, signum: int) -> None:
        self.sent.append(signum)


class Arbiter:
    def __init__(self, *watchers: Watcher) -> None:
        self.watchers = watchers
        self.check_delay = 5.0

    def get_watcher(self, name: str) -> Watcher:
        return next(watcher for watcher in self.watchers if watcher.name == name)

    def iter_watchers(self) -> Any:
        yield from self.watchers

    async def stop_watchers(self) -> None:
        await self.watchers[0].release.wait()


class Bench:
    """A runner around one hook function, and the answers it gave."""

    def __init__(self) -> None:
        self.watcher, self.other = Watcher("web"), Watcher("db")
        self.arbiter = Arbiter(self.watcher, self.other)
        self.runners: list[HookRunner] = []

    def runner(self, *, timeout: float = DEADLINE, ignore: bool = False, **hooks: Callable[..., Any]) -> HookRunner:
        specs = {name: HookSpec(target=function, ignore_failure=ignore) for name, function in hooks.items()}
        loop = asyncio.get_running_loop()
        runner = HookRunner(self.watcher, self.arbiter, specs, loop=loop, timeout=timeout)  # type: ignore[arg-type]
        self.runners.append(runner)
        return runner

    async def call(self, runner: HookRunner, name: str = "before_start", **kwargs: Any) -> HookResult:
        answer: asyncio.Future[HookResult] = asyncio.get_running_loop().create_future()
        runner.call(name, kwargs, answer.set_result)
        return await asyncio.wait_for(answer, DEADLINE)

    async def ask(self, function: Callable[..., Any]) -> Any:
        """What `function(watcher, arbiter)` returns or raises in a hook."""
        told: list[Any] = []

        def hook(watcher: Any, arbiter: Any, hook_name: str) -> bool:
            told.append(function(watcher, arbiter))
            return True

        result = await self.call(self.runner(before_start=hook))
        assert result.ok, result.error
        return told[0]


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    yield made
    for runner in made.runners:
        runner.close()


async def test_a_hook_is_called_by_keyword_in_another_thread(bench: Bench) -> None:
    seen: dict[str, Any] = {}

    def hook(*, hook_name: str, pid: int, arbiter: Any, watcher: Any) -> bool:
        seen.update(hook=hook_name, pid=pid, name=watcher.name, delay=arbiter.check_delay, thread=threading.get_ident())
        return True

    result = await bench.call(bench.runner(after_spawn=hook), "after_spawn", pid=42)
    assert (result.hook, result.ok, result.error) == ("after_spawn", True, None)
    assert seen.pop("thread") != threading.get_ident()
    assert seen == {"hook": "after_spawn", "pid": 42, "name": "web", "delay": 5.0}


async def test_extended_stats_is_called_by_position(bench: Bench) -> None:
    stats: dict[str, Any] = {}

    def hook(w: Any, a: Any, which: str, pid: int, stats: dict[str, Any]) -> None:
        stats["asked"] = f"{which} of {w.name} {pid}"

    await bench.call(bench.runner(extended_stats=hook), "extended_stats", pid=7, stats=stats)
    assert stats == {"asked": "extended_stats of web 7"}


@pytest.mark.parametrize("falsy", [None, False, 0, ""])
async def test_a_falsy_answer_is_a_veto(bench: Bench, falsy: object) -> None:
    result = await bench.call(bench.runner(before_start=lambda **_: falsy))
    assert not result.ok
    assert result.veto
    assert result.error is None


async def test_a_falsy_answer_stays_a_veto_where_failures_are_ignored(bench: Bench) -> None:
    result = await bench.call(bench.runner(ignore=True, before_start=lambda **_: None))
    assert not result.ok


async def test_an_exception_is_a_failure_in_its_own_words(bench: Bench) -> None:
    def hook(**_: Any) -> None:
        raise RuntimeError("no database yet")

    result = await bench.call(bench.runner(before_start=hook))
    assert (result.ok, result.error, result.veto) == (False, "no database yet", False)


async def test_an_ignored_failure_keeps_its_error(bench: Bench) -> None:
    def hook(**_: Any) -> None:
        raise RuntimeError("no database yet")

    result = await bench.call(bench.runner(ignore=True, before_start=hook))
    assert (result.ok, result.error) == (True, "no database yet")


@pytest.mark.parametrize("leave", [SystemExit, KeyboardInterrupt, GeneratorExit])
async def test_a_hook_cannot_leave_the_interpreter(bench: Bench, leave: type[BaseException]) -> None:
    def hook(**_: Any) -> None:
        raise leave

    runner = bench.runner(before_start=hook, after_start=lambda **_: True)
    failed = await bench.call(runner)
    assert (failed.ok, failed.error) == (False, leave.__name__)
    assert (await bench.call(runner, "after_start")).ok


async def test_calls_are_made_one_after_the_other_in_order(bench: Bench) -> None:
    order: list[Any] = []
    running = threading.Lock()

    def hook(number: int, **_: Any) -> bool:
        assert running.acquire(blocking=False)
        order.append(("in", number))
        running.release()
        return True

    runner = bench.runner(before_spawn=hook)
    answered = asyncio.Event()

    def done(number: int) -> Callable[[HookResult], None]:
        def note(result: HookResult) -> None:
            assert result.ok
            order.append(("out", number))
            if number == 19:
                answered.set()

        return note

    for number in range(20):
        runner.call("before_spawn", {"number": number}, done(number))
    await asyncio.wait_for(answered.wait(), DEADLINE)
    assert order == [(way, number) for number in range(20) for way in ("in", "out")]


async def test_the_loop_goes_on_while_a_hook_sleeps(bench: Bench) -> None:
    asleep, wake = threading.Event(), threading.Event()

    def hook(**_: Any) -> bool:
        asleep.set()
        return wake.wait(DEADLINE)

    answer = asyncio.ensure_future(bench.call(bench.runner(before_start=hook)))
    await until(asleep.is_set)
    wake.set()
    assert (await answer).ok


async def test_a_hook_that_does_not_come_back_has_failed_and_the_next_is_served(bench: Bench) -> None:
    never = threading.Event()
    calls: list[str] = []

    def stuck(**_: Any) -> bool:
        never.wait(DEADLINE)
        calls.append("late")
        return True

    runner = bench.runner(timeout=0.05, before_start=stuck, after_start=lambda **_: True)
    late = await bench.call(runner)
    assert (late.ok, late.error) == (False, "timed out after 0.05 s")
    assert late.seconds >= 0.05
    assert (await bench.call(runner, "after_start")).ok
    never.set()


async def test_the_late_answer_of_a_stuck_hook_is_dropped(bench: Bench) -> None:
    never, left = threading.Event(), threading.Event()
    results: list[HookResult] = []

    def stuck(**_: Any) -> bool:
        never.wait(DEADLINE)
        left.set()
        return True

    runner = bench.runner(timeout=0.02, before_start=stuck)
    runner.call("before_start", {}, results.append)
    await until(lambda: results)
    never.set()
    await until(left.is_set)
    await asyncio.sleep(0.02)
    assert [result.error for result in results] == ["timed out after 0.02 s"]


async def test_an_ignored_time_out_is_ok(bench: Bench) -> None:
    never = threading.Event()
    runner = bench.runner(timeout=0.02, ignore=True, before_start=lambda **_: never.wait(DEADLINE))
    result = await bench.call(runner)
    never.set()
    assert (result.ok, result.error) == (True, "timed out after 0.02 s")


async def test_stuck_threads_are_bounded(bench: Bench) -> None:
    never = threading.Event()
    runner = bench.runner(timeout=0.01, before_start=lambda **_: never.wait(DEADLINE))
    errors = [(await bench.call(runner)).error or "" for _ in range(10)]
    never.set()
    assert errors[:8] == ["timed out after 0.01 s"] * 8
    assert errors[9] == "not called: 8 earlier calls of hooks have not come back"


async def test_close_waits_for_nothing_and_answers_nothing(bench: Bench) -> None:
    asleep, wake = threading.Event(), threading.Event()
    results: list[HookResult] = []

    def hook(**_: Any) -> bool:
        asleep.set()
        return wake.wait(DEADLINE)

    runner = bench.runner(before_stop=hook)
    runner.call("before_stop", {}, results.append)
    runner.call("before_stop", {}, results.append)
    await until(asleep.is_set)
    runner.close()
    wake.set()
    await asyncio.sleep(0.02)
    assert results == []


async def test_a_watcher_without_calls_has_no_thread(bench: Bench) -> None:
    before = threading.active_count()
    bench.runner(before_start=lambda **_: True)
    assert threading.active_count() == before


async def test_reads_and_calls_of_a_facade_happen_in_the_loop(bench: Bench) -> None:
    def look(watcher: Any, arbiter: Any) -> Any:
        return watcher.status(), len(watcher), [each.pid for each in watcher.processes.values()]

    assert await bench.ask(look) == ("starting", 2, [10, 11])
    assert bench.watcher.threads == {threading.get_ident()}


async def test_a_sync_call_has_happened_when_it_returns(bench: Bench) -> None:
    def signal(watcher: Any, arbiter: Any) -> Any:
        watcher.send_signal(10, 15)
        return list(bench.watcher.signals)

    assert await bench.ask(signal) == [(10, 15)]


async def test_an_attribute_write_reaches_the_watcher(bench: Bench) -> None:
    def write(watcher: Any, arbiter: Any) -> Any:
        watcher.numprocesses = 4
        return bench.watcher.numprocesses

    assert await bench.ask(write) == 4


async def test_a_store_into_a_dict_of_the_watcher_reaches_it(bench: Bench) -> None:
    def write(watcher: Any, arbiter: Any) -> Any:
        watcher.env["PORT"] = "8080"
        watcher.env.update(B="2")
        del watcher.env["A"]
        return dict(bench.watcher.env)

    assert await bench.ask(write) == {"PORT": "8080", "B": "2"}


async def test_an_error_of_a_call_is_raised_in_the_hook(bench: Bench) -> None:
    def look(watcher: Any, arbiter: Any) -> str:
        with pytest.raises(AttributeError, match="nothing"):
            watcher.nothing  # noqa: B018
        with pytest.raises(StopIteration):
            arbiter.get_watcher("nope")
        return "raised"

    assert await bench.ask(look) == "raised"


async def test_watchers_come_as_facades_that_pass_for_what_they_stand_for(bench: Bench) -> None:
    def look(watcher: Any, arbiter: Any) -> Any:
        own = arbiter.get_watcher("web")
        assert own == watcher
        assert isinstance(own, Watcher)
        assert type(own) is not Watcher
        return [each.name for each in arbiter.iter_watchers()]

    assert await bench.ask(look) == ["web", "db"]


async def test_an_operation_is_begun_without_waiting_and_may_be_ignored(bench: Bench) -> None:
    handle = await bench.ask(lambda watcher, arbiter: watcher.start())
    assert not handle.done()
    bench.watcher.release.set()
    await until(handle.done)
    assert handle.result() == {"started": [1], "kept": []}
    assert bench.watcher.started == 1


async def test_a_hook_can_wait_for_an_operation_of_another_watcher(bench: Bench) -> None:
    bench.other.release.set()
    info = await bench.ask(lambda watcher, arbiter: arbiter.get_watcher("db").start().result(DEADLINE))
    assert info == {"started": [1], "kept": []}


async def test_waiting_for_the_own_watcher_is_refused_at_once(bench: Bench) -> None:
    def wait(watcher: Any, arbiter: Any) -> str:
        with pytest.raises(HookError) as caught:
            arbiter.get_watcher("web").start().result()
        return str(caught.value)

    told = await bench.ask(wait)
    bench.watcher.release.set()
    await until(lambda: bench.watcher.started)
    assert told == "a hook cannot wait for start of watcher 'web': its watcher waits for this hook"


async def test_waiting_for_the_arbiter_is_refused(bench: Bench) -> None:
    def wait(watcher: Any, arbiter: Any) -> str:
        with pytest.raises(HookError, match="every watcher"):
            arbiter.stop_watchers().exception(0.001)
        return "refused"

    assert await bench.ask(wait) == "refused"
    bench.watcher.release.set()
    await asyncio.sleep(0.01)


async def test_an_overtaken_operation_says_so_to_who_waits(bench: Bench) -> None:
    def wait(watcher: Any, arbiter: Any) -> str:
        with pytest.raises(Overtaken):
            arbiter.get_watcher("db").stop().result(DEADLINE)
        return "told"

    assert await bench.ask(wait) == "told"


async def test_a_failed_operation_that_nobody_waits_for_is_logged(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="circus"):
        handle = await bench.ask(lambda watcher, arbiter: watcher.restart())
        await until(handle.done)
    assert "restart of watcher 'web', asked for by a hook, failed: no such thing" in caplog.text


async def test_a_timed_wait_for_another_watcher_gives_up(bench: Bench) -> None:
    def wait(watcher: Any, arbiter: Any) -> str:
        with pytest.raises(concurrent.futures.TimeoutError):
            arbiter.get_watcher("db").start().result(0.01)
        return "gave up"

    assert await bench.ask(wait) == "gave up"
    bench.other.release.set()
    await until(lambda: bench.other.started)


async def test_a_facade_used_in_the_loop_does_not_wait_for_the_loop(bench: Bench) -> None:
    kept: list[Any] = []
    await bench.ask(lambda watcher, arbiter: kept.append(watcher))
    assert kept[0].status() == "starting"


async def test_a_facade_of_a_closed_watcher_says_so(bench: Bench) -> None:
    asleep, wake, told = threading.Event(), threading.Event(), threading.Event()
    errors: list[str] = []

    def hook(watcher: Any, **_: Any) -> None:
        asleep.set()
        wake.wait(DEADLINE)
        try:
            watcher.status()
        except HookError as error:
            errors.append(str(error))
        told.set()

    runner = bench.runner(after_stop=hook)
    runner.call("after_stop", {}, lambda _: None)
    await until(asleep.is_set)
    runner.close()
    wake.set()
    await until(told.is_set)
    assert errors == ["reading status of watcher 'web': the watcher of this hook is gone"]


async def test_a_hook_is_found_by_its_dotted_name(bench: Bench, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.joinpath("my_circus_hooks.py").write_text("def ready(watcher, **_):\n    return watcher.name == 'web'\n")
    monkeypatch.syspath_prepend(tmp_path)
    specs = {"after_start": HookSpec(target="my_circus_hooks.ready")}
    loop = asyncio.get_running_loop()
    runner = HookRunner(bench.watcher, bench.arbiter, specs, loop=loop, timeout=DEADLINE)  # type: ignore[arg-type]
    bench.runners.append(runner)
    assert (await bench.call(runner, "after_start")).ok
    sys.modules.pop("my_circus_hooks", None)
