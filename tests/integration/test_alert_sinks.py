"""Ways to tell somebody of alerts, with real servers, programs and functions."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import os
import pathlib
import sys
import time
from collections.abc import Iterator

import pytest

from circus.exc import CircusError
from circus.spec.alerts import AlertSpec, NotifySpec
from circus_exporters.alerts.deadman import Deadman
from circus_exporters.alerts.delivery import Sink
from circus_exporters.alerts.engine import Key
from circus_exporters.alerts.messages import Alert, Notice
from circus_exporters.alerts.notifiers import sink_of
from circus_exporters.attempts import Outcome
from circus_exporters.state import Alerting
from tests.helpers import proc
from tests.helpers.waiting import DEADLINE, wait_until
from tests.helpers.webhooks import Webhooks

ALERT = Alert(
    key=Key("leak", "web", 3), kind="memory", severity="critical", labels={"alertname": "leak", "watcher": "web"},
    annotations={"summary": "much memory"}, since=1795465307.5,
)  # fmt: skip
FIRING = [Notice(ALERT, "firing")]


@pytest.fixture
def hooks() -> Iterator[Webhooks]:
    made = Webhooks()
    yield made
    made.stop()


def sink(kind: str, **options: object) -> Sink:
    return sink_of(NotifySpec(name="ops", type=kind, **{"timeout_seconds": DEADLINE, **options}), "host-1")  # type: ignore[arg-type]


async def told(sink: Sink) -> Outcome:
    try:
        return await sink.deliver(FIRING)
    finally:
        await sink.close()


# Webhooks


async def test_a_webhook_gets_the_document_its_headers_and_a_signature(hooks: Webhooks) -> None:
    way = sink("webhook", url=f"{hooks.url}/alerts?x=1", secret="s3cret", headers={"X-Team": "ops"})
    way.check()
    assert await told(way) == Outcome()
    (request,) = hooks.requests
    assert request.path == "/alerts?x=1"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["x-team"] == "ops"
    expected = hmac.new(b"s3cret", request.body, hashlib.sha256).hexdigest()
    assert request.headers["x-circus-signature"] == f"sha256={expected}"
    document = json.loads(request.body)
    assert document["receiver"] == "ops"
    assert document["alerts"][0]["labels"]["watcher"] == "web"


async def test_without_a_secret_nothing_is_signed(hooks: Webhooks) -> None:
    assert await told(sink("webhook", url=hooks.url)) == Outcome()
    assert "x-circus-signature" not in hooks.requests[0].headers


async def test_a_secret_in_a_file_may_change_and_nothing_goes_out_unsigned(
    hooks: Webhooks, tmp_path: pathlib.Path
) -> None:
    file = tmp_path / "secret"
    way = sink("webhook", url=hooks.url, secret_file=str(file))
    with pytest.raises(CircusError, match=r"^\[notify:ops\]: cannot read the secret file .*: No such file"):
        way.check()
    outcome = await way.deliver(FIRING)
    assert (outcome.again, outcome.kind, hooks.requests) == (True, "error", [])
    file.write_text("\n")
    with pytest.raises(CircusError, match="is empty"):
        way.check()
    assert (await way.deliver(FIRING)).again
    file.write_text("first\n")
    assert await way.deliver(FIRING) == Outcome()
    file.write_text("second\n")
    assert await told(way) == Outcome()
    assert [request.headers["x-circus-signature"] for request in hooks.requests] == [
        "sha256=" + hmac.new(secret, request.body, hashlib.sha256).hexdigest()
        for secret, request in zip([b"first", b"second"], hooks.requests, strict=True)
    ]


@pytest.mark.parametrize(
    ("status", "again", "wait"),
    [(204, False, 0.0), (400, False, 0.0), (401, False, 0.0), (302, False, 0.0), (404, False, 0.0), (408, True, 0.0),
     (429, True, 7.0), (500, True, 0.0), (503, True, 7.0)],
)  # fmt: skip
async def test_what_an_answer_means(hooks: Webhooks, status: int, again: bool, wait: float) -> None:
    hooks.answers = [(status, {"Retry-After": "7"} if wait else {})]
    outcome = await told(sink("webhook", url=hooks.url))
    assert (outcome.problem is None) == (status == 204)
    assert (outcome.again, outcome.wait) == (again, wait)
    if outcome.problem is not None:
        assert f"it answers {status}" in outcome.problem


async def test_who_is_away_or_silent_is_tried_again(hooks: Webhooks) -> None:
    hooks.seconds = 1.0
    outcome = await told(sink("webhook", url=hooks.url, timeout_seconds=0.05))
    assert (outcome.kind, outcome.again) == ("timeout", True)
    outcome = await told(sink("webhook", url="http://127.0.0.1:9"))
    assert (outcome.kind, outcome.again) == ("unreachable", True)


async def test_what_is_shown_of_an_address_has_no_secrets(hooks: Webhooks) -> None:
    assert sink("webhook", url="https://user:pw@hooks.example:8443/T0/B1?token=x").shown == "https://hooks.example:8443"


async def test_a_certificate_that_cannot_be_used_is_told_and_lets_nothing_out(
    hooks: Webhooks, tmp_path: pathlib.Path
) -> None:
    broken = tmp_path / "ca.pem"
    broken.write_text("no certificate")
    way = sink("webhook", url=hooks.url, certificate=str(broken))
    with pytest.raises(CircusError, match=r"^\[notify:ops\]: certificate .* cannot be used"):
        way.check()
    outcome = await told(way)
    assert (outcome.again, outcome.kind, hooks.requests) == (False, "error", [])


async def test_alertmanager_gets_both_at_its_api(hooks: Webhooks) -> None:
    way = sink("alertmanager", url=f"{hooks.url}/am/", repeat_seconds=60.0)
    over = Alert(key=Key("leak", "web", 4), kind="memory", severity="info", labels={"alertname": "leak", "wid": "4"},
                 annotations={}, since=1.0, ended=2.0)  # fmt: skip
    assert await way.deliver([*FIRING, Notice(over, "resolved")]) == Outcome()
    await way.close()
    (request,) = hooks.requests
    assert request.path == "/am/api/v2/alerts"
    first, second = json.loads(request.body)
    assert first["startsAt"] == "2026-11-23T20:21:47.500Z"
    assert second["endsAt"] == "1970-01-01T00:00:02.000Z"


# Programs


async def test_a_program_gets_the_document_on_its_standard_input(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "told"
    way = sink("exec", cmd=f"/bin/sh -c 'cat > {file}'")
    way.check()
    assert await told(way) == Outcome()
    assert json.loads(file.read_text())["alerts"][0]["labels"]["alertname"] == "leak"


async def test_a_program_that_fails_says_why(tmp_path: pathlib.Path) -> None:
    outcome = await told(sink("exec", cmd="/bin/sh -c 'echo no route >&2; exit 3'"))
    assert outcome == Outcome(problem="it ended with status 3: no route", again=True, kind="error")
    outcome = await told(sink("exec", cmd="/bin/sh -c 'kill -9 $$'"))
    assert outcome.problem == "it ended with SIGKILL"


async def test_a_program_that_is_not_there_is_told_at_once_and_given_up() -> None:
    way = sink("exec", cmd="/does/not/exist --now")
    with pytest.raises(CircusError, match=r"^\[notify:ops\]: there is no program /does/not/exist"):
        way.check()
    outcome = await told(way)
    assert (outcome.problem, outcome.again) == ("/does/not/exist: No such file or directory", False)


async def test_a_program_that_hangs_is_killed_with_all_that_it_started(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "pids"
    cmd = f"/bin/sh -c 'sleep 1000 & echo $! $$ > {file}; wait'"
    outcome = await told(sink("exec", cmd=cmd, timeout_seconds=1.0))
    assert (outcome.kind, outcome.again) == ("timeout", True)
    for pid in map(int, file.read_text().split()):
        wait_until(lambda pid=pid: not proc.alive(pid))


async def test_a_program_that_leaves_a_child_with_its_output_behind_holds_nobody_up(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "pid"
    outcome = await told(sink("exec", cmd=f"/bin/sh -c 'sleep 1000 & echo $! > {file}'"))
    assert outcome == Outcome()
    proc.end(int(file.read_text()))


async def test_a_program_is_killed_when_the_exporter_leaves(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "pid"
    way = sink("exec", cmd=f"/bin/sh -c 'echo $$ > {file}; exec sleep 1000'")
    task = asyncio.create_task(way.deliver(FIRING))
    await asyncio.to_thread(wait_until, lambda: file.exists() and file.read_text().strip())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    wait_until(lambda: not proc.alive(int(file.read_text())))


# Functions


@pytest.fixture
def module(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """A module of somebody else's."""
    monkeypatch.syspath_prepend(str(tmp_path))
    file = tmp_path / f"pager_{os.getpid()}.py"
    file.write_text(
        "import sys, threading, time\n"
        "got, go_on = [], threading.Event()\n"
        "def take(document): got.append((document, threading.current_thread() is threading.main_thread()))\n"
        "def fail(document): raise OSError('no\\nline')\n"
        "def leave(document): sys.exit(3)\n"
        "def hang(document): go_on.wait(60)\n"
        "number = 3\n"
    )
    yield file
    sys.modules.pop(file.stem, None)


