"""A real Prometheus that scrapes what a test tells it to, on a port of its own choice, with its data in tmp_path."""

from __future__ import annotations

import json
import pathlib
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from typing import Any, Self

from tests.helpers import real
from tests.helpers.ports import wait_listening
from tests.helpers.waiting import DEADLINE, wait_until

CONFIG = """\
global:
  scrape_interval: 1s
  scrape_timeout: 900ms
scrape_configs:
"""
JOB = """\
  - job_name: {name}
    static_configs:
      - targets: [{targets}]
{more}"""


def job(name: str, *targets: str, more: str = "") -> str:
    """One scrape job; `more` are further lines of YAML."""
    lines = "".join(f"    {line}\n" for line in more.splitlines())
    return JOB.format(name=name, targets=", ".join(f"'{each}'" for each in targets), more=lines)


def get(url: str, timeout: float = DEADLINE, accept: str = "*/*") -> tuple[int, str, str]:
    """(status, content type, text) of a page; error statuses are returned, not raised."""
    request = urllib.request.Request(url, headers={"Accept": accept})
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["Content-Type"], error.read().decode()


class Prometheus:
    """One server; the methods speak its HTTP API. It scrapes `targets` as job `circus`, or the `jobs` (see `job`), or does
    what the text of a whole `config` says.
    """

    def __init__(
        self, directory: pathlib.Path, *targets: str, jobs: Sequence[str] = (), config: str | None = None
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        text = config or CONFIG + "".join(jobs or [job("circus", *targets)])
        (directory / "prometheus.yml").write_text(text)
        self._process: subprocess.Popen[bytes] | None = None
        self._url = ""

    def __enter__(self) -> Self:
        program = real.program("prometheus", "prometheus")
        with (self._directory / "prometheus.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    program,
                    f"--config.file={self._directory / 'prometheus.yml'}",
                    f"--storage.tsdb.path={self._directory / 'data'}",
                    "--web.listen-address=127.0.0.1:0",
                    "--web.external-url=http://127.0.0.1/",
                    "--enable-feature=exemplar-storage",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self._url = f"http://127.0.0.1:{wait_listening(self._process.pid)}"
        wait_until(self._ready, what=(self._directory / "prometheus.log").read_text)
        return self

    def _ready(self) -> bool:
        try:
            return get(f"{self._url}/-/ready", 1.0)[0] == 200
        except OSError:
            return False

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.terminate()
        try:
            self._process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _ask(self, path: str, **parameters: object) -> Any:
        _, _, text = get(f"{self._url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}")
        answer = json.loads(text)
        assert answer["status"] == "success", answer
        return answer["data"]

    def query(self, expression: str, at: float | None = None) -> list[tuple[dict[str, str], float]]:
        """The instant vector of an expression as (labels, value)."""
        data = self._ask("query", query=expression, **({} if at is None else {"time": at}))
        if data["resultType"] == "scalar":
            return [({}, float(data["result"][1]))]
        return [(each["metric"], float(each["value"][1])) for each in data["result"]]

    def value(self, expression: str, at: float | None = None) -> float | None:
        """The value of an expression that gives at most one."""
        found = self.query(expression, at)
        assert len(found) <= 1, found
        return found[0][1] if found else None

    def exemplars(self, series: str) -> list[dict[str, Any]]:
        """The exemplars of the last hour, each with `seriesLabels` of where it hung."""
        now = time.time()
        found = self._ask("query_exemplars", query=series, start=now - 3600, end=now + 60)
        return [{**each, "seriesLabels": one["seriesLabels"]} for one in found for each in one["exemplars"]]

    def targets(self) -> list[dict[str, Any]]:
        active: list[dict[str, Any]] = self._ask("targets")["activeTargets"]
        return active

    def firing(self) -> set[tuple[str, str]]:
        """(alert, watcher or nothing) of the alerts that fire now."""
        alerts = [each for each in self._ask("alerts")["alerts"] if each["state"] == "firing"]
        return {(each["labels"]["alertname"], each["labels"].get("watcher", "")) for each in alerts}

    def range(self, expression: str, start: float, end: float, step: float = 1.0) -> list[tuple[dict[str, str], Any]]:
        """The series of an expression over time as (labels, [(time, value), …])."""
        found = self._ask("query_range", query=expression, start=start, end=end, step=step)["result"]
        return [(each["metric"], [(at, float(value)) for at, value in each["values"]]) for each in found]

    def label_values(self, label: str, selector: str) -> list[str]:
        """The values of a label on the series that a selector finds."""
        values: list[str] = self._ask(f"label/{label}/values", **{"match[]": selector})
        return values
