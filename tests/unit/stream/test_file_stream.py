"""Output into files."""
# ruff: noqa: DTZ001 - local time, as the streams write it

from __future__ import annotations

import errno
import logging
import os
import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from circus.stream import FileStream, TimedRotatingFileStream, WatchedFileStream
from circus.stream.base import Unwritten

Made = Any


def chunk(data: bytes, pid: int = 1, name: str = "stdout", **more: Any) -> dict[str, Any]:
    return {"data": data, "pid": pid, "name": name, **more}


@pytest.fixture
def made() -> Any:
    """Makes streams and closes them afterwards."""
    streams = []

    def make(cls: Any, *arguments: Any, **options: Any) -> Any:
        streams.append(cls(*arguments, **options))
        return streams[-1]

    yield make
    for stream in streams:
        stream.close()


def files(folder: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in folder.iterdir()}


class TestWriting:
    def test_bytes_are_written_unchanged_and_at_once(self, tmp_path: Path, made: Made) -> None:
        stream = made(FileStream, str(tmp_path / "log"))
        stream(chunk(b"caf\xc3\xa9 \xff\x00\r\n"))
        stream(chunk(b"no end"))
        assert files(tmp_path) == {"log": b"caf\xc3\xa9 \xff\x00\r\nno end"}

    def test_an_existing_file_is_continued(self, tmp_path: Path, made: Made) -> None:
        (tmp_path / "log").write_bytes(b"old\n")
        made(FileStream, str(tmp_path / "log"))(chunk(b"new\n"))
        assert files(tmp_path) == {"log": b"old\nnew\n"}

    def test_nothing_is_touched_before_it_is_opened(self, tmp_path: Path) -> None:
        FileStream(str(tmp_path / "log"))
        assert files(tmp_path) == {}

    def test_open_creates_the_file(self, tmp_path: Path, made: Made) -> None:
        made(FileStream, str(tmp_path / "log")).open()
        assert files(tmp_path) == {"log": b""}

    def test_open_says_why_it_cannot(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError, match="nowhere"):
            FileStream(str(tmp_path / "nowhere" / "log")).open()

    def test_without_a_name_a_temporary_file_is_used(self, made: Made) -> None:
        stream = made(FileStream)
        stream(chunk(b"x\n"))
        path = Path(stream._filename)
        assert path.read_bytes() == b"x\n"
        path.unlink()

    def test_options_nobody_knows_are_ignored_as_in_0_19(self, tmp_path: Path) -> None:
        FileStream(str(tmp_path / "log"), refresh_time="0.3")

    def test_it_opens_again_after_it_was_closed(self, tmp_path: Path, made: Made) -> None:
        stream = made(FileStream, str(tmp_path / "log"))
        stream(chunk(b"a\n"))
        stream.close()
        stream(chunk(b"b\n"))
        assert files(tmp_path) == {"log": b"a\nb\n"}


class TestLinesOfTwo:
    def test_last_words_without_newline_do_not_tear_the_next_line(self, tmp_path: Path, made: Made) -> None:
        stream = made(FileStream, str(tmp_path / "log"))
        stream(chunk(b"dying wor", pid=1))
        stream(chunk(b"next\n", pid=2))
        assert files(tmp_path) == {"log": b"dying wor\nnext\n"}

    def test_a_line_in_pieces_stays_one_line(self, tmp_path: Path, made: Made) -> None:
        stream = made(FileStream, str(tmp_path / "log"))
        stream(chunk(b"aaa", partial=True))
        stream(chunk(b"bbb\n"))
        assert files(tmp_path) == {"log": b"aaabbb\n"}

    def test_output_and_errors_of_one_process_are_two(self, tmp_path: Path, made: Made) -> None:
        stream = made(FileStream, str(tmp_path / "log"))
        stream(chunk(b"out", name="stdout"))
        stream(chunk(b"err\n", name="stderr"))
        assert files(tmp_path) == {"log": b"out\nerr\n"}

    def test_an_open_line_of_an_earlier_run_is_closed(self, tmp_path: Path, made: Made) -> None:
        (tmp_path / "log").write_bytes(b"killed in the mid")
        made(FileStream, str(tmp_path / "log"))(chunk(b"fresh\n"))
        assert files(tmp_path) == {"log": b"killed in the mid\nfresh\n"}


