"""The reference page is made from the rows, and committed fresh."""

from __future__ import annotations

from circus.spec.fields import CIRCUS, SOCKET, WATCHER
from circus.spec.reference import options_page
from tests.helpers.daemon import REPOSITORY


def test_the_committed_page_is_fresh() -> None:
    committed = (REPOSITORY / "docs/reference/options.md").read_text()
    assert committed == options_page(), "run: python -m circus.spec.reference > docs/reference/options.md"


def test_every_option_is_on_the_page() -> None:
    page = options_page()
    assert [name for name in (*CIRCUS, *WATCHER, *SOCKET) if f"| `{name}`" not in page] == []
