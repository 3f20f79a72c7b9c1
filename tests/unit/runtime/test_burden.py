"""A module that is loaded when something of it is wanted."""

from __future__ import annotations

import inspect
import sys

import pytest

from circus.runtime.burden import Later


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A directory that modules are imported from; what is imported from it is forgotten afterwards."""
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in ("wanted_later", "wants_it"):
        sys.modules.pop(name, None)


def test_it_is_loaded_when_something_of_it_is_wanted(place):
    (place / "wanted_later.py").write_text("thing = object()\n")
    later = Later("wanted_later")
    assert "wanted_later" not in sys.modules
    thing = later.thing
    assert sys.modules["wanted_later"].thing is thing is later.thing


def test_it_makes_way_for_the_module_that_it_stands_for(place, monkeypatch):
    (place / "wanted_later.py").write_text("thing = 1\n")
    (place / "wants_it.py").write_text("from wanted_later import thing\n")
    monkeypatch.setitem(sys.modules, "wanted_later", Later("wanted_later"))
    import wants_it

    assert wants_it.thing == 1
    assert not isinstance(sys.modules["wanted_later"], Later)


def test_what_is_not_in_it_is_told_as_of_any_module(place):
    (place / "wanted_later.py").write_text("")
    with pytest.raises(AttributeError, match="wanted_later"):
        _ = Later("wanted_later").thing


def test_what_cannot_be_loaded_is_tried_again(place):
    later = Later("wanted_later")
    with pytest.raises(ModuleNotFoundError):
        _ = later.thing
    (place / "wanted_later.py").write_text("thing = 1\n")
    import importlib

    importlib.invalidate_caches()
    assert later.thing == 1


def test_a_callback_that_fails_is_told_also_when_nothing_can_be_loaded(monkeypatch):
    monkeypatch.setitem(sys.modules, "inspect", None)  # the documented way to make an import fail
    later = Later("inspect")
    assert later.unwrap(len) is len
    assert (later.isfunction(test_what_cannot_be_loaded_is_tried_again), later.isfunction(len)) == (True, False)
    with pytest.raises(ImportError):
        _ = later.signature


def test_otherwise_it_is_told_by_the_module_itself():
    assert Later("inspect").unwrap is inspect.unwrap