class TestTimeFormat:
    def test_each_line_is_prefixed(self, tmp_path: Path, made: Made) -> None:
        stream = made(FileStream, str(tmp_path / "log"), time_format="T")
        stream(chunk(b"a\n\nb\n", pid=7))
        assert files(tmp_path) == {"log": b"T [7] | a\nT [7] | \nT [7] | b\n"}

    def test_a_chunk_without_newline_gets_one(self, tmp_path: Path, made: Made) -> None:
        stream = made(FileStream, str(tmp_path / "log"), time_format="T")
        stream(chunk(b"a", pid=7))
        stream(chunk(b"b\n", pid=7))
        assert files(tmp_path) == {"log": b"T [7] | a\nT [7] | b\n"}

    def test_a_line_in_pieces_has_one_prefix(self, tmp_path: Path, made: Made) -> None:
        stream = made(FileStream, str(tmp_path / "log"), time_format="T")
        stream(chunk(b"aaa", partial=True))
        stream(chunk(b"bbb", partial=True))
        stream(chunk(b"c\nd\n"))
        assert files(tmp_path) == {"log": b"T [1] | aaabbbc\nT [1] | d\n"}

    def test_another_process_closes_a_line_in_pieces(self, tmp_path: Path, made: Made) -> None:
        stream = made(FileStream, str(tmp_path / "log"), time_format="T")
        stream(chunk(b"aaa", partial=True))
        stream(chunk(b"x\n", pid=2))
        stream(chunk(b"bbb\n"))
        assert files(tmp_path) == {"log": b"T [1] | aaa\nT [2] | x\nT [1] | bbb\n"}


class TestRotation:
    def test_files_stay_below_the_limit_and_the_oldest_goes(self, tmp_path: Path, made: Made) -> None:
        stream = made(FileStream, str(tmp_path / "log"), max_bytes="10", backup_count="2")
        for number in range(7):
            stream(chunk(b"%d-34\n" % number))
        assert files(tmp_path) == {"log": b"6-34\n", "log.1": b"5-34\n", "log.2": b"4-34\n"}

    def test_one_large_chunk_is_spread_line_by_line(self, tmp_path: Path, made: Made) -> None:
        stream = made(FileStream, str(tmp_path / "log"), max_bytes=11, backup_count=9)
        stream(chunk(b"".join(b"%04d\n" % number for number in range(5))))
        assert files(tmp_path) == {"log": b"0004\n", "log.1": b"0002\n0003\n", "log.2": b"0000\n0001\n"}

    def test_a_line_longer_than_a_file_may_be_is_kept_whole(self, tmp_path: Path, made: Made) -> None:
        stream = made(FileStream, str(tmp_path / "log"), max_bytes=8, backup_count=9)
        stream(chunk(b"a\n" + b"x" * 20 + b"\nb\n"))
        assert files(tmp_path) == {"log": b"b\n", "log.1": b"x" * 20 + b"\n", "log.2": b"a\n"}

    def test_an_existing_file_counts(self, tmp_path: Path, made: Made) -> None:
        (tmp_path / "log").write_bytes(b"12345\n")
        made(FileStream, str(tmp_path / "log"), max_bytes=10, backup_count=1)(chunk(b"6789\n"))
        assert files(tmp_path) == {"log": b"6789\n", "log.1": b"12345\n"}

    def test_a_file_truncated_by_somebody_is_measured_anew(self, tmp_path: Path, made: Made) -> None:
        stream = made(FileStream, str(tmp_path / "log"), max_bytes=10, backup_count=1)
        stream(chunk(b"12345\n"))
        os.truncate(tmp_path / "log", 0)
        stream(chunk(b"6789\n"))
        assert files(tmp_path) == {"log": b"6789\n"}

    def test_without_backups_nothing_is_rotated(self, tmp_path: Path, made: Made) -> None:
        stream = made(FileStream, str(tmp_path / "log"), max_bytes=10)
        stream(chunk(b"12345678\n" * 3))
        assert files(tmp_path) == {"log": b"12345678\n" * 3}

    def test_two_streams_on_one_file_rotate_it_once(self, tmp_path: Path, made: Made) -> None:
        options = {"max_bytes": 12, "backup_count": 9}
        out, err = (made(FileStream, str(tmp_path / "log"), **options) for _ in range(2))
        for number in range(4):
            out(chunk(b"o%03d\n" % number))
            err(chunk(b"e%03d\n" % number, name="stderr"))
        assert files(tmp_path) == {
            "log": b"o003\ne003\n",
            "log.1": b"o002\ne002\n",
            "log.2": b"o001\ne001\n",
            "log.3": b"o000\ne000\n",
        }

    def test_all_lines_are_kept_over_many_rotations(self, tmp_path: Path, made: Made) -> None:
        stream = made(FileStream, str(tmp_path / "log"), max_bytes=1000, backup_count=1000)
        lines = [b"%d %s\n" % (number, b"=" * (number * 7 % 90)) for number in range(2000)]
        for start in range(0, 2000, 17):
            stream(chunk(b"".join(lines[start : start + 17])))
        kept = files(tmp_path)
        assert all(len(content) < 1000 for content in kept.values())
        ordered = [kept["log"]] + [kept[f"log.{number}"] for number in range(1, len(kept))]
        assert b"".join(reversed(ordered)) == b"".join(lines)

    def test_a_rotation_that_fails_loses_nothing_and_is_told_once(
        self, tmp_path: Path, made: Made, caplog: pytest.LogCaptureFixture
    ) -> None:
        stream = made(FileStream, str(tmp_path / "log"), max_bytes=8, backup_count=1)
        (tmp_path / "log.1").mkdir()
        (tmp_path / "log.1" / "in the way").touch()
        with caplog.at_level(logging.ERROR, "circus"):
            for _ in range(4):
                stream(chunk(b"12345\n"))
        assert (tmp_path / "log").read_bytes() == b"12345\n" * 4
        assert [record.getMessage() for record in caplog.records] == [
            f"cannot rotate {tmp_path}/log, it goes on growing: Is a directory"
        ]
        shutil.rmtree(tmp_path / "log.1")
        stream(chunk(b"67890\n"))
        assert files(tmp_path) == {"log": b"67890\n", "log.1": b"12345\n" * 4}


