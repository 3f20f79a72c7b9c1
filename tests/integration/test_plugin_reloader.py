"""CommandReloader in the real circusd: a changed file of a command restarts its watcher, and nothing else does."""

from __future__ import annotations

import os
import pathlib
import sys
import textwrap

import pytest

from tests.conftest import CircusD
from tests.helpers.daemon import Daemon
from tests.helpers.waiting import wait_until

SECTION = "\n[plugin:reloader]\nuse = circus.plugins.command_reloader.CommandReloader\nloop_rate = 0.1\n"
SLEEPER = "import signal\nsignal.pause()\n"


@pytest.fixture
def scripts(tmp_path: pathlib.Path) -> pathlib.Path:
    """A directory of programs that wait."""
    directory = tmp_path / "scripts"
    directory.mkdir()
    for name in ("app.py", "other.py", "data.txt"):
        (directory / name).write_text(SLEEPER)
    program = directory / "program"
    program.write_text(f"#!{sys.executable}\n{SLEEPER}")
    program.chmod(0o755)
    return directory


def started(circusd: CircusD, watchers: str) -> Daemon:
    """A daemon whose plugin has looked once: it has restarted the canary, whose file is new each time."""
    canary = """
        [watcher:canary]
        cmd = sh canary.sh
    """
    daemon = circusd(textwrap.dedent(watchers) + textwrap.dedent(canary) + SECTION, start=False)
    file = daemon.directory / "canary.sh"
    file.write_text("exec sleep 1000\n")
    daemon.start()
    wait_looked(daemon)
    return daemon


def wait_looked(daemon: Daemon) -> None:
    """The plugin has made a whole round since this was called."""
    for _ in range(2):
        before = daemon.log_text().count("canary: ")

        def seen(before: int = before) -> bool:
            with (daemon.directory / "canary.sh").open("a") as file:
                file.write("\n")
            return daemon.log_text().count("canary: ") > before

        wait_until(seen, what=daemon.log_text, pause=0.05)


@pytest.mark.parametrize(
    ("command", "file"),
    [
        ("./program --some arguments", "program"),
        ("python app.py --data data.txt", "app.py"),
        ("env MODE=x nice -n 1 python -u -W ignore app.py data.txt", "app.py"),
        ("python -m app", "app.py"),
    ],
)
def test_a_changed_file_restarts_its_watcher_alone(
    circusd: CircusD, scripts: pathlib.Path, command: str, file: str
) -> None:
    path = f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}"
    watchers = f"""
        [watcher:Web]
        cmd = {command}
        working_dir = {scripts}
        copy_env = True
        [watcher:other]
        cmd = {sys.executable} other.py
        working_dir = {scripts}
        [env]
        PATH = {path}
    """
    daemon = started(circusd, watchers)
    web, other = daemon.wait_pids("web", 1), daemon.wait_pids("other", 1)
    (scripts / "data.txt").write_text("more")
    wait_looked(daemon)
    assert daemon.pids("web") == web
    with (scripts / file).open("a") as changed:
        changed.write("# changed\n")
    daemon.wait_pids("web", 1, without=web)
    assert daemon.pids("other") == other


def test_another_file_at_the_same_place_restarts_too(circusd: CircusD, scripts: pathlib.Path) -> None:
    for release in ("one", "two"):
        (scripts / release).mkdir()
        (scripts / release / "app.py").write_text(SLEEPER)
    current = scripts / "current"
    current.symlink_to("one")
    daemon = started(circusd, f"[watcher:web]\ncmd = {sys.executable} {current}/app.py\n")
    web = daemon.wait_pids("web", 1)
    current.unlink()
    wait_looked(daemon)
    assert daemon.pids("web") == web  # gone is not changed
    current.symlink_to("two")
    daemon.wait_pids("web", 1, without=web)


def test_a_stopped_watcher_is_not_started_by_a_change(circusd: CircusD, scripts: pathlib.Path) -> None:
    daemon = started(circusd, f"[watcher:web]\ncmd = {sys.executable} {scripts}/app.py\nautostart = False\n")
    (scripts / "app.py").write_text(SLEEPER + "\n")
    wait_looked(daemon)
    assert daemon.status("web") == "stopped"


def test_commands_that_lead_nowhere_do_not_keep_it_from_the_others(circusd: CircusD, scripts: pathlib.Path) -> None:
    watchers = f"""
        [watcher:a]
        cmd = /does/not/exist --at all
        [watcher:b]
        cmd = sh -c "exec sleep 1000"
        [watcher:d]
        cmd = {sys.executable} {scripts}/app.py
    """
    daemon = started(circusd, watchers)
    pids = daemon.wait_pids("d", 1)
    (scripts / "app.py").write_text(SLEEPER + "\n")
    daemon.wait_pids("d", 1, without=pids)
    assert "Traceback" not in daemon.log_text()
