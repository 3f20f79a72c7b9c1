"""The common ground of streams: prefixes and options that are text."""
# ruff: noqa: DTZ001 - local time, as the streams write it

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pytest

from circus.stream.base import BaseStream, chunk_bytes, prefix_lines, to_count, to_flag, to_text


class Kept(BaseStream):
    now = staticmethod(lambda: datetime(2026, 11, 24, 3, 20, 58))

    def __call__(self, data: Mapping[str, Any]) -> None:
        del data


def test_the_stamp_says_when_and_who() -> None:
    assert Kept().stamp({"pid": 3079}, "%Y %H:%M") == "2026 03:20 [3079] | "


def test_the_stamp_prefers_the_time_that_the_chunk_brings() -> None:
    moment = datetime(2001, 2, 3, 4, 5, 6).timestamp()
    assert Kept().stamp({"pid": 1, "timestamp": moment}, "%Y-%m-%d") == "2001-02-03 [1] | "


@pytest.mark.parametrize(
    ("block", "expected"),
    [(b"a\n", b"> a\n"), (b"a\n\nb\n", b"> a\n> \n> b\n"), (b"a", b"> a"), (b"a\nb", b"> a\n> b"), (b"\n", b"> \n")],
)
def test_each_line_gets_its_prefix(block: bytes, expected: bytes) -> None:
    assert prefix_lines(block, b"> ", continued=False) == expected


def test_the_continuation_of_a_line_gets_no_prefix() -> None:
    assert prefix_lines(b"rest\nnext\n", b"> ", continued=True) == b"rest\n> next\n"


def test_text_is_taken_like_bytes() -> None:
    assert chunk_bytes({"data": "grün\n"}) == "grün\n".encode()


@pytest.mark.parametrize(("value", "count"), [(5, 5), ("5", 5), (" 7 ", 7), (0, 0), ("0", 0)])
def test_counts_may_be_text(value: object, count: int) -> None:
    assert to_count(value, "max_bytes") == count


@pytest.mark.parametrize("value", ["x", "", "-1", -1, None, "1.5", 1.5, True])
def test_a_count_that_is_none_names_its_option(value: object) -> None:
    with pytest.raises(ValueError, match=r"max_bytes = .*: expected a whole number, 0 or more"):
        to_count(value, "max_bytes")


def test_flags_may_be_text() -> None:
    assert to_flag("False", "utc") is False
    assert to_flag("on", "utc") is True
    with pytest.raises(ValueError, match="utc = 'maybe': expected yes or no"):
        to_flag("maybe", "utc")


def test_empty_text_is_nothing() -> None:
    assert to_text("", "filename") is None
    with pytest.raises(ValueError, match="filename = 3: expected text"):
        to_text(3, "filename")