class TestFilesThatGo:
    def test_a_deleted_file_comes_back(self, tmp_path: Path, made: Made) -> None:
        stream = made(FileStream, str(tmp_path / "log"))
        stream(chunk(b"a\n"))
        (tmp_path / "log").unlink()
        stream(chunk(b"b\n"))
        assert files(tmp_path) == {"log": b"b\n"}

    def test_a_vanished_folder_is_an_error_until_it_is_back(self, tmp_path: Path, made: Made) -> None:
        folder = tmp_path / "logs"
        folder.mkdir()
        stream = made(FileStream, str(folder / "log"))
        stream(chunk(b"a\n"))
        shutil.rmtree(folder)
        for _ in range(2):
            with pytest.raises(FileNotFoundError):
                stream(chunk(b"b\n"))
        folder.mkdir()
        stream(chunk(b"c\n"))
        assert files(folder) == {"log": b"c\n"}

    def test_a_moved_file_is_written_on_until_it_is_reopened(self, tmp_path: Path, made: Made) -> None:
        stream = made(FileStream, str(tmp_path / "log"))
        stream(chunk(b"a\n"))
        (tmp_path / "log").rename(tmp_path / "moved")
        stream(chunk(b"b\n"))
        stream.reopen()
        stream(chunk(b"c\n"))
        assert files(tmp_path) == {"moved": b"a\nb\n", "log": b"c\n"}

    def test_a_watched_file_is_followed_at_once(self, tmp_path: Path, made: Made) -> None:
        stream = made(WatchedFileStream, str(tmp_path / "log"))
        stream(chunk(b"a\n"))
        (tmp_path / "log").rename(tmp_path / "moved")
        stream(chunk(b"b\n"))
        assert files(tmp_path) == {"moved": b"a\n", "log": b"b\n"}

    def test_a_full_disk_names_the_file(self, made: Made) -> None:
        stream = made(FileStream, "/dev/full")
        with pytest.raises(OSError, match="No space left on device: '/dev/full'"):
            stream(chunk(b"x\n"))

    def test_what_is_lost_of_a_chunk_is_what_was_not_written(
        self, tmp_path: Path, made: Made, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stream = made(FileStream, str(tmp_path / "log"), max_bytes=30, backup_count=9)
        room = 44
        really = os.write

        def write(fd: int, data: bytes) -> int:
            nonlocal room
            if room == 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            taken = really(fd, data[:room])
            room -= taken
            return taken

        monkeypatch.setattr("circus.stream.outlet.os.write", write)
        with pytest.raises(Unwritten, match=r"No space left on device: .*log") as caught:
            stream(chunk(b"".join(b"line %03d\n" % number for number in range(10))))
        assert (caught.value.size, caught.value.lines) == (46, 6)
        with pytest.raises(Unwritten) as caught:
            stream(chunk(b"more\n"))
        assert (caught.value.size, caught.value.lines) == (5, 1)
        room = 100
        stream(chunk(b"fresh\n"))
        kept = files(tmp_path)
        assert kept["log"].endswith(b"line 004\nfresh\n")
        assert b"".join(kept[name] for name in sorted(kept, reverse=True)).count(b"\n") == 6


class TestNamedPipes:
    def test_one_without_a_reader_is_a_clear_error(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "fifo")
        with pytest.raises(OSError, match="nobody reads from this named pipe") as caught:
            FileStream(str(tmp_path / "fifo")).open()
        assert caught.value.errno == errno.ENXIO

    def test_what_a_slow_reader_leaves_waits_for_it(self, tmp_path: Path, made: Made) -> None:
        os.mkfifo(tmp_path / "fifo")
        reader = os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
        stream = made(FileStream, str(tmp_path / "fifo"))
        sent = b"".join(b"%09d\n" % number for number in range(20_000))
        stream(chunk(sent))
        got = b""
        while stream.pending:
            got += os.read(reader, 65536)
            stream.resume()
        got += os.read(reader, 1 << 20)
        os.close(reader)
        assert got == sent


class Clocked(TimedRotatingFileStream):
    """One whose time we set."""

    moment = datetime(2026, 11, 24, 10, 0, 0)

    @classmethod
    def now(cls) -> datetime:
        return cls.moment


class TestRotationByTime:
    @pytest.fixture(autouse=True)
    def _start(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.patch = monkeypatch
        self.at(10, 0)

    def at(self, hour: int, minute: int, day: int = 24) -> None:
        self.patch.setattr(Clocked, "moment", datetime(2026, 11, day, hour, minute))

    def test_the_file_moves_away_when_its_time_is_over(self, tmp_path: Path, made: Made) -> None:
        stream = made(Clocked, str(tmp_path / "log"), rotate_when="H")
        stream(chunk(b"a\n"))
        self.at(10, 59)
        stream(chunk(b"b\n"))
        self.at(11, 0)
        stream(chunk(b"c\n"))
        assert files(tmp_path) == {"log.2026112410": b"a\nb\n", "log": b"c\n"}

    def test_only_the_newest_stay(self, tmp_path: Path, made: Made) -> None:
        (tmp_path / "log.not-ours").touch()
        stream = made(Clocked, str(tmp_path / "log"), rotate_when="h", backup_count="2")
        for hour in range(10, 15):
            self.at(hour, 0)
            stream(chunk(b"%d\n" % hour))
        assert files(tmp_path) == {
            "log.not-ours": b"",
            "log.2026112412": b"12\n",
            "log.2026112413": b"13\n",
            "log": b"14\n",
        }

    def test_a_relative_name_works(self, tmp_path: Path, made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        stream = made(Clocked, "log", rotate_when="H", backup_count=1)
        for hour in (10, 11, 12):
            self.at(hour, 0)
            stream(chunk(b"%d\n" % hour))
        assert files(tmp_path) == {"log.2026112411": b"11\n", "log": b"12\n"}

    def test_a_name_that_is_taken_is_not_overwritten(self, tmp_path: Path, made: Made) -> None:
        (tmp_path / "log.2026112410").write_bytes(b"earlier\n")
        stream = made(Clocked, str(tmp_path / "log"), rotate_when="H")
        stream(chunk(b"a\n"))
        self.at(11, 0)
        stream(chunk(b"b\n"))
        assert files(tmp_path) == {"log.2026112410": b"earlier\n", "log.2026112410.1": b"a\n", "log": b"b\n"}

    def test_a_file_that_was_there_has_its_time_from_its_last_line(self, tmp_path: Path, made: Made) -> None:
        (tmp_path / "log").write_bytes(b"yesterday\n")
        before = datetime(2026, 11, 23, 9, 0).timestamp()
        os.utime(tmp_path / "log", (before, before))
        made(Clocked, str(tmp_path / "log"), rotate_when="MIDNIGHT")(chunk(b"today\n"))
        assert files(tmp_path) == {"log.20261123": b"yesterday\n", "log": b"today\n"}

    def test_two_streams_on_one_file_rotate_it_once(self, tmp_path: Path, made: Made) -> None:
        out, err = (made(Clocked, str(tmp_path / "log"), rotate_when="H") for _ in range(2))
        out.open()
        err.open()
        for hour in (10, 11):
            self.at(hour, 0)
            out(chunk(b"o%d\n" % hour))
            err(chunk(b"e%d\n" % hour, name="stderr"))
        assert files(tmp_path) == {"log.2026112410": b"o10\ne10\n", "log": b"o11\ne11\n"}


# -- in another program


def taken_over(made: Made, old: Any, *arguments: Any, **options: Any) -> Any:
    """A stream of the same options that goes on where the old one was."""
    record = old.handed()
    old.close()  # as an exec does: nothing is written by that
    new = made(type(old), *arguments, **options)
    new.take_over(record)
    return new


def test_a_line_that_was_begun_is_ended_in_another_program(made: Made, tmp_path: Path) -> None:
    path = tmp_path / "log"
    old = made(FileStream, str(path))
    old(chunk(b"begun ", partial=True))
    new = taken_over(made, old, str(path))
    new(chunk(b"and ended\n"))
    new(chunk(b"next\n", pid=2))
    assert path.read_bytes() == b"begun and ended\nnext\n"


def test_the_line_of_another_is_not_ended_by_that(made: Made, tmp_path: Path) -> None:
    path = tmp_path / "log"
    old = made(FileStream, str(path))
    old(chunk(b"begun", partial=True))
    new = taken_over(made, old, str(path))
    new(chunk(b"other\n", pid=2))
    assert path.read_bytes() == b"begun\nother\n"


def test_what_a_slow_reader_had_not_taken_reaches_it(made: Made, tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        old = made(FileStream, str(path))
        lines = b"".join(b"%06d\n" % number for number in range(30_000))
        old(chunk(lines))
        assert old.pending
        new = taken_over(made, old, str(path))
        assert new.pending
        found = b""
        while True:
            try:
                found += os.read(reader, 1 << 16)
            except BlockingIOError:
                if not new.pending:
                    break
                new.resume()
        assert found == lines
    finally:
        os.close(reader)


def test_a_file_without_a_name_stays_the_same(made: Made) -> None:
    old = made(FileStream)
    old(chunk(b"one\n"))
    name = old.handed()["filename"]
    new = taken_over(made, old)
    new(chunk(b"two\n"))
    assert Path(name).read_bytes() == b"one\ntwo\n"
    Path(name).unlink()


def test_the_time_of_a_rotation_stays(made: Made, tmp_path: Path) -> None:
    path = tmp_path / "log"
    old = made(TimedRotatingFileStream, str(path), rotate_when="H")
    old(chunk(b"one\n"))
    due = old.handed()["rollover_at"]
    os.utime(path, (due - 60, due - 60))  # written last a minute before the hour was over
    new = taken_over(made, old, str(path), rotate_when="H")
    assert new.handed()["rollover_at"] == due


def test_one_that_was_not_open_is_not_opened(made: Made, tmp_path: Path) -> None:
    path = tmp_path / "log"
    taken_over(made, made(FileStream, str(path)), str(path))
    assert not path.exists()
