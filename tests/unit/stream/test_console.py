# ruff: noqa: DTZ001 - local time, as the streams write it
"""Output to our own standard output."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pytest

from circus.stream import FancyStdoutStream, StdoutStream

CHUNK = {"data": b"a\n\nb \xff\n", "pid": 7, "name": "stdout"}


class Clocked(FancyStdoutStream):
    now = staticmethod(lambda: datetime(2026, 11, 24, 3, 20, 58))


def test_bytes_go_out_unchanged(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    StdoutStream()(CHUNK)
    assert capfdbinary.readouterr().out == CHUNK["data"]


def test_what_the_program_printed_before_comes_first(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    sys.stdout.write("first ")
    StdoutStream()(CHUNK)
    assert capfdbinary.readouterr().out.startswith(b"first a\n")


def test_an_object_in_the_place_of_the_output_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    StdoutStream()(CHUNK)
    assert out.getvalue() == "a\n\nb \ufffd\n"


def test_no_output_at_all_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(OSError, match="there is no standard output"):
        StdoutStream()(CHUNK)


def test_fancy_lines_have_colour_time_and_pid(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    Clocked(color="green")(CHUNK)
    start = b"\x1b[0;32;40m2026-11-24 03:20:58 [7] | "
    assert capfdbinary.readouterr().out == start + b"a\x1b[0m\n" + start + b"b \xff\x1b[0m\n"


def test_fancy_takes_a_time_format(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    Clocked(color="white", time_format="%Y")({"data": b"x", "pid": 7})
    assert capfdbinary.readouterr().out == b"\x1b[0;37;40m2026 [7] | x\x1b[0m\n"


@pytest.mark.parametrize("color", [None, "", "pink"])
def test_fancy_chooses_a_colour_where_none_is_given(capfdbinary: pytest.CaptureFixture[bytes], color: str) -> None:
    FancyStdoutStream(color=color)(CHUNK)
    assert re.match(rb"\x1b\[0;3[1-7];40m", capfdbinary.readouterr().out)


def test_a_subclass_of_fancy_may_say_where_and_what(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    class Own(FancyStdoutStream):
        out = sys.__stderr__

        def prefix(self, data: Mapping[str, Any]) -> str:
            return f"{data['name']} of {data['pid']}: "

    Own()({"data": b"x\n", "pid": 7, "name": "stdout"})
    assert capfdbinary.readouterr() == (b"", b"stdout of 7: x\x1b[0m\n")
