"""The page about faults names tests that exist."""

from __future__ import annotations

import re

from tests.helpers.daemon import REPOSITORY

REFERENCE = re.compile(r"`([\w/]+\.py)::(test_\w+)`")


def test_every_test_that_is_named_exists() -> None:
    page = (REPOSITORY / "docs/design/trust.md").read_text()
    named = REFERENCE.findall(page)
    assert named
    missing = []
    for file, test in named:
        path = REPOSITORY / "tests" / (file if "/" in file else f"integration/{file}")
        if not path.exists() or not re.search(rf"^(async )?def {test}\(", path.read_text(), re.MULTILINE):
            missing.append(f"{file}::{test}")
    assert not missing


def test_every_row_of_a_fault_names_a_test() -> None:
    page = (REPOSITORY / "docs/design/trust.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| ") and not line.startswith(("| ---", "| fault |"))]
    rows = [row for row in rows if row not in {"| state | test |", "| what | test |"}]
    assert [row for row in rows if not REFERENCE.search(row)] == []
