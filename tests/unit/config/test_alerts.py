"""Sections of alerts and notifiers in a file."""

from __future__ import annotations

import pytest

from circus.config.build import check
from circus.spec.exporters import ExporterSpec
from tests.unit.config.conftest import Ini

WEB = "[watcher:web]\ncmd = sh\n"


def told(ini: Ini, text: str) -> list[str]:
    found, _ = check(ini.write(text))
    return [f"{each.line} [{each.section}] {each.option} = {each.value}: {each.expected}" for each in found]


def test_alerts_and_notifiers_stay_text(ini: Ini) -> None:
    spec = ini.load(
        f"{WEB}[alert:memory]\nabove = $(circus.env.MUCH)\nnotify = ops\nlabels.Team = a\n"
        "[notify:ops]\ntype = exec\ncmd = mail -s circus ops\n",
        {"MUCH": "512MiB"},
    )
    assert spec.omitted == spec.warnings == ()
    assert spec.alerts == (
        ExporterSpec(name="memory", options={"above": "512MiB", "notify": "ops", "labels.Team": "a"}),
    )
    assert spec.notify == (ExporterSpec(name="ops", options={"type": "exec", "cmd": "mail -s circus ops"}),)


def test_an_alert_needs_no_options_where_its_name_is_a_kind(ini: Ini) -> None:
    assert ini.load(f"{WEB}[alert:flapping]\n[alert:down]\n").alerts == (
        ExporterSpec(name="down"),
        ExporterSpec(name="flapping"),
    )


def test_what_default_says_for_others_is_no_mistake(ini: Ini) -> None:
    spec = ini.load(f"[DEFAULT]\nnumprocesses = 2\nseverity = critical\nbelow = 50%\n{WEB}[alert:down]\n")
    assert spec.omitted == ()
    assert spec.alerts == (ExporterSpec(name="down", options={"severity": "critical"}),)


def test_a_mistake_leaves_out_only_its_section_and_says_where(ini: Ini) -> None:
    text = f"{WEB}[alert:down]\n[alert:it]\nkind = cpu\nabove = much\nnotify = nobody\n[notify:x]\ntype = webhook\n"
    spec = ini.load(text)
    assert [alert.name for alert in spec.alerts] == ["down"]
    assert (spec.notify, len(spec.watchers)) == ((), 1)
    assert told(ini, text) == [
        "6 [alert:it] above = much: expected a share such as 90%",
        "7 [alert:it] notify = nobody: there is no [notify:nobody]",
        "8 [notify:x] None = None: a notifier of type webhook needs url",
    ]


def test_an_alert_goes_on_without_a_notifier_that_is_left_out(ini: Ini) -> None:
    spec = ini.load(f"{WEB}[alert:down]\nnotify = bad, good\n[notify:bad]\n[notify:good]\ntype = exec\ncmd = sh\n")
    assert spec.alerts == (ExporterSpec(name="down", options={"notify": "good"}),)
    assert [mistake.section for mistake in spec.omitted] == ["notify:bad"]
    assert "nobody is told by it" in spec.warnings[0].expected


def test_two_names_that_differ_in_case_are_one_too_many(ini: Ini) -> None:
    assert told(ini, "[alert:a]\nkind = down\n[alert:A]\nkind = cpu\n")[0].startswith(
        "3 [alert:A] None = None: has the name of [alert:a] at "
    )


def test_a_watcher_that_is_not_there_is_a_warning(ini: Ini) -> None:
    spec = ini.load(f"{WEB}[alert:down]\nwatchers = WEB, wbe, x-*\n")
    assert [warning.expected for warning in spec.warnings] == ["there is no watcher 'wbe' at the moment"]
    assert len(spec.alerts) == 1


@pytest.mark.parametrize("option", ["secret_file", "certificate"])
def test_a_file_is_found_beside_the_one_that_names_it(ini: Ini, option: str) -> None:
    text = f"[notify:webhook]\nurl = http://x\n{option} = key\n"
    assert told(ini, text) == [f"3 [notify:webhook] {option} = key: there is no such file, or it may not be read"]
    (ini.directory / "key").write_text("x")
    assert ini.load(text).notify[0].options[option] == str(ini.directory / "key")


def test_a_misspelt_section_is_told(ini: Ini) -> None:
    assert [warning.expected for warning in ini.load("[alerts:x]\n[notfy:y]\n").warnings] == [
        "is not read; did you mean [alert:x]?",
        "is not read; did you mean [notify:y]?",
    ]
