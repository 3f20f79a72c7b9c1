"""The table of options agrees with the specs, and its kinds agree with themselves."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import pytest

from circus.config.platform import this_platform
from circus.spec.arbiter import ArbiterSpec
from circus.spec.fields import (
    CIRCUS,
    EXPORTERS,
    SOCKET,
    STREAM,
    STREAM_CLASSES,
    WATCHER,
    Option,
    family_of,
    stream_conf,
)
from circus.spec.sockets import SocketSpec
from circus.spec.streams import StreamSpec
from circus.spec.watcher import WatcherSpec

EVERY = [*CIRCUS.values(), *WATCHER.values(), *SOCKET.values(), *STREAM.values()]
EVERY += [row for rows in EXPORTERS.values() for row in rows.values()]

# What a watcher holds beside its options.
NOT_OPTIONS = {
    "name", "rlimits", "stdout_stream", "stderr_stream", "hooks", "options", "role", "origin", "stdin_data",
}  # fmt: skip


def defaults(spec: object) -> Mapping[str, object]:
    assert dataclasses.is_dataclass(spec)
    return {field.name: getattr(spec, field.name) for field in dataclasses.fields(spec)}


def test_a_watcher_spec_has_the_options_of_the_table_and_no_other() -> None:
    assert set(defaults(WatcherSpec(name="x"))) - NOT_OPTIONS == set(WATCHER)


@pytest.mark.parametrize("option", WATCHER.values(), ids=lambda option: option.name)
def test_the_default_of_a_watcher_spec_is_that_of_the_api(option: Option) -> None:
    assert defaults(WatcherSpec(name="x"))[option.name] == option.api


@pytest.mark.parametrize("option", SOCKET.values(), ids=lambda option: option.name)
def test_the_default_of_a_socket_spec_is_that_of_the_table(option: Option) -> None:
    assert defaults(SocketSpec(name="x"))[option.name] == option.api == option.ini


@pytest.mark.parametrize("option", CIRCUS.values(), ids=lambda option: option.name)
def test_the_default_of_an_arbiter_spec_is_that_of_a_file(option: Option) -> None:
    if option.name not in {"include", "include_dir"}:
        assert defaults(ArbiterSpec())[option.name] == option.ini


def test_the_library_looks_every_second_and_a_file_every_five() -> None:
    assert (CIRCUS["check_delay"].api, CIRCUS["check_delay"].ini) == (1.0, 5.0)


@pytest.mark.parametrize("option", EVERY, ids=lambda option: option.name)
def test_a_kind_accepts_the_defaults(option: Option) -> None:
    for default in (option.ini, option.api):
        assert default is None or option.kind.accepts(default)


@pytest.mark.parametrize("option", EVERY, ids=lambda option: option.name)
def test_a_default_survives_being_written_and_read(option: Option) -> None:
    if option.ini is not None and not isinstance(option.ini, dict) and option.kind.word != "octal":
        assert option.kind.parse(str(option.ini), this_platform()) == option.ini


@pytest.mark.parametrize("option", EVERY, ids=lambda option: option.name)
def test_every_option_is_explained_in_one_sentence(option: Option) -> None:
    assert option.doc.endswith(".")
    assert option.doc.count(". ") == 0


def test_a_stream_class_takes_options_that_the_table_knows() -> None:
    assert {name for names in STREAM_CLASSES.values() for name in names} == set(STREAM)


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("rlimit_nofile", "rlimits"),
        ("stdout_stream.class", "stdout_stream"),
        ("hooks.before_start", "hooks"),
        ("labels.team", "options"),
    ],
)
def test_a_prefix_makes_a_family(name: str, field: str) -> None:
    family = family_of(name)
    assert family is not None
    assert family.field == field


def test_a_free_form_option_is_of_no_family() -> None:
    assert family_of("flapping.max_retry") is None


def test_a_shown_stream_keeps_its_class() -> None:
    shown = stream_conf(StreamSpec(cls="FileStream", options={"filename": "x"}), empty=None)
    assert shown == {"class": "FileStream", "filename": "x"}


def test_a_stream_object_is_shown_by_the_name_of_its_class() -> None:
    assert stream_conf(StreamSpec(stream=[]), empty=None) == {"stream": "list"}
