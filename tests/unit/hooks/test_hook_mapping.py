from __future__ import annotations

import copy
import json
from types import MappingProxyType
from typing import Any

import pytest

from circus.hooks.mapping import CarriedDict


@pytest.fixture
def source() -> dict[str, str]:
    return {"A": "1", "B": "2"}


@pytest.fixture
def carried(source: dict[str, str]) -> CarriedDict:
    return CarriedDict(lambda _, function: function(), source, source)


CHANGES: dict[str, Any] = {
    "store": lambda d: d.__setitem__("C", "3"),
    "delete": lambda d: d.__delitem__("A"),
    "update": lambda d: d.update({"C": "3"}, A="9"),
    "or": lambda d: d.__ior__({"C": "3"}),
    "pop": lambda d: d.pop("A"),
    "pop with default": lambda d: d.pop("Z", None),
    "popitem": lambda d: d.popitem(),
    "setdefault": lambda d: d.setdefault("C", "3"),
    "setdefault of a known key": lambda d: d.setdefault("A", "3"),
    "clear": lambda d: d.clear(),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_reaches_the_original_and_the_copy_alike(
    carried: CarriedDict, source: dict[str, str], change: Any
) -> None:
    expected = dict(source)
    assert change(carried) in (change(expected), carried)
    assert dict(carried) == source == expected


@pytest.mark.parametrize("change", [lambda d: d.__delitem__("Z"), lambda d: d.pop("Z")])
def test_a_missing_key_is_a_key_error(carried: CarriedDict, change: Any) -> None:
    with pytest.raises(KeyError):
        change(carried)


def test_popitem_of_nothing_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        CarriedDict(lambda _, function: function(), {}, {}).popitem()


def test_an_original_that_cannot_be_changed_refuses() -> None:
    source = MappingProxyType({"A": "1"})
    carried = CarriedDict(lambda _, function: function(), source, source)
    with pytest.raises(TypeError):
        carried["B"] = "2"
    assert carried == {"A": "1"}


def test_copies_are_plain(carried: CarriedDict) -> None:
    assert type(copy.deepcopy(carried)) is dict
    assert json.loads(json.dumps(carried)) == {"A": "1", "B": "2"}
