"""What a plain `pip install circus` puts on a machine."""

from __future__ import annotations

import pathlib
import subprocess
import sys
import zipfile

import pytest

from tests.helpers.daemon import REPOSITORY

COMMANDS = ("circusd", "circusd-stats", "circusctl", "circus-top", "circus-plugin", "circus-exporter")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel as hatchling builds it from this checkout."""
    out = tmp_path_factory.mktemp("wheel")
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(out)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    (built,) = out.glob("*.whl")
    return zipfile.ZipFile(built)


def test_it_holds_the_two_packages_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    tops = {pathlib.PurePosixPath(name).parts[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith((".dist-info", ".data"))} == {"circus", "circus_exporters"}


def test_it_brings_dashboards_rules_and_what_points_at_them(wheel: zipfile.ZipFile) -> None:
    ours = {
        f"{place}{path.relative_to(REPOSITORY / root).as_posix()}"
        for root, place in (("dashboards/out", ""), ("dashboards/provisioning", "provisioning/"))
        for path in (REPOSITORY / root).rglob("*")
        if path.is_file()
    }
    data = [pathlib.PurePosixPath(name) for name in wheel.namelist() if ".data/" in name]
    shared = {str(name.relative_to(name.parts[0])) for name in data}
    assert shared == {f"data/share/circus/dashboards/{name}" for name in ours}


def test_it_holds_every_module(wheel: zipfile.ZipFile) -> None:
    ours = {
        str(path.relative_to(root))
        for root in (REPOSITORY, REPOSITORY / "exporters")
        for package in ("circus", "circus_exporters")
        for path in (root / package).rglob("*.py")
    }
    assert ours <= set(wheel.namelist())


def test_it_brings_the_commands(wheel: zipfile.ZipFile) -> None:
    (told,) = [name for name in wheel.namelist() if name.endswith("entry_points.txt")]
    text = wheel.read(told).decode()
    assert [command for command in COMMANDS if f"{command} = " not in text] == []


def test_it_says_that_it_is_typed(wheel: zipfile.ZipFile) -> None:
    assert {"circus/py.typed", "circus_exporters/py.typed"} <= set(wheel.namelist())


def test_it_brings_daemon_exporters_and_live_view_without_extras(wheel: zipfile.ZipFile) -> None:
    (told,) = [name for name in wheel.namelist() if name.endswith("METADATA")]
    required = [
        line.removeprefix("Requires-Dist: ")
        for line in wheel.read(told).decode().splitlines()
        if line.startswith("Requires-Dist: ") and "extra ==" not in line
    ]
    wanted = {"pyzmq", "psutil", "msgspec", "aiohttp", "prometheus-client", "textual"}
    assert wanted <= {line.split(">")[0].split("=")[0].strip() for line in required}
