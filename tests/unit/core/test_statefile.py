"""The state file: whatever is in it, only whole lines under a head of this version say something."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from circus.core import statefile
from circus.core.statefile import Gone, Recipe, Socket, Unreadable, Worker

HEAD = statefile.head(boot="b00", machine="m-1", namespace=7, pid=100, started=1000, config="/etc/circus.ini")
WEB = Recipe(
    id=1,
    watcher="web",
    role="worker",
    policy="adopt",
    scope="tree",
    stop_signal=15,
    graceful_timeout=2.5,
    salt="b00",
    options={"cmd": "abcd"},
    sockets=("http",),
    generation=3,
)


def worker(pid: int = 200, **details: object) -> Worker:
    told = {"recipe": 1, "wid": 1, "generation": 4, "pid": pid, "first": 2000, "last": 2001, "time": 1.5} | details
    return Worker(**told)  # type: ignore[arg-type]


WHOLE = statefile.whole(HEAD, [WEB, Socket(name="http", inode=77), worker(), worker(201, wid=2, generation=5)])


def test_what_is_written_is_read() -> None:
    found = statefile.read(WHOLE)
    assert found.head == HEAD
    assert found.recipes == {1: WEB}
    assert found.sockets["http"].inode == 77
    assert list(found.workers.values()) == [worker(), worker(201, wid=2, generation=5)]
    assert found.generations == {"web": 5}
    assert found.unread == 0


def test_a_worker_that_is_gone_is_gone_whoever_has_its_pid_later() -> None:
    again = worker(first=9000, last=9000, generation=9)
    found = statefile.read(WHOLE + b"".join(map(statefile.written, [Gone(pid=200, first=2000, mark="m"), again])))
    assert [each.generation for each in found.workers.values()] == [5, 9]


def test_of_a_socket_the_last_line_counts() -> None:
    found = statefile.read(WHOLE + statefile.written(Socket(name="http", inode=78)))
    assert found.sockets["http"].inode == 78


@pytest.mark.parametrize("cut", range(1, len(statefile.written(worker()))))
def test_a_line_that_is_not_whole_says_nothing(cut: int) -> None:
    text = WHOLE + statefile.written(worker(202, wid=3))[:-cut]
    found = statefile.read(text)
    assert [each.pid for each in found.workers.values()] == [200, 201]
    assert found.unread == (1 if text != WHOLE else 0)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"null",
        b'{"is":"order","pid":1}',
        b'{"is":"worker"}',
        statefile.written(worker(recipe=9)).strip(),
        statefile.written(worker(1)).strip(),
        statefile.written(worker(0)).strip(),
        statefile.written(worker(-1)).strip(),
        statefile.written(worker(first=5, last=4)).strip(),
        statefile.written(worker(first=0, last=4)).strip(),
        b'{"is":"worker","recipe":1,"wid":1,"generation":1,"pid":"200","first":1,"last":1,"time":1}',
        b'{"is":"gone","pid":200}',
    ],
)
def test_a_line_without_sense_is_counted_and_the_others_are_read(line: bytes) -> None:
    found = statefile.read(WHOLE + line + b"\n" + statefile.written(worker(202, wid=3)))
    assert [each.pid for each in found.workers.values()] == [200, 201, 202]
    assert found.unread == 1


def head_with(**other: object) -> bytes:
    return json.dumps(json.loads(statefile.written(HEAD)) | other).encode() + b"\n"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", "it is empty"),
        (statefile.written(HEAD)[:-1], "its first line is not whole"),
        (b"\n", "its first line makes no sense"),
        (b"\x00" * 200 + b"\n", "its first line makes no sense"),
        (b"[watcher:web]\ncmd = x\n", "its first line makes no sense"),
        (b"{}\n", "it is no state file of circusd"),
        (statefile.written(worker()), "it is no state file of circusd"),
        (head_with(version=2), "it is of version 2, and this circusd knows version 1"),
        (head_with(version="two"), "it is of version two, and this circusd knows version 1"),
        (
            b'{"kind":"circus-workers","version":3,"all":"new"}\n',
            "it is of version 3, and this circusd knows version 1",
        ),
        (head_with(pid="x"), "its first line makes no sense"),
        (head_with(machine=None), "its first line makes no sense"),
    ],
)
def test_without_a_head_that_is_understood_nothing_is(text: bytes, why: str) -> None:
    for reading in (statefile.read, statefile.read_head):
        with pytest.raises(Unreadable) as error:
            reading(text + WHOLE.partition(b"\n")[2] if text.endswith(b"\n") else text)
        assert str(error.value) == why


@given(st.lists(st.one_of(st.binary(max_size=60), st.sampled_from(WHOLE.splitlines()))), st.binary(max_size=20))
def test_no_bytes_make_a_worker_that_nobody_wrote(lines: list[bytes], rest: bytes) -> None:
    known = [worker(), worker(201, wid=2, generation=5)]
    try:
        found = statefile.read(b"\n".join([*lines, rest]))
    except Unreadable:
        return
    assert found.head == HEAD
    assert all(each in known for each in found.workers.values())


def test_makings_are_compared_by_the_names_of_options() -> None:
    assert statefile.changed({"cmd": "a", "uid": "b"}, {"cmd": "a", "env.X": "c"}) == ("env.X", "uid")
    assert statefile.changed({"cmd": "a"}, {"cmd": "a"}) == ()


def test_how_far_it_had_come_is_known_when_those_who_were_there_are_not_named_any_more() -> None:
    recipe = structs.replace(WEB, generation=40, latest=7000)
    found = statefile.read(statefile.whole(HEAD, [recipe, worker()]))
    assert found.generations == {"web": 40}
    assert found.latest == 7000


def test_who_was_left_to_himself_stays_known_by_his_mark() -> None:
    found = statefile.read(WHOLE + statefile.written(Gone(pid=200, first=2000, mark="b00:web:1:4")))
    assert found.gone == {"b00:web:1:4"}
