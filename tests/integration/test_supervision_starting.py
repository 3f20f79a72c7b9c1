"""The start of many watchers: order, delays, and those that wait to be asked."""

from __future__ import annotations

import itertools
import os
import pathlib
import signal
import socket
from collections.abc import Callable

from tests import workers
from tests.helpers.channels import Recorder
from tests.helpers.daemon import Daemon
from tests.helpers.waiting import wait_until

Start = Callable[..., Daemon]

SLEEPER = "cmd = sleep 1000\n"
ECHO = f"cmd = {workers.python('echo', '$(circus.sockets.web)')}\nuse_sockets = true\n"
WEB = "[socket:web]\nhost = 127.0.0.1\nport = 0\n"


def started(daemon: Daemon) -> list[str]:
    """The watchers in the order in which they became active, by the journal, which has what came before we listened."""
    records = daemon.ok("events", record="watcher.state")["records"]
    return [record["watcher"] for record in records if record["data"]["to"] == "active"]


def port_of(daemon: Daemon, name: str = "web") -> int:
    """The real port of a socket of the daemon."""
    port: int = next(sock["port"] for sock in daemon.ok("listsockets")["sockets"] if sock["name"] == name)
    return port


def ask(port: int, line: bytes = b"hello") -> tuple[int, bytes]:
    """What an echo worker answers: its pid, and the line."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(line + b"\n")
        pid, _, rest = connection.makefile("rb").readline().partition(b" ")
    return int(pid), rest.rstrip()


def spawn_times(events: Recorder, count: int) -> list[float]:
    wanted = events.wait_for(lambda message: message.topic.endswith(".spawn"), count=count)
    return [message.body["time"] for message in wanted]


def test_the_highest_priority_starts_first_and_names_decide_between_equals(circusd: Start) -> None:
    priorities = {"zeta": 5, "alpha": 0, "beta": 5, "Omega": 10}
    daemon = circusd(
        "".join(f"[watcher:{name}]\n{SLEEPER}priority = {number}\n" for name, number in priorities.items())
    )
    for name in priorities:
        daemon.wait_status(name, "active")
    assert started(daemon) == ["Omega", "beta", "zeta", "alpha"]


def test_a_watcher_is_up_before_the_next_begins(circusd: Start, tmp_path: pathlib.Path) -> None:
    code = "import os, time\ndef wait(**_):\n    while not os.path.exists(GO):\n        time.sleep(0.01)\n    return True\n"
    tmp_path.joinpath("gate_hook.py").write_text(f"GO = {str(tmp_path / 'go')!r}\n{code}")
    daemon = circusd(
        f"[watcher:a]\n{SLEEPER}hooks.after_start = gate_hook.wait\n[watcher:b]\n{SLEEPER}",
        env={"PYTHONPATH": str(tmp_path)},
    )
    daemon.wait_pids("a", 1)
    assert (daemon.status("a"), daemon.status("b")) == ("starting", "stopped")
    tmp_path.joinpath("go").touch()
    daemon.wait_status("b", "active")


def test_the_delay_between_watchers_is_kept(circusd: Start) -> None:
    names = ("a", "b", "c")
    ini = "".join(f"[watcher:{name}]\n{SLEEPER}autostart = false\n" for name in names)
    daemon = circusd(ini, options={"warmup_delay": 1})
    events = daemon.events("watcher.")
    daemon.ok("start", name="[ab]", waiting=True)
    first, second = spawn_times(events, 2)
    assert second - first > 0.9


def test_the_delay_between_processes_is_kept(circusd: Start) -> None:
    daemon = circusd(f"[watcher:a]\n{SLEEPER}numprocesses = 3\nwarmup_delay = 0.3\nautostart = false\n")
    events = daemon.events("watcher.a.")
    daemon.ok("start", name="a", waiting=True)
    times = spawn_times(events, 3)
    # It counts from the decision, and the first process may have needed a moment longer than the next.
    assert all(later - earlier > 0.25 for earlier, later in itertools.pairwise(times))


def test_commands_are_answered_while_the_start_goes_on(circusd: Start) -> None:
    daemon = circusd(f"[watcher:a]\n{SLEEPER}[watcher:b]\n{SLEEPER}", options={"warmup_delay": 1000})
    daemon.wait_status("a", "active")
    assert daemon.ok("stop", name="a", waiting=True)["info"] is None
    assert len(daemon.ok("start", name="b", waiting=True)["info"]["started"]) == 1


def test_a_watcher_that_was_stopped_during_the_start_is_not_started_by_it(circusd: Start) -> None:
    daemon = circusd(f"[watcher:a]\n{SLEEPER}[watcher:b]\n{SLEEPER}[watcher:c]\n{SLEEPER}", options={"warmup_delay": 1})
    daemon.wait_status("a", "active")
    daemon.ok("stop", name="b", waiting=True)
    daemon.wait_status("c", "active")
    assert daemon.status("b") == "stopped"


def test_without_autostart_a_watcher_waits_to_be_named(circusd: Start) -> None:
    daemon = circusd(f"[watcher:web]\n{SLEEPER}[watcher:manual]\n{SLEEPER}autostart = false\n")
    daemon.wait_status("web", "active")
    daemon.ok("start", waiting=True)
    assert daemon.status("manual") == "stopped"
    daemon.ok("start", name="manual", waiting=True)
    assert daemon.status("manual") == "active"


def test_a_pattern_names_a_watcher_without_autostart(circusd: Start) -> None:
    daemon = circusd(f"[watcher:m1]\n{SLEEPER}autostart = false\n[watcher:m2]\n{SLEEPER}autostart = false\n")
    daemon.ok("start", name="m*", waiting=True)
    assert {daemon.status("m1"), daemon.status("m2")} == {"active"}


def test_a_connection_starts_a_watcher_on_demand(circusd: Start) -> None:
    daemon = circusd(f"{WEB}[watcher:lazy]\n{ECHO}on_demand = true\n")
    wait_until(lambda: daemon.telemetry("lazy")["state"] == "waiting")
    assert (daemon.status("lazy"), daemon.pids("lazy")) == ("stopped", [])
    pid, line = ask(port_of(daemon))
    assert line == b"hello"
    assert daemon.pids("lazy") == [pid]
    assert daemon.status("lazy") == "active"


def test_start_of_a_watcher_on_demand_leaves_it_waiting(circusd: Start) -> None:
    daemon = circusd(f"{WEB}[watcher:lazy]\n{ECHO}on_demand = true\n")
    assert daemon.ok("start", name="lazy", waiting=True)["info"] == {"started": [], "kept": []}
    assert daemon.status("lazy") == "stopped"


def test_only_the_watcher_of_the_socket_is_started(circusd: Start) -> None:
    other = ECHO.replace("sockets.web", "sockets.other")
    daemon = circusd(
        f"{WEB}{WEB.replace('web', 'other')}"
        f"[watcher:first]\n{ECHO}on_demand = true\npriority = 10\n[watcher:second]\n{other}on_demand = true\n"
    )
    pid, _ = ask(port_of(daemon, "other"))
    assert daemon.pids("second") == [pid]
    assert daemon.status("first") == "stopped"


def test_a_stopped_watcher_on_demand_waits_again_when_it_is_started(circusd: Start) -> None:
    daemon = circusd(f"{WEB}[watcher:lazy]\n{ECHO}on_demand = true\n")
    first, _ = ask(port_of(daemon))
    daemon.ok("stop", name="lazy", waiting=True)
    assert daemon.telemetry("lazy")["state"] == "stopped"
    daemon.ok("start", name="lazy", waiting=True)
    assert daemon.telemetry("lazy")["state"] == "waiting"
    second, _ = ask(port_of(daemon))
    assert second != first


def test_a_waiting_watcher_can_be_stopped(circusd: Start) -> None:
    daemon = circusd(f"{WEB}[watcher:lazy]\n{ECHO}on_demand = true\n")
    wait_until(lambda: daemon.telemetry("lazy")["state"] == "waiting")
    daemon.ok("stop", name="lazy", waiting=True)
    with socket.create_connection(("127.0.0.1", port_of(daemon))):
        assert daemon.telemetry("lazy")["state"] == "stopped"


def test_a_worker_on_demand_that_dies_is_followed_by_one_for_the_next_connection(circusd: Start) -> None:
    daemon = circusd(f"{WEB}[watcher:lazy]\n{ECHO}on_demand = true\n")
    first, _ = ask(port_of(daemon))
    events = daemon.events("watcher.lazy.")
    os.kill(first, signal.SIGKILL)
    daemon.wait_state("lazy", "waiting")
    assert (daemon.status("lazy"), daemon.pids("lazy")) == ("stopped", [])
    second, _ = ask(port_of(daemon))
    assert second != first
    events.wait_for_topic("watcher.lazy.start")
    assert [topic.rpartition(".")[2] for topic in events.topics()] == ["reap", "spawn", "start"]


def test_a_restart_of_a_watcher_on_demand_leaves_it_waiting(circusd: Start) -> None:
    daemon = circusd(f"{WEB}[watcher:lazy]\n{ECHO}on_demand = true\n")
    first, _ = ask(port_of(daemon))
    daemon.ok("restart", name="lazy", waiting=True)
    assert daemon.telemetry("lazy")["state"] == "waiting"
    second, _ = ask(port_of(daemon))
    assert second != first
