"""Traces of callers go on into commands, records and the environments of workers that are to be told."""

from __future__ import annotations

import os
import pathlib
import signal

import pytest

from tests.conftest import CircusD
from tests.helpers.waiting import wait_until

CALLER = "00-" + "ab" * 16 + "-" + "cd" * 8 + "-00"
WORKER = "/bin/sh -c 'env > {told}.$$; mv {told}.$$ {told}-$$; exec sleep 1000'"


def environments(told: pathlib.Path, number: int) -> dict[int, dict[str, str]]:
    """By pid, of as many processes as have told theirs."""
    files = wait_until(
        lambda: [*told.parent.glob(f"{told.name}-*")] if len([*told.parent.glob(f"{told.name}-*")]) >= number else None
    )
    return {
        int(file.name.rpartition("-")[2]): dict(line.partition("=")[::2] for line in file.read_text().splitlines())
        for file in files
    }  # fmt: skip


def test_each_start_is_told_the_record_that_began_it(circusd: CircusD, tmp_path: pathlib.Path) -> None:
    told = tmp_path / "told"
    daemon = circusd(
        f"[watcher:web]\ncmd = {WORKER.format(told=told)}\npropagate_trace = yes\n"
        "[env:web]\nPATH = /usr/bin:/bin\nOTEL_RESOURCE_ATTRIBUTES = service.instance.id=mine,team=a\n"
    )
    ((pid, env),) = environments(told, 1).items()
    records = daemon.ok("events", record="arbiter.started")["records"]
    assert env["TRACEPARENT"] == records[0]["traceparent"]
    given = env["OTEL_RESOURCE_ATTRIBUTES"].split(",")
    assert given[:2] == ["service.instance.id=mine", "team=a"]
    assert sorted(part.partition("=")[0] for part in given[2:]) == ["circus.process.wid", "circus.watcher.name"]
    assert env["OTEL_SERVICE_NAME"] == "web"

    os.kill(pid, signal.SIGKILL)
    after = environments(told, 2)
    del after[pid]
    ((second, env),) = after.items()
    (ended,) = daemon.ok("events", record="process.exited")["records"]
    assert env["TRACEPARENT"] == ended["traceparent"]

    done = daemon.circusctl("--traceparent", CALLER, "restart", "web", "--waiting")
    assert done.returncode == 0
    last = environments(told, 3)
    del last[pid], last[second]
    ((_, env),) = last.items()
    (started,) = daemon.ok("events", record="command.started")["records"]
    assert started["data"]["parent"] == CALLER
    # The caller does not sample, so neither does the worker.
    assert env["TRACEPARENT"] == started["traceparent"][:-2] + "00"
    assert started["traceparent"].split("-")[1] == "ab" * 16


def test_others_are_told_nothing(circusd: CircusD, tmp_path: pathlib.Path) -> None:
    told = tmp_path / "told"
    circusd(
        f"[watcher:web]\ncmd = {WORKER.format(told=told)}\ncopy_env = yes\n",
        env={"TRACEPARENT": CALLER, "TRACESTATE": "a=b", "OTEL_SERVICE_NAME": "supervisor"},
    )
    ((_, env),) = environments(told, 1).items()
    assert not [name for name in env if name.startswith(("OTEL_", "TRACE"))]


def test_a_wrong_trace_is_told_where_it_was_asked_for_and_passed_over_where_it_was_found(
    circusd: CircusD, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon = circusd("[watcher:web]\ncmd = sleep 1000\n")
    done = daemon.circusctl("--traceparent", "00-1-2-3", "incr", "web")
    assert done.returncode == 1
    assert "--traceparent: expected 00-TRACE-SPAN-FLAGS" in done.stdout + done.stderr
    monkeypatch.setenv("TRACEPARENT", "nonsense")
    assert daemon.circusctl("incr", "web").returncode == 0
    monkeypatch.setenv("TRACEPARENT", CALLER)
    assert daemon.circusctl("incr", "web").returncode == 0
    assert [record["data"]["parent"] for record in daemon.ok("events", record="command.started")["records"]] == [
        None,
        CALLER,
    ]
