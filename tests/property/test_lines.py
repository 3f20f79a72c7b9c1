"""However output is cut into writes, reads and files: every byte arrives once, in order, and no line is torn."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from circus.stream import FileStream
from circus.stream import ring as rings
from circus.stream.pipe import CARRY_LIMIT, Pipe
from circus.stream.ring import Ring

LINE = st.one_of(
    st.binary(max_size=40).map(lambda text: text.replace(b"\n", b" ")),
    st.text(alphabet="aé€😀", min_size=1, max_size=30).map(str.encode),
    st.integers(1, 3).map(lambda times: b"x" * (CARRY_LIMIT // 2 * times)),
)
SHORT = LINE.map(lambda line: line[:300]) | st.integers(rings.BYTES - 3, rings.BYTES + 3).map(lambda size: b"x" * size)
OUTPUT = st.lists(LINE, max_size=40).map(b"\n".join)
CUTS = st.lists(st.integers(1, 100_000), max_size=60)


def cut(text: bytes, sizes: list[int]) -> list[bytes]:
    """The text in pieces of these sizes, and what is left."""
    pieces, start = [], 0
    for size in sizes:
        pieces.append(text[start : start + size])
        start += size
    return [piece for piece in [*pieces, text[start:]] if piece]


class End:
    def __init__(self) -> None:
        self.fd = os.open(os.devnull, os.O_RDONLY)

    def fileno(self) -> int:
        return self.fd


@settings(deadline=None, max_examples=50)
@given(text=OUTPUT, sizes=CUTS)
def test_what_a_pipe_gives_away_is_what_was_read_in_whole_lines(text: bytes, sizes: list[int]) -> None:
    pipe = Pipe(End(), "stdout", 1, 1)
    given_away: list[bytes] = []
    open_line = 0
    for block in cut(text, sizes):
        lines, piece = pipe.take(block)
        assert lines.endswith(b"\n") or not lines
        assert b"\n" not in piece
        open_line = len(piece) + (open_line if not lines else 0)
        given_away += [lines, piece]
        assert len(pipe.unfinished) < CARRY_LIMIT
        # A piece is only given away of a line that is too long, and never ends within a character.
        assert not piece or open_line >= CARRY_LIMIT - 3
    given_away.append(pipe.take_rest())
    pipe.close()
    assert b"".join(given_away) == text


@settings(deadline=None, max_examples=50)
@given(
    writers=st.lists(st.tuples(st.integers(1, 3), st.lists(LINE, min_size=1, max_size=5)), max_size=15),
    limit=st.integers(2, 300),
)
def test_a_file_that_rotates_keeps_every_line_of_everybody_whole(
    writers: list[tuple[int, list[bytes]]], limit: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        stream = FileStream(f"{folder}/log", max_bytes=limit, backup_count=10_000)
        for pid, lines in writers:
            stream({"data": b"".join(line + b"\n" for line in lines), "pid": pid, "name": "stdout", "wid": pid})
        stream.close()
        found = {int(path.suffix[1:] or 0): path.read_bytes() for path in Path(folder).iterdir()}
        for content in found.values():
            assert len(content) < limit or content.count(b"\n") == 1
            assert content.endswith(b"\n") or not content
        written = b"".join(found[number] for number in sorted(found, reverse=True))
    assert written == b"".join(line + b"\n" for _, lines in writers for line in lines)


@settings(deadline=None, max_examples=50)
@given(
    chunks=st.lists(st.lists(SHORT, min_size=1, max_size=20), max_size=20),
    since=st.integers(0, 500),
    last=st.integers(0, 50),
)
def test_a_ring_keeps_the_end_and_its_numbers(chunks: list[list[bytes]], since: int, last: int) -> None:
    ring, said = Ring(), []
    for number, lines in enumerate(chunks):
        ring.add(b"".join(line + b"\n" for line in lines), len(lines), number)
        said += [line.decode("utf-8", "replace") for line in lines]
    assert ring.following == len(said)
    for found in (ring.read(), ring.read(since=since), ring.read(last=last), ring.read(since=since, last=last)):
        kept = [line for chunk in found for line in chunk.lines]
        first = found[0].seq if found else len(said)
        assert len(kept) == len(said) - first if found else True
        whole = kept[1:] if kept and len(kept[0]) >= rings.BYTES - 1 else kept
        assert whole == said[len(said) - len(whole) :]
        following = first
        for chunk in found:
            assert chunk.seq == following
            following += len(chunk.lines)
    assert all(chunk.seq >= min(since, len(said)) for chunk in ring.read(since=since))
    assert sum(len(chunk.lines) for chunk in ring.read(last=last)) <= last
