"""From a stream's configuration to the stream."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from circus.spec.streams import StreamSpec
from circus.stream import FileStream, QueueStream, StdoutStream, TimedRotatingFileStream, get_stream


def test_a_filename_alone_is_a_file_stream(tmp_path: Path) -> None:
    stream = get_stream(StreamSpec(options={"filename": str(tmp_path / "log"), "max_bytes": "10"}))
    assert isinstance(stream, FileStream)
    assert stream._max_bytes == 10


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("FileStream", {}),
        ("WatchedFileStream", {"filename": "x"}),
        ("TimedRotatingFileStream", {"rotate_when": "D", "utc": "False"}),
        ("StdoutStream", {}),
        ("FancyStdoutStream", {"color": "red"}),
        ("QueueStream", {}),
    ],
)
def test_built_in_classes_by_name(name: str, options: dict[str, Any]) -> None:
    assert type(get_stream(StreamSpec(cls=name, options=options))).__name__ == name


@pytest.mark.parametrize("path", ["circus.stream.StdoutStream", "circus.stream.console:StdoutStream"])
def test_any_class_by_its_path(path: str) -> None:
    assert isinstance(get_stream(StreamSpec(cls=path)), StdoutStream)


def test_an_object_is_taken_as_it_is() -> None:
    stream = QueueStream()
    assert get_stream(StreamSpec(stream=stream)) is stream


@pytest.mark.parametrize("nothing", [None, {}])
def test_no_configuration_is_no_stream(nothing: Any) -> None:
    assert get_stream(nothing) is None


def test_a_mapping_is_taken_as_in_0_19_and_left_alone() -> None:
    conf = {"class": "FileStream", "filename": "x", "backup_count": "3"}
    stream = get_stream(conf)
    assert isinstance(stream, FileStream)
    assert stream._backup_count == 3
    assert conf["class"] == "FileStream"


@pytest.mark.parametrize("name", ["log-{wid}", "log-$(circus.wid)", "log-((circus.WID))"])
def test_variables_are_filled_into_options(name: str) -> None:
    stream = get_stream(StreamSpec(options={"filename": name + "-{other}"}), variables={"wid": "3"})
    assert isinstance(stream, FileStream)
    assert stream._filename == "log-3-{other}"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (StreamSpec(), "stream configuration invalid: it has no class, no stream and no filename"),
        (StreamSpec(stream=3), "stream configuration invalid: stream is 3, which cannot be called"),
        (
            StreamSpec(cls="Nope"),
            "stream configuration invalid: Nope: there is no such class; the built-in ones are Fi",
        ),
        (
            StreamSpec(cls="no.such.Thing"),
            "invalid: no.such.Thing: cannot find 'no.such.Thing': there is no module 'no' (PYTHONPATH?)",
        ),
        (
            StreamSpec(cls="circus.stream.Nope"),
            "invalid: circus.stream.Nope: cannot find 'circus.stream.Nope': 'circus.stream' has no",
        ),
        (StreamSpec(cls="circus.exc.OS_ERROR"), "circus.exc.OS_ERROR: is not a class"),
        (StreamSpec(cls="circus.exc.CircusError"), "circus.exc.CircusError: its instances cannot be called"),
        (
            StreamSpec(options={"filename": "x", "max_bytes": "1k"}),
            "stream configuration invalid: FileStream: max_bytes = '1k': expected a whole number, 0 or more",
        ),
        (StreamSpec(cls="TimedRotatingFileStream"), "TimedRotatingFileStream: rotate_when = None: expected S, M"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(spec: StreamSpec, message: str) -> None:
    with pytest.raises(ValueError, match="stream configuration invalid") as caught:
        get_stream(spec)
    assert message in str(caught.value)


def test_options_that_a_class_refuses_are_said() -> None:
    with pytest.raises(ValueError, match=r"stream configuration invalid: queue\.Queue: .*filename"):
        get_stream(StreamSpec(cls="queue.Queue", options={"filename": "x"}))


def test_a_class_is_taken_as_it_is_now_when_that_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    module = tmp_path / "changing_streams.py"
    spec = StreamSpec(cls="changing_streams.Stream")
    for number in (1, 2):
        module.write_text(f"class Stream:\n    number = {number}\n    def __call__(self, data): pass\n" + "#" * number)
        stream: Any = get_stream(spec, reload=number == 2)
        assert stream.number == number
    del sys.modules["changing_streams"]


@pytest.mark.parametrize("raised", ["KeyError('x')", "SystemExit(3)", "OSError(13, 'Permission denied')"])
def test_whatever_a_class_of_somebody_else_raises_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raised: str
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "raising_streams.py").write_text(f"def make(**options): raise {raised}\n")
    with pytest.raises(ValueError, match=r"stream configuration invalid: raising_streams\.make: ") as caught:
        get_stream(StreamSpec(cls="raising_streams.make"))
    assert raised.partition("(")[0] in str(caught.value) or "Permission denied" in str(caught.value)
    del sys.modules["raising_streams"]


def test_options_of_the_clock_are_typed() -> None:
    stream = get_stream(StreamSpec(cls="TimedRotatingFileStream", options={"rotate_when": "w0", "utc": "no"}))
    assert isinstance(stream, TimedRotatingFileStream)
    assert stream._schedule.utc is False


def test_a_queue_gets_each_chunk_as_it_came() -> None:
    stream = QueueStream(anything="ignored")
    chunk = {"data": b"x", "pid": 1, "name": "stdout"}
    stream(chunk)
    assert stream.get_nowait() is chunk
