"""Sections of alerts and notifiers, from text to specs or mistakes."""

from __future__ import annotations

from dataclasses import fields

import pytest

from circus.spec import alert_fields, alerts
from circus.spec.alert_fields import ALERT_KINDS, ALERTS, NOTIFIERS, NOTIFY_TYPES, SUBJECTS
from circus.spec.alerts import AlertSpec, NotifySpec, filled, known_options, read_alerts
from circus.spec.amounts import Amount
from circus.wire.events import EXIT_REASONS

NEEDED = {"webhook": {"url": "http://x"}, "alertmanager": {"url": "http://x"}, "exec": {"cmd": "x"}, "python": {"callable": "a.b"}}  # fmt: skip


def alert(name: str = "it", **options: str) -> AlertSpec:
    (found,), _, wrong = read_alerts({name: options}, {"ops": {"type": "exec", "cmd": "x"}})
    assert wrong == ()
    return found


def wrong(name: str = "it", **options: str) -> list[str]:
    found, _, mistakes = read_alerts({name: options}, {"ops": {"type": "exec", "cmd": "x"}})
    assert bool(found) is not bool(mistakes)
    return [f"{mistake.option}: {mistake.expected}" for mistake in mistakes]


def wrong_notify(name: str = "it", **options: str) -> list[str]:
    _, found, mistakes = read_alerts({}, {name: options})
    assert bool(found) is not bool(mistakes)
    return [f"{mistake.option}: {mistake.expected}" for mistake in mistakes]


def test_every_kind_and_type_has_rows_and_a_subject() -> None:
    assert tuple(ALERTS) == ALERT_KINDS
    assert set(SUBJECTS) == set(ALERT_KINDS)
    assert tuple(NOTIFIERS) == NOTIFY_TYPES
    assert alert_fields.EXIT_REASONS == EXIT_REASONS


@pytest.mark.parametrize("kind", [kind for kind in ALERT_KINDS if kind != "deadman"])
def test_a_kind_alone_is_an_alert_with_the_defaults_of_its_rows(kind: str) -> None:
    found = alert(kind)
    assert found == alert("x", kind=kind.upper()) or found.name != "x"
    assert found.kind == kind
    for name, row in ALERTS[kind].items():
        if name != "kind":
            value = getattr(found, alerts._FIELDS.get(name, name))
            assert value == row.ini
            assert value is None or row.kind.accepts(value)


@pytest.mark.parametrize("kind", NOTIFY_TYPES)
def test_a_type_alone_has_the_defaults_of_its_rows(kind: str) -> None:
    _, (found,), mistakes = read_alerts({}, {kind: NEEDED[kind]})
    assert mistakes == ()
    for name, row in NOTIFIERS[kind].items():
        if name not in ("type", *NEEDED[kind]):
            value = getattr(found, alerts._FIELDS.get(name, name))
            assert value == row.ini
            assert value is None or row.kind.accepts(value)


def test_fields_have_the_names_of_the_options() -> None:
    for spec, tables, families in (
        (AlertSpec, ALERTS, ("labels", "annotations")),
        (NotifySpec, NOTIFIERS, ("headers",)),
    ):
        options = {alerts._FIELDS.get(name, name) for table in tables.values() for name in table}
        assert options | {"name", *families} == {field.name for field in fields(spec)}


def test_an_alert_with_everything() -> None:
    found = alert(
        kind="memory", watchers="web-*, !web-test", above="512MiB", clear_below="400M", severity="Critical",
        notify="ops", of="tree", keep="5m",
        **{"for": "1m30s", "labels.team": "payments", "annotations.summary": "{watcher}.{wid} has {value}"},
    )  # fmt: skip
    assert found == AlertSpec(
        name="it", kind="memory", watchers=("web-*", "!web-test"), severity="critical", notify=("ops",), of="tree",
        above=Amount(512.0 * 1024 * 1024, "bytes"), clear_below=Amount(400.0 * 1024 * 1024, "bytes"),
        for_seconds=90.0, keep_seconds=300.0, labels={"team": "payments"},
        annotations={"summary": "{watcher}.{wid} has {value}"},
    )  # fmt: skip
    assert (found.subject, str(found.threshold)) == ("process", "512MiB")
    assert found.means("WEB-1")
    assert not found.means("web-test")


