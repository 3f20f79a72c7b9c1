"""Cutting what is read into whole lines."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from circus.stream.pipe import CARRY_LIMIT, Pipe, whole_characters


class End:
    """A read end as a process object has it, which may have no `close`."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def fileno(self) -> int:
        return self.fd


@pytest.fixture
def ends() -> Iterator[tuple[Pipe, int]]:
    reader, writer = os.pipe()
    pipe = Pipe(End(reader), "stdout", 4242, 3)
    yield pipe, writer
    pipe.close()
    os.close(writer)


@pytest.fixture
def pipe(ends: tuple[Pipe, int]) -> Pipe:
    return ends[0]


def test_nothing_to_read_is_not_the_end(ends: tuple[Pipe, int]) -> None:
    pipe, writer = ends
    assert pipe.read(10) is None
    os.write(writer, b"x")
    assert pipe.read(10) == b"x"


def test_whole_lines_pass_unchanged(pipe: Pipe) -> None:
    block = b"one\ntwo\n"
    assert pipe.take(block) == (block, b"")
    assert pipe.take_rest() == b""


def test_the_unfinished_line_waits_for_its_end(pipe: Pipe) -> None:
    assert pipe.take(b"one\ntw") == (b"one\n", b"")
    assert pipe.take(b"o") == (b"", b"")
    assert pipe.take(b"\nthree") == (b"two\n", b"")
    assert pipe.take_rest() == b"three"
    assert pipe.take_rest() == b""


def test_a_line_too_long_is_given_away_in_pieces(pipe: Pipe) -> None:
    lines, piece = pipe.take(b"a\n" + b"x" * CARRY_LIMIT)
    assert (lines, piece) == (b"a\n", b"x" * CARRY_LIMIT)
    assert pipe.take(b"end\n") == (b"end\n", b"")


def test_a_line_too_long_is_cut_between_characters(pipe: Pipe) -> None:
    text = "é".encode() * (CARRY_LIMIT // 2)
    _, piece = pipe.take(b"x" + text)
    assert piece == b"x" + text
    _, piece = pipe.take(b"x" + text[:-1])
    assert piece == b"x" + text[:-2]
    assert pipe.take_rest() == text[-2:-1]


@pytest.mark.parametrize(
    ("text", "size"),
    [
        (b"", 0),
        (b"abc", 3),
        ("aé".encode(), 3),
        ("aé".encode()[:-1], 1),
        ("a€".encode()[:-1], 1),
        ("a€".encode()[:-2], 1),
        ("a😀".encode()[:-1], 1),
        ("a😀".encode()[:-3], 1),
        ("a😀".encode(), 5),
        (b"\x80\x80\x80\x80", 4),
        (b"a\xff", 2),
        (b"\x80", 1),
    ],
)
def test_whole_characters(text: bytes, size: int) -> None:
    assert whole_characters(text) == size


def test_closing_twice_closes_once(ends: tuple[Pipe, int]) -> None:
    pipe, _writer = ends
    pipe.close()
    reader, writer = os.pipe()  # takes the number that became free
    pipe.close()
    os.write(writer, b"x")
    assert os.read(reader, 1) == b"x"
    os.close(reader)
    os.close(writer)
