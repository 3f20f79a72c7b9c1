"""StatsdEmitter, FullStats and ResourceWatcher in the real circusd, with a socket that gets what a statsd server would."""

from __future__ import annotations

import json
import os
import pathlib
import re
import signal
import sys
import textwrap
from collections.abc import Iterator

import pytest

from tests.conftest import CircusD
from tests.helpers import proc
from tests.helpers.statsd import StatsdSink
from tests.helpers.waiting import wait_until

WORKERS = pathlib.Path(__file__).parents[1] / "workers"


@pytest.fixture
def sink() -> Iterator[StatsdSink]:
    with StatsdSink() as made:
        yield made


def worker(name: str, *words: object) -> str:
    return " ".join([sys.executable, str(WORKERS / name), *map(str, words)])


def plugin(use: str, sink: StatsdSink, more: str = "") -> str:
    return f"\n[plugin:it]\nuse = circus.plugins.{use}\n{sink.options}{textwrap.dedent(more)}"


# -- events ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", ["statsd", "_statsd"])
def test_events_are_counted_under_their_names(circusd: CircusD, sink: StatsdSink, module: str) -> None:
    watcher = "[watcher:Other One.x]\ncmd = sleep 1000\n"
    daemon = circusd(watcher + plugin(f"{module}.StatsdEmitter", sink, "application_name = shop"))
    # Until its subscription has arrived the plugin hears nothing, so the same is done until it has.
    wait_until(lambda: daemon.ok("restart", name="other one.x", waiting=True) and heard(sink))
    sink.clear()
    daemon.ok("restart", name="other one.x", waiting=True)
    stem = "circus.shop.watcher.other_one.x"
    sink.wait_for(f"{stem}.start:")
    assert sink.datagrams == [f"{stem}.{action}:1|c" for action in ("kill", "reap", "stop", "spawn", "start")]


def heard(sink: StatsdSink) -> bool:
    try:
        return bool(sink.wait_for(lambda told: ".start:" in told, 0.1))
    except AssertionError:
        return False


def test_the_name_of_a_plugin_does_not_break_the_protocol(circusd: CircusD, sink: StatsdSink) -> None:
    other = "[plugin:other]\nuse = circus.plugins.statsd.StatsdEmitter\nport = 1\n"
    daemon = circusd(other + plugin("statsd.StatsdEmitter", sink))
    wait_until(lambda: daemon.ok("restart", name="plugin:other", waiting=True) and heard(sink))
    assert {told.partition(":")[2] for told in sink.datagrams} == {"1|c"}
    assert any(told.startswith("circus.app.watcher.plugin_other.spawn:") for told in sink.datagrams)


# -- what processes use ---------------------------------------------------------------------------------------------


def test_what_processes_use_is_told_in_gauges(circusd: CircusD, sink: StatsdSink) -> None:
    watchers = (
        "[watcher:Web]\ncmd = sleep 1000\nnumprocesses = 2\n[watcher:idle]\ncmd = sleep 1000\nautostart = False\n"
    )
    daemon = circusd(watchers + plugin("statsd.FullStats", sink, "loop_rate = 0.2"))
    daemon.wait_pids("web", 2)
    stem = "circus.app.watcher._stats.Web"
    sink.wait_for(f"{stem}.watchers_num:2|g")
    first = len(sink.datagrams)
    sink.wait_for(lambda told: told.startswith(f"{stem}.mem_sum:") and len(sink.datagrams) > first)
    told = dict(line.split(":", 1) for line in sink.datagrams[first - 1 :] if line.startswith(stem))
    names = ("watchers_num", "cpu_max", "cpu_sum", "mem_pct_max", "mem_pct_sum", "mem_max", "mem_sum")
    assert sorted(told) == sorted(f"{stem}.{name}" for name in names)
    assert re.fullmatch(r"[\d.]+\|g", told[f"{stem}.mem_pct_sum"])
    resident = int(told[f"{stem}.mem_max"].removesuffix("|g"))
    assert 100_000 < resident < 50_000_000  # bytes of one `sleep`
    sink.wait_for("circus.app.watcher._stats.idle.watchers_num:0|g")
    assert not any("plugin" in line or "_stats.idle.cpu" in line for line in sink.datagrams)


# -- resource watcher -----------------------------------------------------------------------------------------------


def test_a_leaking_watcher_is_restarted(circusd: CircusD, sink: StatsdSink) -> None:
    ini = f"[watcher:Leaky]\ncmd = {worker('leak.py', 200 << 20, 120 << 20)}\n"
    options = "watcher = Leaky\nloop_rate = 0.2\nmax_mem = 60M\nmax_count = 1\nmax_cpu = 0\nhealth_threshold = 0\n"
    daemon = circusd(ini + plugin("resource_watcher.ResourceWatcher", sink, options))
    (first,) = daemon.wait_pids("leaky", 1)
    daemon.wait_pids("leaky", 1, without=[first])
    stem = "circus.app.watcher._resource_watcher.Leaky"
    sink.wait_for(f"{stem}.restarting:1|c")
    before = sink.datagrams[: sink.datagrams.index(f"{stem}.restarting:1|c")]
    assert before == [f"{stem}.over_memory:1|c"] * 2  # more than max_count, and nothing else was wrong


