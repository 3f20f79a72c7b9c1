"""Real components that some tests need: found, or a skip that says how to get them; in CI their absence is a failure."""

from __future__ import annotations

import os
import pathlib
import shutil

import pytest

from tests.helpers.daemon import REPOSITORY


def program(name: str, package: str) -> str:
    """The path of a program from Debian's package."""
    found = shutil.which(name)
    if found is None:
        missing(f"{name} is not installed: apt-get install --no-install-recommends {package} (or: make test, as root)")
    assert found is not None
    return found


def old_circus(name: str) -> str:
    """The path of a program of circus 0.19.0, installed from PyPI in an environment of its own."""
    home = pathlib.Path(os.environ.get("CIRCUS_COMPAT_VENV") or REPOSITORY / ".venv-compat-0.19")
    found = home / "bin" / name
    if not found.exists():
        missing(f"circus 0.19.0 is not installed in {home}: make test installs it")
    return str(found)


def missing(told: str) -> None:
    """Skip the test, or fail it in CI; the text says what to do about it."""
    if os.environ.get("CI"):
        pytest.fail(told)
    pytest.skip(told)
