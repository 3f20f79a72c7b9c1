"""The pid file."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from circus.pidfile import Pidfile
from circus.runtime.tree import Facts

BEYOND = 1 << 30  # no system gives such a pid


def test_it_holds_the_pid_and_everybody_may_read_it(tmp_path: Path) -> None:
    before = os.umask(0o077)
    Pidfile(str(tmp_path / "pid")).create(4242)
    os.umask(before)
    assert (tmp_path / "pid").read_text() == "4242\n"
    assert stat.S_IMODE((tmp_path / "pid").stat().st_mode) == 0o644
    assert [each.name for each in tmp_path.iterdir()] == ["pid"]


def test_the_file_of_a_live_process_stays(tmp_path: Path) -> None:
    path, other = tmp_path / "pid", os.getppid()
    path.write_text(f"{other}\n")
    with pytest.raises(RuntimeError) as caught:
        Pidfile(str(path)).create(os.getpid())
    assert str(caught.value) == (
        f"already running as pid {other}, as the pid file '{path}' says: stop that circusd first, or give this one another "
        f"pidfile; if process {other} is no circusd, remove the file"
    )
    assert path.read_text() == f"{other}\n"


@pytest.mark.parametrize("state", ["Z", "X"])
def test_what_has_ended_and_was_not_waited_for_does_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    (tmp_path / "pid").write_text(f"{os.getppid()}\n")
    told = Facts("circusd", state, 1, 1, 1, 0.0)
    monkeypatch.setattr("circus.pidfile.facts", lambda _: told)
    Pidfile(str(tmp_path / "pid")).create(os.getpid())
    assert (tmp_path / "pid").read_text() == f"{os.getpid()}\n"


def test_a_process_of_which_nothing_may_be_known_is_alive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pid").write_text(f"{os.getppid()}\n")
    monkeypatch.setattr("circus.pidfile.facts", lambda _: None)
    assert Pidfile(str(tmp_path / "pid")).validate() == os.getppid()


def test_a_process_that_we_may_not_signal_is_alive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pid").write_text("1\n")

    def refused(_pid: int, _signum: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", refused)  # these tests may run as root, who may signal everybody
    assert Pidfile(str(tmp_path / "pid")).validate() == 1


@pytest.mark.parametrize("text", [f"{BEYOND}\n", "", "garbage\n", "0\n", "-1\n", "9" * 30])
def test_a_dead_pid_or_garbage_is_overwritten(tmp_path: Path, text: str) -> None:
    (tmp_path / "pid").write_text(text)
    Pidfile(str(tmp_path / "pid")).create(os.getpid())
    assert (tmp_path / "pid").read_text() == f"{os.getpid()}\n"


def test_our_own_pid_is_no_conflict(tmp_path: Path) -> None:
    (tmp_path / "pid").write_text(f"{os.getpid()}\n")
    pidfile = Pidfile(str(tmp_path / "pid"))
    pidfile.create(os.getpid())
    pidfile.unlink()
    assert not (tmp_path / "pid").exists()


def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=f"^{tmp_path}/nowhere doesn't exist. Can't create pidfile$"):
        Pidfile(str(tmp_path / "nowhere" / "pid")).create(1)


def test_a_path_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "pid").mkdir()
    with pytest.raises(RuntimeError, match=r"pid file '.*/pid' cannot be"):
        Pidfile(str(tmp_path / "pid")).create(1)
    assert [each.name for each in tmp_path.iterdir()] == ["pid"]


def test_only_our_own_file_is_removed(tmp_path: Path) -> None:
    pidfile = Pidfile(str(tmp_path / "pid"))
    pidfile.create(os.getpid())
    (tmp_path / "pid").write_text("1\n")
    pidfile.unlink()
    assert (tmp_path / "pid").read_text() == "1\n"


def test_removing_what_is_gone_is_no_error(tmp_path: Path) -> None:
    pidfile = Pidfile(str(tmp_path / "pid"))
    pidfile.create(os.getpid())
    (tmp_path / "pid").unlink()
    pidfile.unlink()


def test_it_can_be_renamed(tmp_path: Path) -> None:
    pidfile = Pidfile(str(tmp_path / "pid"))
    pidfile.create(os.getpid())
    pidfile.rename(str(tmp_path / "other"))
    assert [each.name for each in tmp_path.iterdir()] == ["other"]
    assert pidfile.validate() == os.getpid()


def test_without_a_path_it_lies_in_the_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    Pidfile(None).create(os.getpid())
    assert (tmp_path / f"circusd-{os.getpid()}.pid").read_text() == f"{os.getpid()}\n"
