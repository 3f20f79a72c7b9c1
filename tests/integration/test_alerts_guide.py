"""The guide about alerts is run as it is written: its configuration, its commands and its function."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile

from circus.spec.alert_fields import ALERT_KINDS, NOTIFY_TYPES
from tests.helpers.daemon import REPOSITORY
from tests.helpers.page import blocks, steps, type_in
from tests.helpers.waiting import DEADLINE, wait_until

PAGE = (REPOSITORY / "docs/guides/alerts.md").read_text()


def ran(env: dict[str, str], directory: pathlib.Path, *words: str) -> str:
    return subprocess.run(
        words, cwd=directory, env=env, capture_output=True, text=True, timeout=DEADLINE, check=False
    ).stdout


def test_the_guide_works_as_it_is_written(tmp_path: pathlib.Path) -> None:
    ini, *_ = (text for kind, text in blocks(PAGE) if kind == "ini")
    (tmp_path / "circus.ini").write_text(ini)
    told = tmp_path / "alerts.log"
    with tempfile.TemporaryDirectory(prefix="circus-") as runtime, (tmp_path / "circusd.log").open("wb") as said:
        path = f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}"
        env = {**os.environ, "PATH": path, "CIRCUS_RUNTIME_DIR": runtime}
        daemon = subprocess.Popen(["circusd", "circus.ini"], cwd=tmp_path, env=env, stdout=said, stderr=said)
        try:
            wait_until(lambda: "ops ok" in ran(env, tmp_path, "circusctl", "alerts"))
            for command, shown in steps(PAGE):
                type_in(command, shown, tmp_path, env)
            wait_until(lambda: "nothing fires" in ran(env, tmp_path, "circusctl", "alerts"))
            wait_until(lambda: '"status":"resolved"' in told.read_text())
        finally:
            daemon.send_signal(signal.SIGTERM)
            daemon.wait(DEADLINE)
    documents = [json.loads(line) for line in told.read_text().splitlines()]
    assert [(each["status"], each["alerts"][0]["labels"]["alertname"]) for each in documents] == [
        ("firing", "flapping"), ("firing", "memory"), ("resolved", "flapping"),
    ]  # fmt: skip
    assert documents[1]["commonLabels"]["test"] == "true"
    assert documents[0]["commonAnnotations"]["summary"] == "shaky keeps dying"
    assert documents[0]["commonLabels"]["severity"] == "critical"


def test_the_other_sections_of_the_guide_have_no_mistake(tmp_path: pathlib.Path) -> None:
    _, *others = (text for kind, text in blocks(PAGE) if kind == "ini")
    text = "\n".join(others).replace("/etc/circus", str(tmp_path))
    (tmp_path / "hook.key").write_text("key")
    (tmp_path / "circus.ini").write_text(f"[watcher:web]\ncmd = sleep 1000\n{text}")
    done = subprocess.run(
        [sys.executable, "-m", "circus.circusd", "--check", "circus.ini"],
        cwd=tmp_path, capture_output=True, text=True, timeout=DEADLINE, check=False,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("circus.ini: ok\n", "")


def test_the_function_of_the_guide_knows_our_signature() -> None:
    (own,) = (text for kind, text in blocks(PAGE) if kind == "python")
    scope: dict[str, object] = {}
    exec(own, scope)
    body, key = b'{"version":"4"}', b"key"
    signature = f"sha256={hmac.new(key, body, hashlib.sha256).hexdigest()}"
    is_ours = scope["is_ours"]
    assert callable(is_ours)
    assert is_ours(body, signature, key)
    assert not is_ours(body + b" ", signature, key)


def test_the_guide_tells_of_every_kind_and_type() -> None:
    for word in (*ALERT_KINDS, *NOTIFY_TYPES):
        assert f"\n| `{word}` | " in PAGE, word
