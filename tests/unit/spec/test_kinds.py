"""Which texts and which typed values an option takes."""

from __future__ import annotations

import pytest

from circus.config.platform import this_platform
from circus.spec import kinds
from circus.spec.kinds import Kind


def fits(kind: Kind, text: str) -> bool:
    try:
        value = kind.parse(text, this_platform())
    except ValueError:
        return False
    assert kind.accepts(value)
    return True


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (kinds.INTEGER, ["0", "-3", " 7 "], ["", "1.5", "x", str(2**63)]),
        (kinds.COUNT, ["0", "12"], ["-1", ""]),
        (kinds.PORT, ["0", "65535"], ["65536", "-1"]),
        (kinds.SECONDS, ["0", "0.5", "1e3"], ["-1", "nan", "inf", "x", "1e10"]),
        (kinds.number(above=0), ["0.1"], ["0"]),
        (kinds.number(), ["-1", "0"], ["nan"]),
        (kinds.BOOLEAN, ["yes", "off"], ["", "maybe"]),
        (kinds.SIGNAL, ["TERM", "15", "sigusr1"], ["0", "999", "FOO"]),
        (kinds.MASK, ["022", "", "777"], ["9", "1000"]),
        (kinds.ENDPOINT, ["auto", "tcp://*:5555", "ipc:///x"], ["", "5555", "tcp://", "://x"]),
        (kinds.MULTICAST, ["", "udp://237.219.251.97:12027"], ["udp://x", "tcp://x:1", "udp://x:99999"]),
        (kinds.LOGGER_FILE, ["", "default", "a.ini", "b.json", "c.yaml"], ["a.toml"]),
        (kinds.choice("main", "group", "tree"), ["main", "TREE", " group "], ["", "all"]),
        (kinds.USER, ["0", "nobody", ""], []),
    ],
    ids=lambda value: value.word if isinstance(value, Kind) else "",
)
def test_a_kind_takes_what_fits_and_nothing_else(kind: Kind, good: list[str], bad: list[str]) -> None:
    assert [text for text in good if not fits(kind, text)] == []
    assert [text for text in bad if fits(kind, text)] == []


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (kinds.INTEGER, True),
        (kinds.INTEGER, "3"),
        (kinds.SECONDS, True),
        (kinds.SECONDS, float("nan")),
        (kinds.BOOLEAN, 1),
        (kinds.TEXT, None),
        (kinds.ARGS, ["a", 1]),
        (kinds.TEXT_MAP, {"A": 1}),
        (kinds.USER, True),
    ],
)
def test_a_typed_value_of_another_type_is_refused(kind: Kind, value: object) -> None:
    assert not kind.accepts(value)


def test_what_is_expected_names_the_bounds() -> None:
    assert kinds.COUNT.expected == "a whole number, 0 or more"
    assert kinds.PORT.expected == "a whole number from 0 to 65535"
    assert kinds.number(above=0, high=10).expected == "a number of seconds, more than 0, at most 10"
    assert kinds.choice("a", "b", "c").expected == "a, b or c"
