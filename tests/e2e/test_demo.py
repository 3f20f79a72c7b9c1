"""`make demo` without make: the program behind it, on the same ini file with ports that are free."""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator

import pytest

from tests.helpers import proc
from tests.helpers.daemon import REPOSITORY, script
from tests.helpers.metrics import scrape
from tests.helpers.page import steps, type_in
from tests.helpers.ports import reserved_port
from tests.helpers.prometheus import get
from tests.helpers.waiting import DEADLINE, wait_until

WORKERS = 4


class Demo:
    """The demo in a copy of `examples/`, in a process group of its own as a shell would start it."""

    def __init__(self, top: pathlib.Path, web: int, metrics: int) -> None:
        self.top, self.web, self.metrics = top, web, metrics
        shutil.copytree(REPOSITORY / "examples", top / "examples", ignore=shutil.ignore_patterns("__pycache__"))
        ini = top / "examples" / "demo.ini"
        ini.write_text(ini.read_text().replace("port = 8080", f"port = {web}").replace("9464", str(metrics)))
        # A path below tmp_path can be longer than the 107 bytes that a unix socket may have.
        self.runtime = pathlib.Path(tempfile.mkdtemp(prefix="circus-"))
        self.env = {**os.environ, "CIRCUS_RUNTIME_DIR": str(self.runtime)}
        self.output = top / "output"
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "examples/demo/run.py"],
                cwd=top,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                process_group=0,
            )

    def said(self) -> str:
        return self.output.read_text(errors="replace")

    def wait_up(self) -> None:
        wait_until(lambda: "The demo is up" in self.said(), what=self.said)

    def ask(self) -> int:
        """The pid of the worker that answered a request."""
        status, _, text = get(f"http://127.0.0.1:{self.web}/")
        assert status == 200
        found = re.match(r"Hello from worker (\d+)", text)
        assert found, text
        return int(found[1])

    def circusctl(self, *words: str) -> str:
        """What circusctl prints, which has to find the daemon by itself."""
        env = {name: value for name, value in self.env.items() if name != "CIRCUSCTL_ENDPOINT"}
        done = subprocess.run([script("circusctl"), *words], env=env, capture_output=True, text=True, timeout=DEADLINE)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def workers(self) -> list[int]:
        return [int(pid) for pid in self.circusctl("list", "web").strip().split(",") if pid]

    def wait_workers(self) -> list[int]:
        return wait_until(lambda: pids if len(pids := self.workers()) == WORKERS else None, what=self.said)

    def end(self) -> None:
        """For a test that failed halfway."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            proc.end(self.process.pid)
        shutil.rmtree(self.runtime, ignore_errors=True)


@pytest.fixture
def demo(tmp_path: pathlib.Path) -> Iterator[Demo]:
    with reserved_port() as web, reserved_port() as metrics:
        made = Demo(tmp_path / "checkout", web, metrics)
        try:
            made.wait_up()
            yield made
        finally:
            made.end()


def test_a_killed_worker_is_replaced_and_no_request_fails(demo: Demo) -> None:
    first = demo.wait_workers()
    for victim in first:
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda pid=victim: not proc.alive(pid))
        for _ in range(5):
            assert demo.ask() != victim
    assert not set(demo.wait_workers()) & set(first)


def test_its_metrics_are_where_it_says(demo: Demo) -> None:
    assert f"http://127.0.0.1:{demo.metrics}/metrics" in demo.said()
    page = wait_until(lambda: (page := scrape(demo.metrics)) and page.value("circus_up") == 1 and page)
    assert page.value("circus_watcher_processes_desired", watcher="web") == WORKERS


def test_circusctl_and_circus_top_find_it(demo: Demo) -> None:
    assert {"web: active", "leaker: active", "burner: active"} <= set(demo.circusctl("status").splitlines())
    log = demo.top / ".demo/burner.log"
    wait_until(lambda: log.exists() and log.read_text(), what="the burner has told of some work, and goes on")
    done = subprocess.run(
        [script("circus-top"), "--once"], env=demo.env, capture_output=True, text=True, timeout=DEADLINE
    )
    assert done.returncode == 0, done.stderr
    assert [name for name in ("web", "leaker", "burner", "crasher") if name not in done.stdout] == []
    (cpu,) = re.findall(r"^burner 1/1 +(\S+)", done.stdout, re.MULTILINE)
    assert float(cpu) > 0.0, "whoever looks sees it burn"


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl: apt install curl")
def test_the_tour_of_the_readme_works_as_it_is_written(demo: Demo) -> None:
    page = (REPOSITORY / "README.md").read_text().replace("8080", str(demo.web)).replace("9464", str(demo.metrics))
    demo.wait_workers()
    # Whoever reads and types is slower than the first sample; this test is not.
    wait_until(lambda: (page := scrape(demo.metrics)) and page.total("circus_process_resident_memory_bytes"))
    env = {**demo.env, "PATH": f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}"}
    for command, shown in steps(page):
        type_in(command, shown, demo.top, env)
    assert demo.process.wait(DEADLINE) == 0, demo.said()


@pytest.mark.parametrize("by", ["ctrl-c in a terminal", "sigint to the program", "sigterm to the program"])
def test_it_leaves_nothing_behind(demo: Demo, by: str) -> None:
    below = proc.descendants(demo.process.pid)
    assert len(below) >= WORKERS + 4  # circusd, its exporter, leaker, burner; the crasher may be between two lives
    if by == "ctrl-c in a terminal":
        os.killpg(demo.process.pid, signal.SIGINT)
    else:
        demo.process.send_signal(signal.SIGINT if "sigint" in by else signal.SIGTERM)
    assert demo.process.wait(DEADLINE) == 0, demo.said()
    assert not [proc.describe(pid) for pid in below if proc.alive(pid)]
    assert not (demo.top / ".demo").exists()
    assert [str(path) for path in demo.runtime.rglob("*") if not path.is_dir()] == []


def test_a_port_that_is_taken_is_named(demo: Demo) -> None:
    second = subprocess.run(
        [sys.executable, "examples/demo/run.py"],
        cwd=demo.top,
        env=demo.env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    assert second.returncode == 1
    assert f"port {demo.web} of [socket:web] and port {demo.metrics} of [exporter:prometheus]" in second.stderr
    assert "Traceback" not in second.stderr
