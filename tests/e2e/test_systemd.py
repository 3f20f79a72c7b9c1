"""The unit of the guide in a real systemd: a user instance in namespaces of its own, where nothing of the machine is."""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from tests.helpers import proc, real
from tests.helpers.daemon import REPOSITORY
from tests.helpers.session import read
from tests.helpers.waiting import DEADLINE, wait_until

PAGE = (REPOSITORY / "docs/guides/systemd.md").read_text()
UNITS = [block.text for block in read(PAGE) if block.language == "systemd"]
BIN = pathlib.Path(sys.executable).parent
NAMESPACES = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
MANAGER = pathlib.Path("/lib/systemd/systemd")
INI = """\
[circus]
endpoint = auto
pubsub_endpoint = auto
stats_endpoint = auto

[watcher:web]
cmd = python3 -c "import signal, sys; signal.signal(15, lambda *_: (print('asked', flush=True), sys.exit())); print('up', flush=True); signal.pause()"
copy_env = True
stdout_stream.filename = web.log
"""

pytestmark = pytest.mark.real


def unit(directory: pathlib.Path) -> str:
    """The unit of the guide, for this installation and a directory of ours."""
    text = UNITS[0].replace("/opt/circus/bin", str(BIN)).replace("/etc/circus", str(directory))
    return text.replace(
        "[Service]\n", f"[Service]\nWorkingDirectory={directory}\nEnvironment=PATH={os.environ['PATH']}\n"
    )


def test_systemd_finds_nothing_wrong_with_the_units(tmp_path: pathlib.Path) -> None:
    analyze = real.program("systemd-analyze", "systemd")
    (tmp_path / "circus.ini").write_text(INI)
    main = tmp_path / "circusd.service"
    for more in ("", UNITS[1]):
        main.write_text(unit(tmp_path).replace("[Install]", f"{more}\n[Install]"))
        done = subprocess.run([analyze, "verify", "--man=no", main], capture_output=True, text=True)
        ours = [line for line in done.stderr.splitlines() if "circusd" in line or str(tmp_path) in line]
        assert not ours


class Manager:
    """systemd with our unit, and commands inside its namespaces."""

    def __init__(self, directory: pathlib.Path) -> None:
        self.directory = directory
        (directory / "circus.ini").write_text(INI)
        units = directory / "units"
        units.mkdir()
        (units / "circusd.service").write_text(unit(directory))
        script = (
            "mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/system && mkdir -m 700 /run/user && "
            f"{MANAGER} --user --unit=circusd.service --log-level=info --log-target=console; true"  # PID 1 would be of the system
        )
        self.env = {
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "HOME": str(directory),
            "XDG_RUNTIME_DIR": "/run/user",
            "SYSTEMD_UNIT_PATH": f"{units}:/usr/lib/systemd/user",
        }
        self.log = directory / "systemd.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*NAMESPACES, "bash", "-c", script], env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self.pid = next(iter(wait_until(lambda: proc.children(self.process.pid), what=self.log.read_text)))
        wait_until(lambda: self.run("systemctl", "--user", "is-active", "circusd").returncode == 0, what=self.told)

    def told(self) -> str:
        return self.run("systemctl", "--user", "status", "circusd").stdout + self.log.read_text()

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        inside = ["nsenter", "--target", str(self.pid), "--mount", "--pid", *words]
        return subprocess.run(
            inside, env=self.env, capture_output=True, text=True, timeout=2 * DEADLINE, cwd=self.directory
        )

    def ok(self, *words: str) -> str:
        done = self.run(*words)
        assert done.returncode == 0, (words, done.stdout, done.stderr, self.told())
        return done.stdout

    def output(self) -> list[str]:
        path = self.directory / "web.log"
        return path.read_text().splitlines() if path.exists() else []

    def below(self, name: str) -> set[int]:
        """The processes with that word in their command line, as they are seen from here."""
        return {pid for pid in proc.descendants(self.process.pid) if name in proc.describe(pid) and proc.alive(pid)}

    def close(self) -> None:
        self.process.kill()  # and with it, by --kill-child, all in the namespace
        self.process.wait(DEADLINE)


@pytest.fixture
def manager(tmp_path: pathlib.Path) -> Iterator[Manager]:
    if not MANAGER.exists() or shutil.which("nsenter") is None:
        real.missing(
            "systemd is not installed: apt-get install --no-install-recommends systemd (or: make test, as root)"
        )
    if subprocess.run([*NAMESPACES, "true"], capture_output=True).returncode:
        pytest.skip("making namespaces takes root")
    made = Manager(tmp_path)
    yield made
    made.close()


def test_the_unit_starts_reloads_restarts_and_stops(manager: Manager) -> None:
    # It is active when clients can connect, and not a moment before.
    assert manager.ok("circusctl", "status").startswith("web: ")
    wait_until(lambda: manager.output() == ["up"], what=manager.told)

    # A reload puts the file in force; one with mistakes fails and changes nothing.
    ini = manager.directory / "circus.ini"
    ini.write_text(f"{INI}\n[watcher:more]\ncmd = sleep 1000\n")
    manager.ok("systemctl", "--user", "reload", "circusd")
    assert manager.ok("circusctl", "list").strip() == "more,web"
    ini.write_text(f"{INI}\n[watcher:worse]\nnumprocesses = many\n")
    assert manager.run("systemctl", "--user", "reload", "circusd").returncode != 0
    assert manager.ok("circusctl", "list").strip() == "more,web"
    assert manager.ok("systemctl", "--user", "is-active", "circusd").strip() == "active"
    assert manager.output() == ["up"]
    ini.write_text(INI)

    # An upgrade keeps the process that systemd knows, and the workers.
    main = manager.ok("systemctl", "--user", "show", "-p", "MainPID", "circusd")
    manager.ok("circusctl", "upgrade")
    assert manager.ok("systemctl", "--user", "show", "-p", "MainPID", "circusd") == main
    assert manager.ok("systemctl", "--user", "is-active", "circusd").strip() == "active"
    assert manager.output() == ["up"]

    # A circusd that was killed comes back; nobody of the old one is left.
    (pid,) = re.findall(r"MainPID=(\d+)", main)
    before = manager.below("signal.pause")
    assert len(before) == 1
    manager.ok("kill", "-9", pid)
    wait_until(lambda: manager.output() == ["up", "up"], what=manager.told)
    wait_until(lambda: manager.run("circusctl", "status").stdout.startswith("web: active"), what=manager.told)
    assert not manager.below("signal.pause") & before

    # A stop asks each watcher in its own way, and leaves nobody.
    began = time.monotonic()
    manager.ok("systemctl", "--user", "stop", "circusd")
    assert manager.output() == ["up", "up", "asked"], f"after {time.monotonic() - began} s"
    assert not manager.below("signal.pause")
    assert not manager.below("circus.ini")

    # One that was told to leave stays away.
    manager.ok("systemctl", "--user", "start", "circusd")
    manager.ok("circusctl", "quit", "--waiting")
    state = ["systemctl", "--user", "show", "-p", "ActiveState", "-p", "Result", "circusd"]
    wait_until(lambda: "ActiveState=inactive" in manager.ok(*state), what=manager.told)
    assert "Result=success" in manager.ok(*state)