def test_notify_without_names_tells_nobody_and_without_the_option_everybody() -> None:
    assert alert("down", notify="").notify == ()
    assert alert("down").notify is None


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"kind": "memroy"}, f"kind: expected {', '.join(ALERT_KINDS[:-1])} or deadman; did you mean memory?"),
        ({}, f"None: needs kind = {', '.join(ALERT_KINDS[:-1])} or deadman"),
        ({"kind": "cpu", "abvoe": "1"}, "abvoe: no such option here; did you mean above?"),
        ({"kind": "down", "above": "1"}, "above: no such option here; there are kind, watchers, for, keep, severity, notify, labels.NAME, annotations.NAME"),
        ({"kind": "down", "labels.": "1"}, "labels.: no such option here; did you mean labels.NAME?"),
        ({"kind": "down", "for": "soon"}, "for: expected a duration such as 30s, 5m or 1h30m"),
        ({"kind": "memory", "above": "much"}, "above: expected a number of bytes such as 512MiB or 2G, or a share such as 90%"),
        ({"kind": "memory", "above": "1G", "clear_below": "80%"}, "clear_below: expected the unit of above, which is 1GiB"),
        ({"kind": "memory", "above": "1G", "clear_below": "2G"}, "clear_below: expected no more than above, which is 1GiB"),
        ({"kind": "memory", "clear_below": "1G"}, "clear_below: expected the unit of above, which is 90%"),
        ({"kind": "replicas_missing", "below": "0"}, "below: expected a share such as 90%, more than 0, at most 100"),
        ({"kind": "exit", "reasons": "boom"}, f"reasons: expected a list of {', '.join(EXIT_REASONS)}"),
        ({"kind": "exit", "severity": "bad"}, "severity: expected critical, warning or info"),
        ({"kind": "exit", "notify": "opps"}, "notify: there is no [notify:opps]; did you mean ops?"),
        ({"kind": "exit", "labels.severity": "x"}, "labels.severity: the label severity is set by Circus itself"),
        ({"kind": "exit", "labels.a-b": "x"}, "labels.a-b: expected a name of letters, digits and _, without __ before it"),
        ({"kind": "exit", "annotations.a b": "x"}, "annotations.a b: expected a name of letters, digits and _"),
        ({"kind": "exit", "annotations.a": "{pid}"}, "annotations.a: there is no {pid} to fill in; there are {alert}, {kind}, {severity}, {threshold}, {value}, {watcher}, {wid}"),
        ({"kind": "deadman"}, "None: needs url = what is asked as long as all is well"),
        ({"kind": "deadman", "url": "x"}, "url: expected a URL such as https://HOST/PATH"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_an_alert(options: dict[str, str], told: str) -> None:
    assert wrong(**options) == [told]


def test_a_deadman_has_no_labels_and_no_severity() -> None:
    assert alert("deadman", url="https://x/y", interval="5m").interval_seconds == 300.0
    assert len(wrong("deadman", url="https://x/y", severity="info", **{"labels.a": "b"})) == 2


@pytest.mark.parametrize("name", ["a b", "a,b", "", "a*", "x" * 101])
def test_a_name_can_be_listed_and_matched(name: str) -> None:
    assert wrong(name, kind="down") == ["None: expected a name of up to 100 letters, digits, -, _, . and :"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, "None: needs type = webhook, alertmanager, exec or python"),
        ({"type": "mail"}, "type: expected webhook, alertmanager, exec or python"),
        ({"type": "webhook"}, "None: a notifier of type webhook needs url"),
        ({"type": "webhook", "url": "nowhere"}, "url: expected a URL such as https://HOST/PATH"),
        ({"type": "exec"}, "None: a notifier of type exec needs cmd"),
        ({"type": "exec", "cmd": ""}, "cmd: a notifier of type exec needs cmd"),
        ({"type": "exec", "cmd": "''"}, "cmd: a notifier of type exec needs a program"),
        ({"type": "exec", "cmd": "a 'b"}, "cmd: expected words as a shell takes them: No closing quotation"),
        ({"type": "python"}, "None: a notifier of type python needs callable"),
        ({"type": "python", "callable": "print"}, "callable: expected a dotted name such as package.module.function"),
        ({"type": "webhook", "url": "http://x", "secret": "a", "secret_file": "b"}, "secret_file: there is a secret already; one of the two is enough"),
        ({"type": "webhook", "url": "http://x", "headers.X Y": "a"}, "headers.X Y: expected a name that a header may have"),
        ({"type": "webhook", "url": "http://x", "headers.X": "a\nb"}, "headers.X: expected text on one line"),
        ({"type": "webhook", "url": "http://x", "cmd": "a"}, "cmd: no such option here; there are type, url, secret, secret_file, certificate, repeat, timeout, rate, burst, batch, queue, retry_for, send_resolved, headers.NAME"),
        ({"type": "webhook", "url": "http://x", "rate": "many"}, "rate: expected a rate such as 10/s, 30/m or 100/h, at most 1000/s"),
        ({"type": "alertmanager", "url": "http://x", "repeat": "0"}, "repeat: expected a duration such as 30s, 5m or 1h30m, more than 0s, at most 1h"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_notifier(options: dict[str, str], told: str) -> None:
    assert wrong_notify(**options) == [told]


def test_an_alert_stays_when_a_notifier_that_it_names_has_a_mistake() -> None:
    found, ways, mistakes = read_alerts({"down": {"notify": "bad"}}, {"bad": {"type": "exec"}})
    assert (len(found), ways, [mistake.section for mistake in mistakes]) == (1, (), ["notify:bad"])


def test_the_options_of_a_section_follow_its_kind() -> None:
    assert "below" in known_options("alert", "replicas_missing", {})
    assert "below" not in known_options("alert", "replicas_missing", {"kind": "cpu"})
    assert "cmd" in known_options("notify", "x", {"type": "exec"})
    assert known_options("alert", "x", {}) == frozenset()


def test_an_annotation_is_filled_in() -> None:
    values = {"watcher": "web", "wid": None, "value": "1GiB"}
    assert filled("{watcher}/{wid} has {value} {other} {}", values) == "web/ has 1GiB {other} {}"
