"""Specs as plain values, and again as specs."""

import marshal
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circus.exc import CircusError, Mistake
from circus.spec.access import AccessSpec
from circus.spec.arbiter import ArbiterSpec
from circus.spec.exporters import ExporterSpec
from circus.spec.plugins import PluginSpec
from circus.spec.record import dump, load
from circus.spec.sockets import SocketSpec
from circus.spec.streams import StreamSpec
from circus.spec.watcher import HookSpec, WatcherSpec

WATCHER = WatcherSpec(
    name="w\udcff",
    cmd="program",
    args=("a", "b c"),
    env={"A": "\udc80", "B": ""},
    rlimits={"nofile": 7, "core": None},
    stdout_stream=StreamSpec(cls="FileStream", options={"filename": "x", "max_bytes": 5}),
    hooks={"before_start": HookSpec(target="a.b", ignore_failure=True)},
    options={"free": ["form", {"WatcherSpec": ("dict", [])}, 1.5, None, True]},
    stdin_data=b"\x00\xff",
)
ARBITER = ArbiterSpec(
    asked=frozenset({"endpoint"}),
    env={"X": "y"},
    watchers=(WATCHER, WatcherSpec(name="other")),
    sockets=(SocketSpec(name="s", port=0),),
    plugins=(PluginSpec(name="plugin:p", use="a.B", options={"n": 1}),),
    exporters=(ExporterSpec(name="prometheus", options={"port": "0"}),),
    access=(AccessSpec(name="me", uid=(0, "root")),),
    omitted=(Mistake("f", 1, "s", "o", "v", "a number"),),
)


def again(value):
    return load(marshal.loads(marshal.dumps(dump(value), 4)))


@pytest.mark.parametrize("spec", [WATCHER, ARBITER, WatcherSpec(name=""), ArbiterSpec()])
def test_a_spec_comes_back_equal(spec):
    assert again(spec) == spec


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.lists(inner).map(tuple),
)


@given(plain)
def test_whatever_stands_in_free_form_options_comes_back(value):
    assert again(replace(WATCHER, options={"x": value})).options == {"x": value}


def test_fields_that_this_release_does_not_know_are_passed_over_and_missing_ones_have_their_defaults():
    name, fields = dump(WATCHER)
    del fields["priority"]
    assert load((name, {**fields, "from_the_future": 1})) == WATCHER


def test_what_exists_in_this_program_only_is_refused_by_name():
    spec = replace(WATCHER, hooks={"before_start": HookSpec(target=len)})
    with pytest.raises(CircusError, match="<built-in function len> exists in this program only"):
        dump(spec)
