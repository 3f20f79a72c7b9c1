"""What is committed below `dashboards/out` is what the sources make."""

from __future__ import annotations

import pathlib

import pytest

from dashboards import build


def test_what_is_committed_is_fresh() -> None:
    assert build.stale(build.built()) == {}, "run: python -m dashboards.build"


def test_the_same_sources_make_the_same_bytes() -> None:
    assert build.built() == build.built()


def test_what_is_missing_changed_and_left_over_is_told_and_put_right(tmp_path: pathlib.Path) -> None:
    made = {"a/one.json": "1\n", "a/two.json": "2\n"}
    build.write({**made, "b/old.json": "0\n"}, tmp_path)
    (tmp_path / "a/one.json").write_text("edited\n")
    (tmp_path / "a/two.json").unlink()
    found = {"a/one.json": "changed", "a/two.json": "missing", "b/old.json": "made by no part"}
    assert build.stale(made, tmp_path) == found
    build.write(made, tmp_path)
    assert build.stale(made, tmp_path) == {}


def test_two_parts_cannot_make_one_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "PARTS", (*build.PARTS, *build.PARTS))
    with pytest.raises(ValueError, match="another part makes too"):
        build.built()