def test_a_burning_watcher_is_restarted(circusd: CircusD, sink: StatsdSink) -> None:
    ini = f"[watcher:hot]\ncmd = {worker('burn.py', 1, 0)}\n"
    options = "watcher = hot\nloop_rate = 0.3\nmax_cpu = 5\nmax_count = 0\n"
    daemon = circusd(ini + plugin("resource_watcher.ResourceWatcher", sink, options))
    (first,) = daemon.wait_pids("hot", 1)
    sink.wait_for("circus.app.watcher._resource_watcher.hot.over_cpu:1|c")
    daemon.wait_pids("hot", 1, without=[first])


def test_an_idle_watcher_is_restarted_when_it_should_not_be_idle(circusd: CircusD, sink: StatsdSink) -> None:
    options = "watcher = lazy\nloop_rate = 0.2\nmin_cpu = 0\nmin_mem = 1G\nmax_count = 1\n"
    daemon = circusd("[watcher:lazy]\ncmd = sleep 1000\n" + plugin("resource_watcher.ResourceWatcher", sink, options))
    (first,) = daemon.wait_pids("lazy", 1)
    daemon.wait_pids("lazy", 1, without=[first])
    sink.wait_for("circus.app.watcher._resource_watcher.lazy.under_cpu:1|c")
    sink.wait_for("circus.app.watcher._resource_watcher.lazy.under_memory:1|c")


def test_a_stopped_watcher_breaks_no_limit(circusd: CircusD, sink: StatsdSink) -> None:
    options = "watcher = lazy\nloop_rate = 0.1\nmin_cpu = 0\nmax_count = 0\n"
    ini = "[watcher:lazy]\ncmd = sleep 1000\nautostart = False\n"
    other = "[plugin:clock]\nuse = circus.plugins.statsd.FullStats\nloop_rate = 0.1\n" + sink.options
    daemon = circusd(ini + other + plugin("resource_watcher.ResourceWatcher", sink, options))
    for _ in range(10):
        sink.wait_for("circus.app.watcher._stats.lazy.watchers_num:0|g")
        sink.datagrams.clear()
    assert daemon.status("lazy") == "stopped"


def test_only_the_child_that_uses_too_much_is_signalled(
    circusd: CircusD, sink: StatsdSink, tmp_path: pathlib.Path
) -> None:
    ini = f"[watcher:tree]\ncmd = {worker('big_child.py', tmp_path / 'pids')}\n"
    options = """
        watcher = tree
        loop_rate = 0.2
        max_mem = 60M
        max_cpu = 0
        health_threshold = 0
        max_count = 1
        process_children = yes
        child_signal = KILL
        """
    daemon = circusd(ini + plugin("resource_watcher.ResourceWatcher", sink, options))
    parent = daemon.wait_pids("tree", 1)
    pids = wait_until(lambda: (tmp_path / "pids").exists() and json.loads((tmp_path / "pids").read_text()))
    wait_until(lambda: not proc.alive(pids["big"]), what=daemon.log_text)
    sink.wait_for("circus.app.watcher._resource_watcher.tree.restarting:1|c")
    assert daemon.pids("tree") == parent
    assert proc.alive(pids["small"])
    os.kill(pids["small"], signal.SIGKILL)  # nobody else ends it


def test_a_watcher_that_is_not_there_is_told(circusd: CircusD, sink: StatsdSink) -> None:
    daemon = circusd(plugin("resource_watcher.ResourceWatcher", sink, "watcher = nobody\nloop_rate = 0.1\n"))
    sink.wait_for("circus.app.watcher._resource_watcher.nobody.error:1|c")
    assert "no statistics of nobody: program nobody not found" in daemon.log_text()


@pytest.mark.parametrize(
    ("use", "option", "told"),
    [
        ("resource_watcher.ResourceWatcher", "", "the option watcher is missing: expected the name of the watcher"),
        (
            "resource_watcher.ResourceWatcher",
            "watcher = web\nmax_mem = lots\n",
            "max_mem = lots: expected a percentage",
        ),
        ("statsd.FullStats", "loop_rate = 0\n", "loop_rate = 0: expected a number above 0"),
        ("statsd.StatsdEmitter", "sample_rate = 2\n", "sample_rate = 2: expected a number up to 1"),
    ],
)
def test_a_wrong_option_is_told_in_one_line_and_others_go_on(
    circusd: CircusD, sink: StatsdSink, use: str, option: str, told: str
) -> None:
    daemon = circusd("[watcher:web]\ncmd = sleep 1000\n" + plugin(use, sink, option))
    wait_until(lambda: f"cannot be made: {told}" in daemon.log_text(), what=daemon.log_text)
    assert "Traceback" not in daemon.log_text()
    daemon.wait_status("web", "active")
