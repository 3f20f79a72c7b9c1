"""How changes are told: all in JSON, nothing secret."""

import json
from dataclasses import replace

from circus.spec.arbiter import ArbiterSpec
from circus.spec.diff import Change, changes, watcher_changes
from circus.spec.exporters import ExporterSpec
from circus.spec.plugins import PluginSpec
from circus.spec.streams import StreamSpec
from circus.spec.watcher import WatcherSpec
from circus.wire.changes import told_changes, told_sections

WEB = WatcherSpec(name="web", cmd="x")


def test_options_are_told_with_both_values_and_what_they_ask_for():
    other = WatcherSpec(name="web", cmd="y", args=("a", "b"), env={"A": "1"}, rlimits={"core": None})
    told = {option["name"]: option for option in told_changes(watcher_changes(WEB, other))}
    assert told["cmd"] == {"name": "cmd", "old": "x", "new": "y", "effect": "reload"}
    assert told["args"]["new"] == ["a", "b"]
    assert (told["env.A"]["old"], told["env.A"]["new"]) == (None, "***")
    assert told["rlimit_core"]["new"] == "infinity"


def test_whatever_a_value_is_it_has_a_form_in_json():
    other = WatcherSpec(name="web", cmd="x", stdout_stream=StreamSpec(stream=print), options={"free": "text"})
    assert "built-in" in json.dumps(told_changes(watcher_changes(WEB, other)))


def test_sections_are_told_with_their_options_and_secrets_are_masked():
    old = ArbiterSpec(plugins=(PluginSpec(name="plugin:x", use="a.B", options={"password": "one"}),))
    new = ArbiterSpec(plugins=(PluginSpec(name="plugin:x", use="a.B", options={"password": "two"}),))
    (section,) = told_sections(changes(old, new))
    assert (section["subject"], section["name"], section["action"], section["effect"]) == (
        "plugin", "plugin:x", "changed", "reload",
    )  # fmt: skip
    assert section["options"] == [{"name": "password", "old": "***", "new": "***", "effect": "reload"}]


def test_headers_and_the_paths_of_urls_are_masked():
    old, new = (
        {"url": f"https://u:p@hooks.example/{path}", "headers.Authorization": path, "headers": path} for path in "ab"
    )
    options = [ArbiterSpec(notify=(ExporterSpec(name="x", options=each),)) for each in (old, new)]
    (section,) = told_sections(changes(*options))
    told = {option["name"]: option["new"] for option in section["options"]}
    assert told == {"url": "https://hooks.example/***", "headers.Authorization": "***", "headers": "***"}


def test_a_url_without_a_path_is_told():
    new = ArbiterSpec(notify=(ExporterSpec(name="x", options={"url": "http://am:9093"}),))
    old = ArbiterSpec(notify=(ExporterSpec(name="x", options={"url": "http://127.0.0.1:9093"}),))
    (section,) = told_sections(changes(old, new))
    assert section["options"][0]["new"] == "http://am:9093"


def test_of_very_many_options_a_record_has_the_first_and_their_number():
    other = replace(WEB, env={f"K{number}": "v" for number in range(600)})
    told = told_changes(watcher_changes(WEB, other))
    assert len(told) == 501
    assert told[-1] == {"name": "… and 100 more", "old": None, "new": None, "effect": "reload"}
    (section,) = told_sections(
        [Change(subject="watcher", name="web", action="changed", options=watcher_changes(WEB, other))]
    )
    assert len(section["options"]) == 600
