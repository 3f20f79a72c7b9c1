"""The last lines, numbered and bounded."""

from __future__ import annotations

from circus.stream import ring as subject
from circus.stream.ring import Lines, Ring, Rings, split


def texts(found: list[Lines]) -> list[str]:
    return [line for chunk in found for line in chunk.lines]


def filled(*chunks: bytes, pid: int = 7) -> Ring:
    ring = Ring()
    for chunk in chunks:
        ring.add(chunk, len(split(chunk)), pid)
    return ring


def test_the_last_lines_come_in_order_with_their_numbers() -> None:
    ring = filled(b"a\nb\n", b"c\n", b"d\ne\nf\n")
    assert ring.following == 6
    found = ring.read(last=5)
    assert [(each.seq, each.lines, each.pid) for each in found] == [
        (1, ["b"], 7),
        (2, ["c"], 7),
        (3, ["d", "e", "f"], 7),
    ]


def test_none_are_wanted_and_none_are_there() -> None:
    assert filled(b"a\n").read(last=0) == []
    assert Ring().read(last=10) == []


def test_lines_from_a_number_on() -> None:
    ring = filled(b"a\nb\n", b"c\nd\n")
    assert texts(ring.read(since=1)) == ["b", "c", "d"]
    assert texts(ring.read(since=3)) == ["d"]
    assert ring.read(since=4) == []
    assert ring.read(since=9) == []


def test_the_lines_of_one_process() -> None:
    ring = filled(b"old\n", pid=1)
    ring.add(b"new\n", 1, 2)
    assert texts(ring.read(last=5, pid=2)) == ["new"]
    assert texts(ring.read(last=5, pid=3)) == []


def test_empty_lines_are_lines_and_what_has_no_end_is_one_too() -> None:
    assert texts(filled(b"\n\na\n", b"rest").read()) == ["", "", "a", "rest"]


def test_bytes_that_are_no_text_are_shown_as_such() -> None:
    assert split(b"caf\xc3\xa9 \xff\r\n") == ["café \ufffd\r"]


def test_no_more_than_so_many_bytes_stay_and_the_numbers_stay_right() -> None:
    line = b"x" * 99 + b"\n"
    ring = filled(*[line * 10] * 1000)
    found = ring.read()
    kept = texts(found)
    assert subject.BYTES - 1000 <= 100 * len(kept) <= subject.BYTES
    assert found[0].seq == 10_000 - len(kept)
    assert ring.following == 10_000


def test_of_a_large_chunk_its_end_stays_from_the_beginning_of_a_line_on() -> None:
    chunk = b"".join(b"%07d\n" % number for number in range(20_000))
    found = filled(chunk).read()
    assert found[0].lines[0] == f"{found[0].seq:07d}"
    assert found[-1].lines[-1] == "0019999"
    assert subject.BYTES - 8 <= 8 * len(texts(found)) <= subject.BYTES


def test_of_a_line_that_is_too_long_its_end_stays() -> None:
    (line,) = texts(filled(b"a" * 50_000 + b"end\n").read())
    assert line.endswith("aend")
    assert len(line) == subject.BYTES - 1


def test_nothing_stays_from_before_a_line_that_is_too_long() -> None:
    found = filled(b"a\n", b"x" * subject.BYTES + b"\n\n").read()
    assert [(each.seq, each.lines) for each in found] == [(2, [""])]


def test_no_more_than_so_many_chunks_stay() -> None:
    ring = filled(*(b"%d\n" % number for number in range(2000)))
    assert texts(ring.read()) == [str(number) for number in range(2000 - subject.CHUNKS, 2000)]


def test_a_slot_keeps_its_ring() -> None:
    rings = Rings()
    ring = rings.of(2, "stdout")
    assert rings.of(2, "stdout") is ring is rings.find(2, "stdout")
    assert rings.find(2, "stderr") is None
    rings.of(1, "stderr")
    assert rings.known() == [(1, "stderr"), (2, "stdout")]
