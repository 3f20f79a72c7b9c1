"""All that one can import from circus 0.19.0, with what can be given to it: it is here too, or the reason why not.

The list is compared with circus 0.19.0 itself in `compat/test_surface.py`.
"""

from __future__ import annotations

import fnmatch
import inspect
import tomllib

from tests.helpers.daemon import REPOSITORY
from tests.helpers.surface import CONSTRUCTOR, Taken, lookup, parameters, parsed

COMPAT = REPOSITORY / "tests/compat"


def reasons() -> dict[str, str]:
    """The reasons by pattern."""
    entries = tomllib.loads((COMPAT / "surface_differences.toml").read_text())["difference"]
    return {pattern: entry["reason"] for entry in entries for pattern in entry["names"]}


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
        there = places[place] if place < len(places) else None
        if each.kind.startswith("VAR_"):
            fits = any(other.kind == each.kind for other in ours)
        elif each.kind == "KEYWORD_ONLY":
            fits = each.name in by_name
        elif there is None:
            fits = swallows
        else:
            fits = there.name == each.name and each.default in (None, there.default)
        if not fits:
            return f"{each.name}={each.default} is not taken: {ours}"
    known = {each.name for each in wanted}
    needed = [each.name for each in places[len(wanted) :] if each.default is None and each.name not in known]
    return f"{needed} would be needed" if needed else None


def test_everything_of_0_19_is_here_or_there_is_a_reason_which_explains_something() -> None:
    lines = map(parsed, (COMPAT / "surface_of_0_19.txt").read_text().splitlines())
    missing = {dotted: told for dotted, wanted in lines if (told := problem(dotted, wanted)) is not None}
    explained = {dotted: pattern for pattern in reasons() for dotted in missing if fnmatch.fnmatchcase(dotted, pattern)}
    assert {dotted: told for dotted, told in missing.items() if dotted not in explained} == {}
    assert set(reasons()) - set(explained.values()) == set(), "these explain nothing any more"
