"""What the command `record` takes, and what it does not."""

from __future__ import annotations

import msgspec
import pytest

from circus.wire.alerts import Delivery, Firing, Resolved, Told, as_data, told_data

FIRING = {"alert": "memory", "kind": "memory", "severity": "warning", "since": 1.5, "value": 2, "labels": {"a": "b"}}


def test_each_record_has_data_of_its_own() -> None:
    assert told_data("alert.firing", FIRING) == Firing(
        alert="memory", kind="memory", severity="warning", since=1.5, value=2.0, labels={"a": "b"}
    )
    assert told_data("alert.resolved", {"alert": "x", "reason": "gone"}) == Resolved(alert="x", reason="gone")
    for record in ("alert.delivered", "alert.failed"):
        assert told_data(record, {"notify": "ops", "type": "exec", "count": 2}) == Delivery(
            notify="ops", type="exec", count=2
        )


@pytest.mark.parametrize(
    ("record", "data"),
    [
        ("alert.firing", {}),
        ("alert.firing", FIRING | {"alert": 3}),
        ("alert.firing", FIRING | {"vlaue": 3}),
        ("alert.firing", FIRING | {"labels": {"a": 1}}),
        ("alert.resolved", {"alert": "x"}),
        ("alert.delivered", {"notify": "ops", "type": "exec", "count": "many"}),
        ("alert.delivered", {"notify": "ops", "type": "exec", "count": 1, "alerts": ["x"]}),
    ],
)
def test_data_of_another_shape_is_refused(record: str, data: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        told_data(record, data)


def test_data_has_all_keys_in_a_record() -> None:
    assert as_data(Resolved(alert="x", reason="gone")) == {"alert": "x", "reason": "gone", "value": None}


def test_properties_of_another_shape_are_refused() -> None:
    for properties in ({}, {"record": 3}, {"record": "x", "wid": "1"}, {"record": "x", "pid": 1}):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(properties, Told)