async def test_a_function_is_called_in_a_thread(module: pathlib.Path) -> None:
    way = sink("python", callable=f"{module.stem}.take")
    way.check()
    assert await told(way) == Outcome()
    ((document, in_main_thread),) = sys.modules[module.stem].got
    assert document["status"] == "firing"
    assert not in_main_thread


@pytest.mark.parametrize(("name", "problem"), [("fail", "raised OSError: no line"), ("leave", "raised SystemExit: 3")])
async def test_a_function_that_raises_is_tried_again(module: pathlib.Path, name: str, problem: str) -> None:
    outcome = await told(sink("python", callable=f"{module.stem}.{name}"))
    assert (outcome.again, outcome.kind) == (True, "error")
    assert outcome.problem == f"{module.stem}.{name} {problem}"


@pytest.mark.parametrize(
    ("name", "problem"),
    [("missing", "has no attribute 'missing'"), ("number", "TypeError: .* cannot be called")],
)
async def test_what_is_no_function_is_told_at_once_and_given_up(module: pathlib.Path, name: str, problem: str) -> None:
    way = sink("python", callable=f"{module.stem}.{name}")
    with pytest.raises(CircusError, match=problem):
        way.check()
    outcome = await told(way)
    assert (outcome.again, outcome.kind) == (False, "error")


