"""What `circus-exporter dashboards` does with a directory in which there is something already."""

from __future__ import annotations

import json
import pathlib
import re

import pytest
import yaml

from circus.exc import CircusError
from circus_exporters.dashboards import LIST, RUNBOOKS, contents, main, shipped, write
from tests.helpers.daemon import REPOSITORY

MADE = {"a/one.json": b"1\n", "a/two.yml": b"2\n"}


def files(directory: pathlib.Path) -> dict[str, bytes]:
    """What is in the directory, but for the list."""
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file() and path.name != LIST
    }


def test_what_is_written_first(tmp_path: pathlib.Path) -> None:
    directory = tmp_path / "new" / "one"
    assert write(directory, MADE) == [f"wrote {directory}/a/one.json", f"wrote {directory}/a/two.yml"]
    assert files(directory) == MADE


def test_a_second_run_changes_nothing(tmp_path: pathlib.Path) -> None:
    write(tmp_path, MADE)
    before = {path: path.stat().st_ino for path in tmp_path.rglob("*") if path.name != LIST}
    assert write(tmp_path, MADE) == ["2 files are as they should be"]
    assert {path: path.stat().st_ino for path in tmp_path.rglob("*") if path.name != LIST} == before


def test_a_new_version_updates_what_the_old_one_wrote(tmp_path: pathlib.Path) -> None:
    write(tmp_path, {**MADE, "a/old.json": b"0\n"})
    made = {"a/one.json": b"1, better\n", "a/two.yml": b"2\n", "a/three.json": b"3\n"}
    assert write(tmp_path, made) == [
        f"updated {tmp_path}/a/one.json",
        f"wrote {tmp_path}/a/three.json",
        f"removed {tmp_path}/a/old.json, which is not shipped any more",
        "1 files are as they should be",
    ]
    assert files(tmp_path) == made


def test_what_was_changed_is_not_overwritten_and_nothing_else_is_written(tmp_path: pathlib.Path) -> None:
    write(tmp_path, MADE)
    (tmp_path / "a/one.json").write_bytes(b"mine\n")
    with pytest.raises(CircusError, match=rf"nothing is written.*\n  {tmp_path}/a/one\.json$"):
        write(tmp_path, {"a/one.json": b"1, better\n", "a/two.yml": b"2, better\n"})
    assert files(tmp_path) == {"a/one.json": b"mine\n", "a/two.yml": b"2\n"}


