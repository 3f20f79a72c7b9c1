"""Cutting what is read into whole lines."""

from __future__ import annotations

import contextlib
import fcntl
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


def test_a_flooded_pipe_grows_and_is_read_in_larger_portions_while_it_is_the_only_one(
    ends: tuple[Pipe, int],
) -> None:
    pipe, writer = ends
    os.set_blocking(writer, False)

    def round_trip() -> int:
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(writer, b"x" * 65536)
        return len(pipe.read(65536) or b"")

    assert [round_trip() for _ in range(16)] == [65536] * 16
    assert Pipe.floods == 1
    assert fcntl.fcntl(writer, fcntl.F_GETPIPE_SZ) == 131_072
    assert round_trip() == 131_072
    Pipe.floods += 1
    assert round_trip() == 65536
    Pipe.floods -= 1
    while pipe.read(65536) is not None:
        pass
    for _ in range(20):
        os.write(writer, b"calm\n")
        assert pipe.read(65536) == b"calm\n"
    assert Pipe.floods == 0


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


def test_what_is_closed_reads_nothing_although_its_number_is_used_again(ends: tuple[Pipe, int]) -> None:
    pipe, _ = ends
    pipe.close()
    reader, writer = os.pipe()
    assert reader == pipe.fd
    os.write(writer, b"of somebody else")
    assert pipe.read(100) == b""
    assert os.read(reader, 100) == b"of somebody else"
    os.close(reader)
    os.close(writer)


def test_closing_twice_closes_once(ends: tuple[Pipe, int]) -> None:
    pipe, _writer = ends
    pipe.close()
    reader, writer = os.pipe()  # takes the number that became free
    pipe.close()
    os.write(writer, b"x")
    assert os.read(reader, 1) == b"x"
    os.close(reader)
    os.close(writer)
