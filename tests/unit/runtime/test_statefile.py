"""The state file on disk: one holds it, what was added is there, and it is never half a file."""

from __future__ import annotations

import os
import pathlib

import pytest

from circus.exc import CircusError
from circus.runtime.statefile import Held, StateFile
from tests.helpers.users import SOMEBODY, as_root


@pytest.fixture
def path(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "workers"


def test_it_is_for_its_owner_alone(path: pathlib.Path) -> None:
    file = StateFile.claim(str(path))
    file.rewrite(b"head\n")
    assert path.stat().st_mode & 0o777 == 0o600
    file.close(remove=False)


def test_what_is_added_is_there_for_the_next(path: pathlib.Path) -> None:
    file = StateFile.claim(str(path))
    assert file.found == b""
    file.rewrite(b"head\n")
    file.append(b"one\n")
    file.append(b"two\n")
    file.close(remove=False)
    following = StateFile.claim(str(path))
    assert following.found == b"head\none\ntwo\n"
    following.close(remove=True)
    assert not path.exists()


def test_while_it_is_held_nobody_else_gets_it_and_can_read_whose_it_is(path: pathlib.Path) -> None:
    file = StateFile.claim(str(path))
    file.rewrite(b"head\n")  # what was locked first is not at the path any more
    file.append(b"one\n")
    with pytest.raises(Held) as held:
        StateFile.claim(str(path))
    assert held.value.text == b"head\none\n"
    file.close(remove=False)
    StateFile.claim(str(path)).close(remove=False)


def test_one_that_was_moved_away_is_left_to_whoever_moved_it(path: pathlib.Path) -> None:
    file = StateFile.claim(str(path))
    file.rewrite(b"mine\n")
    path.rename(path.with_suffix(".moved"))
    path.write_bytes(b"another\n")
    file.close(remove=True)
    assert path.read_bytes() == b"another\n"


def test_what_cannot_be_written_whole_leaves_the_file_as_it_was(path: pathlib.Path, tmp_path: pathlib.Path) -> None:
    file = StateFile.claim(str(path))
    file.rewrite(b"head\n")
    (tmp_path / "workers.new").mkdir()  # in the way of the next one
    with pytest.raises(OSError, match="Is a directory"):
        file.rewrite(b"other\n")
    file.append(b"one\n")
    file.close(remove=False)
    assert path.read_bytes() == b"head\none\n"


def test_what_makes_no_sense_is_kept(path: pathlib.Path) -> None:
    path.write_bytes(b"\x00\x01")
    file = StateFile.claim(str(path))
    assert pathlib.Path(file.put_aside()).read_bytes() == b"\x00\x01"
    file.close(remove=True)


def test_a_link_is_not_followed(path: pathlib.Path, tmp_path: pathlib.Path) -> None:
    (tmp_path / "precious").write_bytes(b"data")
    path.symlink_to(tmp_path / "precious")
    with pytest.raises(CircusError, match="cannot be used"):
        StateFile.claim(str(path))
    assert (tmp_path / "precious").read_bytes() == b"data"


def test_what_is_no_file_is_refused(path: pathlib.Path) -> None:
    os.mkfifo(path)
    with pytest.raises(CircusError, match="that is no file"):
        StateFile.claim(str(path))


@as_root
def test_what_belongs_to_somebody_else_is_not_believed(path: pathlib.Path) -> None:
    path.write_bytes(b"head\n")
    os.chown(path, SOMEBODY, -1)
    with pytest.raises(CircusError, match=f"belongs to uid {SOMEBODY}"):
        StateFile.claim(str(path))


def test_without_a_directory_it_says_so(tmp_path: pathlib.Path) -> None:
    with pytest.raises(CircusError, match="No such file or directory"):
        StateFile.claim(str(tmp_path / "nowhere" / "workers"))
