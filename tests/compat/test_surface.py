"""The list of all that one can import from circus 0.19.0 is what it really has.

Whether that is here too is a test of architecture, which needs no 0.19.0.
"""

from __future__ import annotations

import pathlib
import subprocess

import pytest

from tests.helpers import real
from tests.helpers.daemon import REPOSITORY
from tests.helpers.old_circus import clean_environment
from tests.helpers.surface import parsed

LIST = pathlib.Path(__file__).parent / "surface_of_0_19.txt"

MODULES = """
import importlib, pkgutil, circus
for found in [circus, *pkgutil.walk_packages(circus.__path__, "circus.", onerror=lambda name: None)]:
    name = found.__name__ if found is circus else found.name
    if name.startswith(("circus.green", "circus.tests")):
        continue
    try:
        importlib.import_module(name)
    except ImportError:
        continue
    print(name)
"""
"""Prints the modules that can be imported; one of 0.19's needs redis, and those for gevent run nowhere any more."""


@pytest.mark.real
def test_the_list_is_what_0_19_has() -> None:
    def run(*words: str) -> list[str]:
        env = clean_environment({"PYTHONWARNINGS": "ignore"})
        command = [real.old_circus("python"), "-I", *words]
        return subprocess.run(command, capture_output=True, text=True, check=True, env=env, cwd="/").stdout.splitlines()

    told = run(str(REPOSITORY / "tests/helpers/surface.py"), *run("-c", MODULES))
    assert sorted(map(parsed, told)) == sorted(map(parsed, LIST.read_text().splitlines()))
