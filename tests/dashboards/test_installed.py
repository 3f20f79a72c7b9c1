"""From a real wheel in a fresh environment: the command writes what was built, and Prometheus and Grafana's format take it."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys
import sysconfig

import pytest
import yaml

from dashboards import build
from tests.helpers import real
from tests.helpers.daemon import REPOSITORY

pytestmark = pytest.mark.real


def run(*words: str | pathlib.Path, cwd: pathlib.Path | None = None) -> str:
    done = subprocess.run([*map(str, words)], capture_output=True, text=True, cwd=cwd)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Built from a source distribution, as an index has it."""
    place = tmp_path_factory.mktemp("built")
    run(sys.executable, "-m", "hatchling", "build", "--target", "sdist", "--directory", place, cwd=REPOSITORY)
    (sdist,) = place.glob("*.tar.gz")
    run("tar", "--extract", "--gzip", "--file", sdist, "--directory", place)
    source = place / sdist.name.removesuffix(".tar.gz")
    run(sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", place, cwd=source)
    (built,) = place.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def written(wheel: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The directory that the command of an installed wheel has written."""
    place = tmp_path_factory.mktemp("installed")
    run(sys.executable, "-m", "venv", "--without-pip", place / "venv")
    python = place / "venv/bin/python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-index", "--no-deps", wheel)
    # What circus depends on comes from here; a line in a .pth file does not bring this checkout along.
    purelib = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=place).strip()
    (pathlib.Path(purelib) / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    assert run(python, "-c", "import circus; print(circus.__file__)", cwd=place).startswith(str(place))
    directory = place / "made by circus"
    run(place / "venv/bin/circus-exporter", "dashboards", "--to", directory, cwd=place)
    return directory


def test_everything_that_was_built_is_there(written: pathlib.Path) -> None:
    made = build.built()
    assert made
    assert {name: (written / name).read_text() for name in made} == made


def test_it_finds_them_wherever_pip_was_told_to_put_them(
    wheel: pathlib.Path, written: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    run(
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-index",
        "--no-deps",
        "--target",
        tmp_path / "there",
        wheel,
    )
    python = written.parent / "venv/bin/python"
    program = f"import sys; sys.path.insert(0, {str(tmp_path / 'there')!r}); from circus_exporters.dashboards import *"
    told = run(python, "-c", f"{program}; print(shipped()['grafana/dashboards/circus-overview.json'])", cwd=tmp_path)
    assert pathlib.Path(told.strip()).is_relative_to(tmp_path / "there")


def test_the_dashboards_are_where_the_provider_says(written: pathlib.Path) -> None:
    told = yaml.safe_load((written / "provisioning/grafana/dashboards/circus.yml").read_text())
    assert told["apiVersion"] == 1
    (provider,) = told["providers"]
    assert provider["type"] == "file"
    assert provider["allowUiUpdates"] is False
    path = pathlib.Path(provider["options"]["path"])
    assert path == written / "grafana/dashboards"
    assert len([json.loads(file.read_text()) for file in path.glob("*.json")]) == 5


def test_exemplars_lead_to_the_traces(written: pathlib.Path) -> None:
    told = yaml.safe_load((written / "provisioning/grafana/datasources/circus.yml").read_text())
    assert told["apiVersion"] == 1
    metrics, traces = told["datasources"]
    assert metrics["type"] == "prometheus"
    (link,) = metrics["jsonData"]["exemplarTraceIdDestinations"]
    assert link["name"] == "trace_id"  # the label that the exporter gives its exemplars
    assert link["datasourceUid"] == traces["uid"]


def test_prometheus_takes_the_rules_and_what_points_at_them(written: pathlib.Path) -> None:
    promtool = real.program("promtool", "prometheus")
    rules = sorted((written / "prometheus").glob("*.yml"))
    assert rules
    assert "SUCCESS" in run(promtool, "check", "rules", *rules)
    for configuration in sorted((written / "provisioning/prometheus").glob("*.yml")):
        found = run(promtool, "check", "config", configuration)
        assert all(f"/{rule.name}" in found for rule in rules), found
