"""Pages that are followed as they are written: files are saved, commands typed, and what they print is what is shown."""

from __future__ import annotations

import pathlib
import re

import pytest

from tests.helpers import real, session
from tests.helpers.daemon import REPOSITORY

NEEDED = {"curl": "curl", "prometheus": "prometheus", "promtool": "prometheus", "amtool": "prometheus-alertmanager"}
DOCS = REPOSITORY / "docs"
TUTORIALS = sorted((DOCS / "tutorials").glob("*.md"))
GUIDES = [DOCS / f"guides/{name}.md" for name in ("dashboards", "from-supervisor", "hardening", "many-hosts")]
PAGES = [*TUTORIALS, *GUIDES]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_works_as_it_is_written(page: pathlib.Path, tmp_path: pathlib.Path) -> None:
    for program, package in NEEDED.items():
        real.program(program, package)
    session.Session(page.read_text(), tmp_path).follow()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_is_not_run_there_is_run_by_the_test_that_is_named(page: pathlib.Path) -> None:
    for block in session.read(page.read_text()):
        assert block.language, block.text
        if block.not_run is not None:
            (named,) = re.findall(r"tests/\S+\.py", block.not_run)
            assert (REPOSITORY / named).is_file()
