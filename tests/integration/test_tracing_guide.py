"""The guide about traces is run as it is written: its sections, its deploy script, and what the collector has then."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys
import tempfile

from tests.helpers.daemon import REPOSITORY
from tests.helpers.otlp import HttpSink
from tests.helpers.page import blocks, steps, type_in
from tests.helpers.waiting import DEADLINE

PAGE = (REPOSITORY / "docs/guides/tracing.md").read_text()
CALLER = "00-" + "ab" * 16 + "-" + "cd" * 8 + "-01"
WEB = """
import os, pathlib, time
pathlib.Path(f"started-{os.getpid()}").write_text(os.environ["TRACEPARENT"])
time.sleep(1000)
"""


def test_the_guide_works_as_it_is_written(tmp_path: pathlib.Path) -> None:
    sink = HttpSink()
    ini = "\n".join(text for kind, text in blocks(PAGE) if kind == "ini")
    assert "http://localhost:4318" in ini
    ini = ini.replace("http://localhost:4318", sink.endpoint)
    (script,) = (text for kind, text in blocks(PAGE) if kind == "sh")
    (tmp_path / "circus.ini").write_text(
        f"[circus]\nendpoint = auto\npubsub_endpoint = auto\nstats_endpoint = auto\n{ini}\n[env:web]\nPATH = $PATH\n"
    )
    (tmp_path / "deploy.sh").write_text(script)
    (tmp_path / "web.py").write_text(WEB)
    with tempfile.TemporaryDirectory(prefix="circus-") as runtime, (tmp_path / "circusd.log").open("wb") as said:
        path = f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}"
        env = {**os.environ, "PATH": path, "CIRCUS_RUNTIME_DIR": runtime, "OTEL_BSP_SCHEDULE_DELAY": "50"}
        daemon = subprocess.Popen(["circusd", "circus.ini"], cwd=tmp_path, env=env, stdout=said, stderr=said)
        try:
            sink.wait_named("arbiter.boot")
            for command, shown in steps(PAGE):
                type_in(command, shown, tmp_path, env | {"TRACEPARENT": CALLER})
            (reload,) = sink.wait_named("watcher.reload")
            (restart,) = sink.wait_named("watcher.restart")
            assert {(span.trace, span.parent) for span in (reload, restart)} == {("ab" * 16, "cd" * 8)}
            assert [span.watcher for span in sink.named("process.start") if span.trace == reload.trace] == [
                "web",
                "web",
                "job",
            ]
            told = [file.read_text() for file in tmp_path.glob("started-*")]
            assert told.count(f"00-{reload.trace}-{reload.span}-01") == 2
        finally:
            daemon.send_signal(signal.SIGTERM)
            daemon.wait(DEADLINE)
            sink.stop()