def test_a_stranger_is_not_overwritten_either(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/two.yml").write_bytes(b"somebody's\n")
    with pytest.raises(CircusError, match=r"a/two\.yml"):
        write(tmp_path, MADE)
    assert files(tmp_path) == {"a/two.yml": b"somebody's\n"}


def test_force_overwrites_and_says_so(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/two.yml").write_bytes(b"somebody's\n")
    told = write(tmp_path, MADE, force=True)
    assert f"overwrote, which was not as we wrote it: {tmp_path}/a/two.yml" in told
    assert files(tmp_path) == MADE
    assert write(tmp_path, MADE) == ["2 files are as they should be"]


def test_what_is_there_and_right_is_taken_over(tmp_path: pathlib.Path) -> None:
    write(tmp_path, MADE)
    (tmp_path / LIST).unlink()
    assert write(tmp_path, MADE) == ["2 files are as they should be"]
    assert write(tmp_path, {**MADE, "a/one.json": b"1, better\n"})[0] == f"updated {tmp_path}/a/one.json"


def test_what_is_not_shipped_any_more_stays_if_it_was_changed(tmp_path: pathlib.Path) -> None:
    write(tmp_path, {**MADE, "a/old.json": b"0\n"})
    (tmp_path / "a/old.json").write_bytes(b"mine\n")
    told = f"left {tmp_path}/a/old.json, which is not shipped any more, because it was changed"
    assert told in write(tmp_path, MADE)
    assert files(tmp_path)["a/old.json"] == b"mine\n"


def test_no_half_file_is_left(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/one.json").mkdir()
    with pytest.raises(OSError, match="directory"):
        write(tmp_path, MADE)
    assert files(tmp_path) == {}


def test_a_list_that_cannot_be_read_is_told(tmp_path: pathlib.Path) -> None:
    (tmp_path / LIST).write_text("[]")
    with pytest.raises(CircusError, match=r"\.circus-dashboards\.json: expected the list of an earlier run"):
        write(tmp_path, MADE)


def test_a_checkout_has_what_is_built_and_what_points_at_it() -> None:
    found = shipped()
    assert found["grafana/dashboards/circus-overview.json"] == (
        REPOSITORY / "dashboards/out/grafana/dashboards/circus-overview.json"
    )
    assert {path.name for path in (REPOSITORY / "dashboards/out").rglob("*.*")} <= {
        path.name for path in found.values()
    }
    assert "provisioning/grafana/dashboards/circus.yml" in found


def test_files_that_need_to_know_where_they_are_are_told() -> None:
    made = contents(pathlib.Path('/srv/my "dashboards" for $5'))
    text = made["provisioning/grafana/dashboards/circus.yml"].decode()
    assert r'path: "/srv/my \"dashboards\" for $$5/grafana/dashboards"' in text
    assert not [name for name, told in made.items() if b"__DIR__" in told]


def runbooks(made: dict[str, bytes]) -> set[str]:
    """The addresses of runbooks in the rules."""
    rules = [yaml.safe_load(text) for name, text in made.items() if re.fullmatch(r"prometheus/.*\.yml", name)]
    return {
        rule["annotations"]["runbook_url"]
        for groups in rules
        for group in groups["groups"]
        for rule in group["rules"]
        if "alert" in rule
    }


@pytest.mark.parametrize(
    ("url", "down"),
    [
        ("https://wiki.example.com/circus", "https://wiki.example.com/circus/SupervisorDown"),
        ("https://wiki.example.com/circus/", "https://wiki.example.com/circus/SupervisorDown"),
        ("file:///srv/docs/{alert}.md", "file:///srv/docs/SupervisorDown.md"),
        ("https://wiki/all?page=circus#{alert}", "https://wiki/all?page=circus#SupervisorDown"),
    ],
)
def test_runbooks_are_where_one_says_that_they_are(tmp_path: pathlib.Path, url: str, down: str) -> None:
    shipped_there = runbooks(contents(tmp_path))
    found = runbooks(contents(tmp_path, url))
    assert down in found
    assert len(found) == len(shipped_there) > 20
    assert not any("example.org" in each for each in found)


@pytest.mark.parametrize(
    "url", ["wiki", "", "https://", "https://wiki/a b", "https://wiki/{{ $labels.x }}", 'https://"']
)
def test_what_is_no_address_of_runbooks_is_refused(
    tmp_path: pathlib.Path, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--to", str(tmp_path / "new"), "--runbook-url", url]) == 1
    assert capsys.readouterr().err.startswith(f"--runbook-url {url}: expected an address, as https://")
    assert not (tmp_path / "new").exists()


def test_who_does_not_say_where_runbooks_are_is_told(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--to", str(tmp_path)]) == 0
    assert RUNBOOKS in capsys.readouterr().out.splitlines()[-1]
    assert all(each.startswith(RUNBOOKS) for each in runbooks(contents(tmp_path)))
    assert main(["--to", str(tmp_path), "--runbook-url", "https://wiki.example.com/{alert}"]) == 0
    told = capsys.readouterr().out
    assert "updated" in told
    assert RUNBOOKS not in told


def test_nothing_that_is_written_speaks_of_a_checkout(tmp_path: pathlib.Path) -> None:
    assert [
        name for name, text in contents(tmp_path).items() if b"checkout" in text or b"dashboards/prov" in text
    ] == []


def test_dashboards_are_written_as_they_are() -> None:
    found = shipped()
    made = contents(pathlib.Path("/srv"))
    jsons = [name for name in made if name.endswith(".json")]
    assert jsons
    assert {name: made[name] for name in jsons} == {name: found[name].read_bytes() for name in jsons}
    json.loads(made["grafana/dashboards/circus-overview.json"])


def test_a_mistake_is_a_line_and_a_status(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert main(["--to", str(tmp_path / "file")]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    (tmp_path / "provisioning/grafana/dashboards").mkdir(parents=True)
    (tmp_path / "provisioning/grafana/dashboards/circus.yml").write_text("mine\n")
    assert main(["--to", str(tmp_path)]) == 1
    assert "--force overwrites them" in capsys.readouterr().err
    assert main(["--to", str(tmp_path), "--force"]) == 0
