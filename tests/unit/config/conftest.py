"""Configurations written in a test."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path

import pytest

from circus.config.build import load
from circus.spec.arbiter import ArbiterSpec


class Ini:
    """Writes `circus.ini`, and files beside it, and reads them with an environment of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.main = directory / "circus.ini"

    def write(self, text: str, name: str = "circus.ini") -> Path:
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return path

    def load(self, text: str, environ: Mapping[str, str] | None = None) -> ArbiterSpec:
        return load(self.write(text), environ=environ or {})


@pytest.fixture
def ini(tmp_path: Path) -> Ini:
    return Ini(tmp_path)
