"""The lines above the table."""

from __future__ import annotations

from circus.stats.viewer.headline import lines
from circus.stats.viewer.view import View
from circus.wire.snapshot import SocketSnapshot
from tests.fakes import fleet


def view(**changes: object) -> View:
    made = View()
    made.take_sample(fleet.sample("web", 2, time=fleet.STARTED + 3600), 1.0)
    made.take_daemon(
        fleet.daemon_sample(time=fleet.STARTED + 3600, machine_memory_bytes=2**30, **changes),
        1.0,
    )
    return made


def test_they_tell_who_speaks() -> None:
    first = lines(view(), "ipc:///run/stats")[0]
    assert first == "Circus Top   circusd 1.0.0, pid 77, up 1h00m   ipc:///run/stats"


def test_they_tell_what_all_use_together() -> None:
    assert lines(view())[1] == "2 processes in 1 watcher   CPU - %   MEMORY 55.7M (5.4 %)"


def test_they_tell_how_the_daemon_does() -> None:
    told = lines(view(skipped=3))[2]
    assert "MEMORY 23.8M" in told
    assert "FDS 60/1024" in told
    assert "LOOP LAG 0.5 ms, p99 under 5.0 ms" in told
    assert "PASS 10 ms every 1 s, 3 skipped" in told
    assert "dropped" not in told


def test_dropped_messages_are_told_when_there_are_any() -> None:
    assert "4 messages dropped" in lines(view(drops={"stats": 3, "events": 1}))[2]


def test_lag_beyond_the_histogram_is_not_made_up() -> None:
    assert "p99 beyond all bounds" in lines(view(loop_lag=fleet.histogram(100.0)))[2]


def test_sockets_tell_who_waits() -> None:
    made = view()
    made.take_telemetry(
        fleet.telemetry(
            fleet.watcher("web"),
            sockets=[SocketSnapshot(name="web", fd=9, address="127.0.0.1:80", accept_queue=2, accept_limit=128),
                     SocketSnapshot(name="ux", fd=10, address="/run/ux", accept_queue=None, accept_limit=None)],
        )
    )  # fmt: skip
    assert lines(made)[3] == "SOCKETS   web 127.0.0.1:80 2/128 waiting   ux /run/ux"


def test_a_narrow_terminal_gets_more_lines() -> None:
    told = lines(view(), "ipc:///run/stats", 60)
    assert all(len(line) <= 60 for line in told)
    assert len(told) > len(lines(view(), "ipc:///run/stats"))


def test_0_19_tells_nothing_about_itself() -> None:
    made = View()
    made.take_stat("web", "7", {"pid": 7, "cpu": 1.0, "mem": 0.1, "mem_info1": "1.00M", "age": 3, "subtopic": 7}, 1.0)
    made.take_stat("web", None, {"pid": [7]}, 1.0)
    made.take_stat("sockets", "9", {"fd": 9, "subtopic": 9, "reads": 12, "address": "127.0.0.1:80"}, 1.0)
    assert lines(made) == [
        "Circus Top   circus 0.19",
        "1 process in 1 watcher   CPU 1.0 %   MEMORY 1.0M",
        "SOCKETS   127.0.0.1:80 12 hits",
    ]