async def test_a_module_that_is_not_there_or_ends_everything_is_told(module: pathlib.Path) -> None:
    with pytest.raises(CircusError, match=r"the function nowhere_at\.all cannot be used: ModuleNotFoundError"):
        sink("python", callable="nowhere_at.all").check()
    bad = module.with_name(f"bad_{os.getpid()}.py")
    bad.write_text("raise SystemExit(1)\n")
    with pytest.raises(CircusError, match="cannot be used: SystemExit"):
        sink("python", callable=f"{bad.stem}.take").check()


async def test_a_function_that_hangs_keeps_its_thread_and_nothing_else(module: pathlib.Path) -> None:
    way = sink("python", callable=f"{module.stem}.hang", timeout_seconds=0.05)
    outcome = await way.deliver(FIRING)
    assert (outcome.kind, outcome.again) == ("timeout", True)
    outcome = await way.deliver(FIRING)
    assert outcome.problem == f"an earlier call of {module.stem}.hang has not returned"
    sys.modules[module.stem].go_on.set()
    until = time.monotonic() + DEADLINE
    while (await way.deliver(FIRING)).problem is not None:
        assert time.monotonic() < until
        await asyncio.sleep(0.01)


# The dead man's switch


async def test_the_ping_goes_out_while_all_is_well(hooks: Webhooks) -> None:
    well, asked, counts = True, 0, Alerting()

    def is_well() -> bool:
        nonlocal asked
        asked += 1
        return well

    rule = AlertSpec(name="deadman", kind="deadman", url=f"{hooks.url}/ping/x", interval_seconds=0.05)
    task = asyncio.create_task(Deadman(rule, counts, is_well).run())
    await asyncio.to_thread(wait_until, lambda: len(hooks.requests) >= 3)
    assert {(request.method, request.path) for request in hooks.requests} == {("GET", "/ping/x")}
    hooks.always = 500
    await asyncio.to_thread(wait_until, lambda: counts.failed["alert:deadman"]["refused"] >= 2)
    assert "it answers 500" in counts.problems["alert:deadman"]
    hooks.always = None
    before = counts.delivered["alert:deadman"]
    await asyncio.to_thread(wait_until, lambda: counts.delivered["alert:deadman"] > before)
    assert counts.problems == {}
    well = False
    asked_before = asked
    await asyncio.to_thread(wait_until, lambda: asked >= asked_before + 2)  # the last ping is over
    number = len(hooks.requests)
    await asyncio.to_thread(wait_until, lambda: asked >= asked_before + 6)
    assert len(hooks.requests) == number
    task.cancel()
