from __future__ import annotations

import pathlib
import sys

import pytest

from circus.exc import CircusError
from circus.runtime.argv import CommandBuilder
from circus.runtime.virtualenv import activate
from circus.spec.watcher import WatcherSpec


def virtualenv(root: pathlib.Path, kind: str = "python3.9") -> pathlib.Path:
    (root / "bin").mkdir(parents=True)
    packages = root / "lib" / kind / "site-packages"
    packages.mkdir(parents=True)
    return packages


def test_scripts_come_first_and_packages_last(tmp_path: pathlib.Path) -> None:
    packages = virtualenv(tmp_path)
    env = {"PATH": "/usr/bin", "PYTHONPATH": "/app:/lib"}
    assert activate(str(tmp_path), env, "3.9") == {
        "PATH": f"{tmp_path}/bin:/usr/bin",
        "PYTHONPATH": f"/app:/lib:{packages}",
    }


def test_without_a_path_the_systems_default_follows(tmp_path: pathlib.Path) -> None:
    virtualenv(tmp_path)
    assert activate(str(tmp_path), {}, "3.9")["PATH"] == f"{tmp_path}/bin:/bin:/usr/bin"


def test_directories_of_pth_files_come_before_everything(tmp_path: pathlib.Path) -> None:
    packages = virtualenv(tmp_path)
    near, far = packages / "near", tmp_path / "far"
    near.mkdir()
    far.mkdir()
    (packages / "b.pth").write_text(f"# comment\n\nimport os\nnear\n/does/not/exist\n{far}\n")
    (packages / "a.pth").write_text("../site-packages/near\n")
    (packages / "readme.txt").write_text("/usr\n")
    assert activate(str(tmp_path), {"PYTHONPATH": "/app"}, "3.9")["PYTHONPATH"] == f"{near}:{far}:/app:{packages}"


def test_pypy_is_found_too(tmp_path: pathlib.Path) -> None:
    packages = virtualenv(tmp_path, "pypy3.10")
    assert activate(str(tmp_path), {}, "3.10")["PYTHONPATH"] == str(packages)


def test_the_version_of_circusd_is_the_default(tmp_path: pathlib.Path) -> None:
    packages = virtualenv(tmp_path, "python{}.{}".format(*sys.version_info))
    assert activate(str(tmp_path), {})["PYTHONPATH"] == str(packages)


def test_a_relative_virtualenv_is_made_absolute(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    virtualenv(tmp_path / "venv")
    monkeypatch.chdir(tmp_path)
    assert activate("venv", {}, "3.9")["PATH"].startswith(f"{tmp_path}/venv/bin:")


def test_missing_packages_are_named(tmp_path: pathlib.Path) -> None:
    virtualenv(tmp_path)
    with pytest.raises(CircusError, match=r"lib/python3\.8/site-packages"):
        activate(str(tmp_path), {}, "3.8")


def test_the_processes_of_a_watcher_get_it(tmp_path: pathlib.Path) -> None:
    packages = virtualenv(tmp_path)
    spec = WatcherSpec(name="web", cmd="run", copy_env=True, virtualenv=str(tmp_path), virtualenv_py_ver="3.9")
    env = CommandBuilder(spec, {"PATH": "/usr/bin"}).build(1, {}).env
    assert env == {"PATH": f"{tmp_path}/bin:/usr/bin", "PYTHONPATH": str(packages)}
