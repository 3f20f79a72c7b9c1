"""Writing without waiting for whoever reads."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from circus.stream.outlet import PENDING_LIMIT, Outlet

SENT = b"".join(b"%09d\n" % number for number in range(30_000))


@pytest.fixture(params=["blocking", "not blocking"])
def pipe(request: pytest.FixtureRequest) -> Iterator[tuple[int, Outlet]]:
    """The read end and an outlet on the other, which blocks by itself or not."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, request.param == "blocking")
    yield reader, Outlet(writer)
    os.close(writer)
    os.close(reader)


def test_what_a_full_pipe_does_not_take_waits_and_leaves_in_order(pipe: tuple[int, Outlet]) -> None:
    reader, outlet = pipe
    outlet.write(SENT)
    assert 0 < len(outlet.pending) < len(SENT)
    outlet.write(b"and more\n")
    got = b""
    while outlet.pending:
        got += os.read(reader, 50_000)
        outlet.flush()
    got += os.read(reader, 1 << 20)
    assert got == SENT + b"and more\n"


def test_two_that_share_a_full_pipe_tear_none_of_their_lines() -> None:
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    ours, theirs = Outlet(writer), Outlet(os.dup(writer))
    ours.write(SENT)
    theirs.write(SENT)
    got = b""
    while ours.pending or theirs.pending:
        got += os.read(reader, 10_000)
        theirs.flush()
        ours.flush()
    got += os.read(reader, 1 << 20)
    for fd in (reader, ours.fd, theirs.fd):
        os.close(fd)
    assert sorted(got.splitlines()) == sorted(SENT.splitlines() * 2)


def test_more_than_the_limit_is_refused_whole(pipe: tuple[int, Outlet]) -> None:
    _reader, outlet = pipe
    outlet.write(b"x" * (PENDING_LIMIT + 1))
    before = len(outlet.pending)
    with pytest.raises(BlockingIOError, match="its reader is too slow"):
        outlet.write(b"y" * PENDING_LIMIT)
    assert len(outlet.pending) == before


def test_a_reader_that_is_gone_is_an_error_and_loses_what_waited() -> None:
    reader, writer = os.pipe()
    outlet = Outlet(writer)
    outlet.write(SENT)
    os.close(reader)
    with pytest.raises(BrokenPipeError):
        outlet.flush()
    assert not outlet.pending
    outlet.close()


def test_it_knows_whether_the_last_line_is_open(tmp_path: Path) -> None:
    outlet = Outlet(os.open(tmp_path / "file", os.O_WRONLY | os.O_CREAT))
    seen = []
    for block in (b"a", b"b\n", b""):
        outlet.write(block)
        seen.append(outlet.ends_open)
    outlet.close()
    assert seen == [True, False, False]


def test_it_knows_the_path_it_writes_to(tmp_path: Path) -> None:
    path = tmp_path / "file"
    outlet = Outlet(os.open(path, os.O_WRONLY | os.O_CREAT))
    assert outlet.is_at(str(path))
    path.rename(tmp_path / "moved")
    assert not outlet.is_at(str(path))
    path.touch()
    assert not outlet.is_at(str(path))
    outlet.close()
