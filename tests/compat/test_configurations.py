"""What circus 0.19.0 and ours make of the same configurations, option by option.

Two collections: the files of corpus/, in which every option of 0.19 occurs, and a matrix that gives each option in turn
each of some values, right and wrong. What differs must be in configurations.toml with its reason, and what is there must
still differ.
"""

from __future__ import annotations

import pathlib
import shutil
import subprocess
from collections.abc import Mapping

import pytest

from circus.spec.fields import CIRCUS, FAMILIES, SOCKET, STREAM, WATCHER, Option
from circus.spec.watcher import HOOK_NAMES
from tests.helpers import configs, differences
from tests.helpers.daemon import script
from tests.helpers.differences import Difference

pytestmark = pytest.mark.real

HERE = pathlib.Path(__file__).parent
FILES = sorted(path.name for path in (HERE / "corpus").glob("*.ini"))
KNOWN = differences.entries(HERE / "configurations.toml")

VALUES = (
    "", "0", "1", "5", "-1", "007", "5.0", "0.5", "1e3", "nan", "inf", "99999999999999999999", "yes", "off", "Yes!", "none",
    "abc", "a b", "$(circus.env.HOME)", "((circus.env.NOWHERE))", "5 ; comment", "term", "SIGRTMIN+2", "a,b", "root",
)  # fmt: skip
# What is opened, imported or looked up in the DNS when it is read.
APART = {"include", "include_dir", "virtualenv", "virtualenv_py_ver", "loggerconfig", "httpd", "host"}


def matrix() -> dict[str, str]:
    """The configurations by name: one option with one value each."""
    made = {}
    around: list[tuple[str, Mapping[str, Option], str]] = [
        ("circus", CIRCUS, "[circus]\n{}\n"),
        ("watcher", WATCHER, "[watcher:w]\n{}\ncmd = sleep 1\n"),
        ("socket", SOCKET, "[socket:s]\n{}\nport = 0\n"),
    ]
    for kind, table, text in around:
        for name, row in table.items():
            if row.new or name in APART:
                continue
            for value in VALUES:
                made[f"{kind} {name} = {value}"] = text.format(f"{name} = {value}")
    for value in VALUES:
        made[f"watcher rlimit_nofile = {value}"] = f"[watcher:w]\ncmd = sleep 1\nrlimit_nofile = {value}\n"
        made[f"watcher hooks.before_start flag = {value}"] = (
            f"[watcher:w]\ncmd = sleep 1\nhooks.before_start = os.path.exists, {value}\n"
        )
        made[f"plugin priority = {value}"] = f"[plugin:p]\nuse = a.b\npriority = {value}\n"
    return made


def written(directory: pathlib.Path, texts: Mapping[str, str]) -> list[pathlib.Path]:
    paths = []
    for number, text in enumerate(texts.values()):
        paths.append(directory / f"{number}.ini")
        paths[-1].write_text(text)
    return paths


@pytest.fixture(scope="module")
def of_corpus(tmp_path_factory: pytest.TempPathFactory) -> list[Difference]:
    directory = tmp_path_factory.mktemp("corpus")
    shutil.copytree(HERE / "corpus", directory, dirs_exist_ok=True)
    paths = [directory / name for name in FILES]
    return _differences(FILES, paths)


@pytest.fixture(scope="module")
def of_matrix(tmp_path_factory: pytest.TempPathFactory) -> list[Difference]:
    texts = matrix()
    return _differences(list(texts), written(tmp_path_factory.mktemp("matrix"), texts))


def _differences(names: list[str], paths: list[pathlib.Path]) -> list[Difference]:
    found = []
    for name, path, old in zip(names, paths, configs.understood_by_old(paths), strict=True):
        found += configs.compared(name, old, configs.understood(path))
    return found


def unknown(found: list[Difference]) -> str:
    return "\n".join(str(one) for one in found if not any(entry.explains(one) for entry in KNOWN))


def test_the_files_mean_the_same(of_corpus: list[Difference]) -> None:
    told = unknown(of_corpus)
    assert not told, told


def test_each_option_takes_and_refuses_the_same_values(of_matrix: list[Difference]) -> None:
    told = unknown(of_matrix)
    assert not told, told


def test_every_listed_difference_is_still_there(of_corpus: list[Difference], of_matrix: list[Difference]) -> None:
    stale = [entry for entry in KNOWN if not any(map(entry.explains, of_corpus + of_matrix))]
    assert not stale, "does not differ any more:\n" + "\n".join(map(str, stale))


def test_every_option_of_0_19_is_in_the_corpus() -> None:
    text = "\n".join((HERE / "corpus" / name).read_text() for name in FILES)
    rows = [row.name for table in (CIRCUS, WATCHER, SOCKET) for row in table.values() if not row.new]
    wanted = {*rows, *(f"hooks.{name}" for name in HOOK_NAMES), *(f"stdout_stream.{name}" for name in STREAM)}
    wanted |= {family.prefix for family in FAMILIES if not family.new}
    wanted -= {"env"}  # no option in a file
    assert not [name for name in sorted(wanted) if f"\n{name}" not in text]


@pytest.mark.parametrize("name", FILES)
def test_check_says_of_a_file_what_circusd_does_with_it(name: str, tmp_path: pathlib.Path) -> None:
    """The program, not the functions below it."""
    shutil.copytree(HERE / "corpus", tmp_path, dirs_exist_ok=True)
    told = configs.understood(tmp_path / name)
    left_out = [
        title
        for kind in ("watchers", "sockets", "plugins")
        for title, options in told[kind].items()
        if "left out" in options
    ]
    checked = subprocess.run(
        [script("circusd"), "--check", name], cwd=tmp_path, env=configs.ENVIRONMENT, capture_output=True, text=True
    )
    assert checked.returncode == (1 if left_out else 0), checked.stderr
    assert all(f":{title}]" in checked.stderr.lower() or title in checked.stderr for title in left_out)
