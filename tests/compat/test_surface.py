"""All that one can import from circus 0.19.0, with what can be given to it: it is here too, or the reason why not."""

from __future__ import annotations

import fnmatch
import inspect
import pathlib
import subprocess
import tomllib
from functools import cache

import pytest

from tests.helpers import real
from tests.helpers.daemon import REPOSITORY
from tests.helpers.old_circus import clean_environment
from tests.helpers.surface import CONSTRUCTOR, Taken, lookup, parameters, parsed

HERE = pathlib.Path(__file__).parent
LIST = HERE / "surface_of_0_19.txt"


def lines() -> list[str]:
    return LIST.read_text().splitlines()


@cache
def differences() -> dict[str, str]:
    """The reasons by pattern."""
    entries = tomllib.loads((HERE / "surface_differences.toml").read_text())["difference"]
    return {pattern: entry["reason"] for entry in entries for pattern in entry["names"]}


def explained(dotted: str) -> str | None:
    return next((pattern for pattern in differences() if fnmatch.fnmatchcase(dotted, pattern)), None)


def problem(dotted: str, wanted: list[Taken] | None) -> str | None:
    """What is missing here; None when nothing is."""
    try:
        found = lookup(dotted)
    except (AttributeError, ImportError) as error:
        return str(error)
    if wanted is None:
        return None
    ours = parameters(getattr(found, CONSTRUCTOR) if inspect.isclass(found) else found)
    if ours is None:
        return "it does not tell what it takes"
    by_name = {each.name: each for each in ours}
    places = [each for each in ours if each.kind == "POSITIONAL_OR_KEYWORD"]
    swallows = any(each.kind == "VAR_POSITIONAL" for each in ours)
    for place, each in enumerate(wanted):
        if each.kind.startswith("VAR_"):
            fits = any(other.kind == each.kind for other in ours)
        elif each.kind == "KEYWORD_ONLY":
            fits = each.name in by_name
        else:
            there = places[place] if place < len(places) else None
            fits = swallows if there is None else there.name == each.name and each.default in (None, there.default)
        if not fits:
            return f"{each.name}={each.default} is not taken: {ours}"
    known = {each.name for each in wanted}
    needed = [each.name for each in places[len(wanted) :] if each.default is None and each.name not in known]
    return f"{needed} would be needed" if needed else None


@pytest.mark.real
def test_the_list_is_what_0_19_has() -> None:
    modules = sorted({parsed(line)[0].rpartition(".")[0] for line in lines()}, key=len)
    python = real.old_circus("python")
    script = "import sys, importlib\nfor each in sys.argv[1:]:\n    try: importlib.import_module(each); print(each)\n    except ImportError: pass"
    env = clean_environment({"PYTHONWARNINGS": "ignore"})
    there = subprocess.run(
        [python, "-I", "-c", script, *modules], capture_output=True, text=True, check=True, env=env, cwd="/"
    ).stdout.split()
    told = subprocess.run(
        [python, "-I", str(REPOSITORY / "tests/helpers/surface.py"), *there],
        capture_output=True,
        text=True,
        check=True,
        env=env,
        cwd="/",
    )
    assert sorted(told.stdout.splitlines()) == sorted(lines())


@pytest.mark.parametrize("line", lines(), ids=lambda line: parsed(line)[0])
def test_it_is_here_or_there_is_a_reason(line: str) -> None:
    dotted, wanted = parsed(line)
    missing = problem(dotted, wanted)
    assert missing is None or explained(dotted) is not None, missing


@pytest.mark.parametrize("pattern", sorted(differences()))
def test_a_reason_still_explains_something(pattern: str) -> None:
    concerned = [parsed(line) for line in lines() if fnmatch.fnmatchcase(parsed(line)[0], pattern)]
    assert any(problem(*each) is not None for each in concerned)
