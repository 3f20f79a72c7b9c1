# ruff: noqa: DTZ001 - local time, as the streams write it
"""Output to our own standard output."""

from __future__ import annotations

import io
import re
import sys
from datetime import datetime

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


def test_fancy_chooses_a_colour_where_none_is_given(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    FancyStdoutStream()(CHUNK)
    assert re.match(rb"\x1b\[0;3[1-7];40m", capfdbinary.readouterr().out)


def test_an_unknown_colour_is_refused_with_those_known() -> None:
    with pytest.raises(ValueError, match="color = 'pink': expected one of red, green"):
        FancyStdoutStream(color="pink")
