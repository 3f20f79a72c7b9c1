"""`circusctl import` as it is typed: what is on which stream, and the exit status."""

from __future__ import annotations

import pathlib
import subprocess

from tests.helpers.daemon import script


def imported(directory: pathlib.Path, text: str) -> subprocess.CompletedProcess[str]:
    (directory / "s.conf").write_text(text)
    return subprocess.run([script("circusctl"), "import", "s.conf"], capture_output=True, text=True, cwd=directory)


def test_a_whole_conversion_is_silent(tmp_path: pathlib.Path) -> None:
    done = imported(tmp_path, "[program:a]\ncommand = sleep 1\nautorestart = true\n")
    assert (done.returncode, done.stderr) == (0, "")
    (tmp_path / "circus.ini").write_text(done.stdout)
    checked = subprocess.run([script("circusd"), "--check", "circus.ini"], capture_output=True, text=True, cwd=tmp_path)
    assert (checked.returncode, checked.stdout) == (0, "circus.ini: ok\n")


def test_what_is_lost_is_told_on_standard_error_and_by_the_exit_status(tmp_path: pathlib.Path) -> None:
    done = imported(tmp_path, "[program:a]\ncommand = sleep 1\nautorestart = true\nstdout_syslog = true\n")
    assert done.returncode == 3
    assert done.stderr.startswith("s.conf:4: [program:a] stdout_syslog: not converted: ")
    assert "; NOT CONVERTED: stdout_syslog = true (line 4): " in done.stdout


def test_a_broken_file_gives_nothing_but_its_mistakes(tmp_path: pathlib.Path) -> None:
    done = imported(tmp_path, "[program:a]\ncommand sleep\n")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: s.conf:2: 'command sleep': an option is written NAME = VALUE\n"


def test_the_file_has_to_be_named(tmp_path: pathlib.Path) -> None:
    done = subprocess.run([script("circusctl"), "import"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == "Invalid number of arguments\nusage: circusctl import FILE\n"
