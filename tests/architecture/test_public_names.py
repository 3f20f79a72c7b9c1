"""What others may import: it exists, it is said in `__all__`, and what pyproject promises can be started."""

from __future__ import annotations

import ast
import importlib
import pathlib
import subprocess
import sys
import tomllib

import pytest

import circus
from tests.helpers.daemon import REPOSITORY


def modules_with_all() -> list[str]:
    found = []
    for top, package in (("circus", "circus"), ("exporters/circus_exporters", "circus_exporters")):
        root = REPOSITORY / top
        for path in sorted(root.rglob("*.py")):
            if "__all__" in path.read_text():
                parts = path.relative_to(root).with_suffix("").parts
                found.append(".".join([package, *(part for part in parts if part != "__init__")]))
    return found


def scripts() -> dict[str, str]:
    found: dict[str, str] = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["scripts"]
    return found


@pytest.mark.parametrize("module", modules_with_all())
def test_every_name_in_all_exists_once_and_in_order(module: str) -> None:
    loaded = importlib.import_module(module)
    assert len(set(loaded.__all__)) == len(loaded.__all__)
    assert [listed for listed in loaded.__all__ if not hasattr(loaded, listed)] == []


def test_the_version_is_said_once() -> None:
    assert tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"] == circus.__version__


@pytest.mark.parametrize("target", scripts().values())
def test_a_console_script_leads_to_a_function(target: str) -> None:
    module, _, function = target.partition(":")
    assert callable(getattr(importlib.import_module(module), function))


@pytest.mark.parametrize("target", scripts().values())
def test_a_console_script_tells_how_it_is_used(target: str) -> None:
    module, _, function = target.partition(":")
    program = f"import sys; from {module} import {function}; sys.exit({function}())"  # as pip writes it
    done = subprocess.run(
        [sys.executable, "-c", program, "--help"], capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, done.stderr
    assert "usage" in done.stdout.lower()


def test_nothing_happens_at_import() -> None:
    """No module of the house runs a loop, a call or an assignment to another's attribute when it is imported."""
    for top in ("circus", "exporters"):
        for path in (REPOSITORY / top).rglob("*.py"):
            told = happenings(path)
            assert not told, f"{path.relative_to(REPOSITORY)}: {told}"


def happenings(path: pathlib.Path) -> list[str]:
    """Statements at the top of a module that do something other than define."""
    found = []
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.While | ast.With | ast.AsyncFor | ast.AsyncWith):
            found.append(f"line {node.lineno}")
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            text = ast.unparse(node.value)
            # The handler that keeps a library silent is what logging's own documentation asks for.
            if text != "logger.addHandler(logging.NullHandler())":
                found.append(f"line {node.lineno}: {text}")
    return found
