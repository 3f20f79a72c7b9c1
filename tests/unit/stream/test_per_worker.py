"""One stream for each slot."""

from __future__ import annotations

from pathlib import Path

import pytest

from circus.spec.streams import StreamSpec
from circus.stream import FileStream, get_stream
from circus.stream.per_worker import PerWorker


def made(**options: object) -> PerWorker:
    stream = get_stream(StreamSpec(options=options), variables={"watcher": "web"})
    assert isinstance(stream, PerWorker)
    return stream


@pytest.mark.parametrize("name", ["{watcher}-{wid}", "$(circus.watcher)-$(circus.wid)"])
def test_each_slot_has_its_file(tmp_path: Path, name: str) -> None:
    stream = made(filename=f"{tmp_path}/{name}")
    for wid in (1, 2):
        stream({"data": b"%d\n" % wid, "pid": 7, "name": "stdout", "wid": wid})
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {"web-1": "1\n", "web-2": "2\n"}
    assert stream.stream(2) is stream.stream(2)
    for wid in (1, 2):
        stream.stream(wid).close()


def test_options_that_the_class_refuses_are_refused_at_once() -> None:
    with pytest.raises(ValueError, match="max_bytes = 'x'"):
        made(filename="{wid}", max_bytes="x")


def test_without_variables_braces_are_a_part_of_the_name() -> None:
    assert isinstance(get_stream({"filename": "log-{wid}"}), FileStream)


def test_opening_says_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        made(filename=f"{tmp_path}/no/{{wid}}").open()
