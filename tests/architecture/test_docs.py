"""The pages say what the code says: what is made from it is fresh, nothing is untold, and links lead somewhere."""

from __future__ import annotations

import ast
import json
import pathlib
import re

import pytest

from docs import build
from tests.benchmarks.peers import page as performance
from tests.helpers.daemon import REPOSITORY

PAGES = [*sorted((REPOSITORY / "docs").rglob("*.md")), *sorted(REPOSITORY.glob("*.md"))]
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
RECORD = re.compile(
    r"(alert|arbiter|config|command|watcher|reload|hook|process|stream|sample|message)\.[a-z]+(_[a-z]+)*"
)


def name(path: pathlib.Path) -> str:
    return str(path.relative_to(REPOSITORY))


@pytest.mark.parametrize("page", build.pages(), ids=name)
def test_what_is_made_from_the_code_is_fresh(page: pathlib.Path) -> None:
    assert page.read_text() == build.fresh(page.read_text()), "run: python -m docs.build"


def test_schemas_are_fresh_and_there_are_no_others() -> None:
    there = {path: path.read_text() for path in (REPOSITORY / "docs/reference/schemas").glob("*.json")}
    assert there == build.schemas(), "run: python -m docs.build"


def test_every_struct_of_the_messages_is_in_a_schema() -> None:
    there = {struct for text in build.schemas().values() for struct in json.loads(text)["$defs"]}
    assert there == set(build.STRUCTS)


def test_the_page_about_performance_shows_the_results_that_were_kept() -> None:
    text = performance.PAGE.read_text()
    assert performance.BLOCK.search(text)
    assert text == performance.fresh(text), "run: python -m tests.benchmarks.peers --keep FILE"


@pytest.mark.parametrize("page", build.pages(), ids=name)
def test_every_field_says_what_it_means(page: pathlib.Path) -> None:
    untold = [
        line for block in build.BLOCK.finditer(page.read_text()) for line in block[0].splitlines() if "|  |" in line
    ]
    assert not untold


def test_every_struct_of_the_messages_is_on_a_page() -> None:
    there = {block[2] for page in build.pages() for block in build.BLOCK.finditer(page.read_text())}
    assert set(build.STRUCTS) <= there


def anchors(page: pathlib.Path) -> set[str]:
    """What can follow a `#` in a link to the page, as GitHub makes it from the headings."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in HEADING.findall(text)}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: pathlib.Path) -> None:
    broken = []
    for link in LINK.findall(page.read_text()):
        file, _, anchor = link.partition("#")
        if "://" in link:
            continue
        target = (page.parent / file).resolve() if file else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert not broken


def recorded_names() -> set[str]:
    """The names of records that stand as texts in the daemon's code."""
    found = set()
    for path in [
        *(REPOSITORY / "circus").glob("*.py"),
        *(REPOSITORY / "circus/core").glob("*.py"),
        REPOSITORY / "circus/wire/alerts.py",
    ]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and RECORD.fullmatch(node.value):
                found.add(node.value)
    return found


def test_every_record_has_its_section_and_every_section_its_record() -> None:
    page = (REPOSITORY / "docs/reference/records.md").read_text()
    assert set(re.findall(r"^### ([\w.]+)$", page, re.MULTILINE)) == recorded_names()
