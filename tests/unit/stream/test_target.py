"""The health of a stream."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import pytest

from circus.stream.base import BaseStream
from circus.stream.target import Target

CHUNK = {"data": b"one\ntwo\n", "pid": 1, "name": "stdout"}


class Moody:
    """A stream that raises what it is told to."""

    def __init__(self) -> None:
        self.error: BaseException | None = None
        self.got: list[bytes] = []

    def __call__(self, data: Mapping[str, Any]) -> None:
        if self.error is not None:
            raise self.error
        self.got.append(data["data"])


class Slow(BaseStream):
    """A stream that keeps everything and gives nothing away."""

    def __init__(self) -> None:
        self.kept = bytearray()

    def __call__(self, data: Mapping[str, Any]) -> None:
        self.kept += data["data"]

    @property
    def pending(self) -> bytearray:
        return self.kept

    def discard(self) -> None:
        self.kept.clear()


def target(writer: Any, dropped: list[tuple[str, int, int, str]] | None = None) -> Target:
    told = [] if dropped is None else dropped
    return Target(writer, "stdout of web", lambda _target: None, lambda *drop: told.append(drop))


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyError("x"), SystemExit(1)])
def test_what_a_stream_raises_is_counted_and_goes_no_further(error: BaseException) -> None:
    moody, dropped = Moody(), []
    moody.error = error
    subject = target(moody, dropped)
    subject.send(CHUNK)
    assert [drop[:3] for drop in dropped] == [("stdout", 8, 2)]
    assert subject.dropped_bytes == 8


def test_an_outage_is_told_once_and_its_end_too(caplog: pytest.LogCaptureFixture) -> None:
    moody = Moody()
    subject = target(moody)
    with caplog.at_level(logging.WARNING, "circus"):
        moody.error = OSError(28, "No space left on device", "/var/log/web.log")
        for _ in range(3):
            subject.send(CHUNK)
        moody.error = None
        for _ in range(3):
            subject.send(CHUNK)
    assert [record.getMessage() for record in caplog.records] == [
        "stdout of web is lost until it can be written again: /var/log/web.log: No space left on device",
        "stdout of web is written again; 24 bytes were lost",
    ]
    assert len(moody.got) == 3


def test_a_stream_that_fails_again_and_again_does_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    moody = Moody()
    subject = target(moody)
    with caplog.at_level(logging.WARNING, "circus"):
        for _ in range(10):
            moody.error = ValueError("no")
            subject.send(CHUNK)
            moody.error = None
            subject.send(CHUNK)
    assert len(caplog.records) == 2


def test_a_stream_that_cannot_be_opened_is_told_and_nothing_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    class Closed(Moody):
        def open(self) -> None:
            raise OSError(2, "No such file or directory", "/nowhere/log")

    dropped: list[tuple[str, int, int, str]] = []
    with caplog.at_level(logging.WARNING, "circus"):
        target(Closed(), dropped).open()
    assert not dropped
    assert "/nowhere/log: No such file or directory" in caplog.text


def test_without_a_stream_everything_is_thrown_away_uncounted() -> None:
    subject = target(None)
    assert subject.send(CHUNK) is False
    assert subject.dropped_bytes == 0


def test_a_stream_with_something_pending_asks_for_patience() -> None:
    assert target(Slow()).send(CHUNK) is True
    assert target(Moody()).send(CHUNK) is False


def test_what_is_pending_when_we_give_up_is_counted() -> None:
    slow, dropped = Slow(), []
    subject = target(slow, dropped)
    subject.send(CHUNK)
    subject.give_up()
    assert dropped == [("stdout", 8, 2, "TimeoutError: its reader is too slow")]
    assert not slow.kept


class Classic:
    """A stream of a third party: it can be opened and closed, and knows nothing else."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def __call__(self, data: Mapping[str, Any]) -> None:
        self.calls.append(str(sorted(data)))

    def open(self) -> None:
        self.calls.append("open")

    def close(self) -> None:
        self.calls.append("close")


def test_a_stream_that_cannot_be_reopened_is_closed_and_opened() -> None:
    classic = Classic()
    target(classic).reopen()
    assert classic.calls == ["close", "open"]


def test_closing_gives_up_what_is_pending_and_closes_the_stream() -> None:
    classic = Classic()
    target(classic).close()
    assert classic.calls == ["close"]


@pytest.mark.parametrize("error", [KeyError("no"), SystemExit(1)])
def test_a_stream_that_fails_to_close_is_told_and_goes_no_further(
    caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    class Stubborn(Classic):
        def close(self) -> None:
            raise error

    target(Stubborn()).close()
    assert "cannot close the stream" in caplog.text
