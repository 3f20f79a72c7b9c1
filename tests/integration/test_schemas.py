"""What a daemon publishes and answers fits the published schemas, and what does not fit them is told apart."""

from __future__ import annotations

import copy
import json
import os
import signal
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from docs import build
from tests.conftest import CircusD
from tests.helpers.daemon import Daemon
from tests.helpers.waiting import wait_until

INI = """
[circus]
sample_interval = 0.2

[watcher:web]
cmd = sh -c 'while sleep 0.1; do echo hello; done'
numprocesses = 2
capture = True
metrics_memory = True

[watcher:broken]
cmd = /no/such/program
max_retry = 1

[socket:front]
port = 0

[alert:leak]
kind = memory
above = 1G
"""
SCHEMAS = {path.stem: json.loads(text) for path, text in build.schemas().items()}
VALID = {name: Draft202012Validator(schema) for name, schema in SCHEMAS.items()}


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_a_schema_is_one(name: str) -> None:
    Draft202012Validator.check_schema(SCHEMAS[name])


def _of_alerts(daemon: Daemon) -> dict[str, list[Any]]:
    """What goes to and fro about alerts."""
    firing = {"alert": "leak", "kind": "memory", "severity": "warning", "since": 1.0, "value": 6.0}
    told = [
        {"record": "alert.firing", "watcher": "web", "wid": 1, "data": firing},
        {"record": "alert.delivered", "data": {"notify": "ops", "type": "exec", "count": 1, "alerts": [1]}},
        {"record": "alert.resolved", "watcher": "web", "wid": 1, "data": {"alert": "leak", "reason": "recovered"}},
        {"record": "retrying", "data": {"notify": "ops", "type": "exec", "count": 1, "attempts": 2, "next": 7.5}},
        {"record": "standing", "data": {"alerts": [{"seq": 1, "value": 7.0, "ends": 2e9}]}},
    ]
    silence = {"alert": "l*", "seconds": 60.0, "comment": "known"}
    answers = [daemon.ok("record", **told[0]), daemon.ok("record", **told[1])]
    silenced = daemon.ok("silence", **silence)
    answers += [daemon.ok("record", **each) for each in told[3:]]
    alerts = daemon.ok("alerts")
    answers.append(daemon.ok("record", **told[2]))
    kept = {record["record"]: record["data"] for record in daemon.ok("events", record="alert.")["records"]}
    return {
        "alert-firing": [kept["alert.firing"]],
        "alert-delivery": [kept["alert.delivered"]],
        "alert-retrying": [told[3]["data"]],
        "alert-standing": [told[4]["data"]],
        "alert-resolved": [kept["alert.resolved"]],
        "alerts-answer": [alerts],
        "record-request": told,
        "record-answer": answers,
        "silence-request": [silence],
        "silence-answer": [silenced, daemon.ok("unsilence", silence=silenced["silence"]["id"])],
        "test-alert-answer": [daemon.ok("test-alert", alert="leak")],
    }


def test_all_that_is_sent_fits(circusd: CircusD) -> None:
    daemon = circusd(INI)
    lifecycle, lines, samples = daemon.events("lifecycle."), daemon.events("log."), daemon.stats("sample.")
    (first, _) = daemon.wait_pids("web", 2)
    os.kill(first, signal.SIGKILL)
    daemon.ok("reload", name="web", waiting=True)
    daemon.ok("set", name="web", options={"numprocesses": 3}, waiting=True)
    daemon.call("nonsense")
    wait_until(
        lambda: len(samples.messages) > 10 and lines.messages and len(lifecycle.messages) > 10,
        what=lambda: [len(each.messages) for each in (samples, lines, lifecycle)],
    )
    sent: dict[str, list[Any]] = {
        "record": [message.body for message in lifecycle.messages],
        "log-lines": [message.body for message in lines.messages],
        "daemon-sample": [message.body for message in samples.messages if message.topic == "sample.-"],
        "watcher-sample": [message.body for message in samples.messages if message.topic != "sample.-"],
        "telemetry": [daemon.ok("telemetry")],
        "events-answer": [daemon.ok("events", since=0)],
        "why-answer": [daemon.ok("why", name="web", wid=1), daemon.ok("why", name="broken")],
        "tail-answer": [daemon.ok("tail", name="web")],
        **_of_alerts(daemon),
    }
    assert set(sent) == set(SCHEMAS)
    for name, messages in sent.items():
        assert messages, name
        for message in messages:
            wrong = [f"{error.json_path}: {error.message}" for error in VALID[name].iter_errors(message)]
            assert not wrong, f"{name}: {wrong}"
        for key in SCHEMAS[name]["$defs"][SCHEMAS[name]["title"]].get("required", []):
            broken = copy.deepcopy(messages[0])
            del broken[key]
            assert not VALID[name].is_valid(broken), f"{name} without {key}"
            assert not VALID[name].is_valid({**messages[0], key: [object]}), f"{name} with a wrong {key}"
    assert sent["events-answer"][0]["records"]
    broken = copy.deepcopy(sent["events-answer"][0])
    broken["records"][0]["seq"] = "one"
    assert not VALID["events-answer"].is_valid(broken)
