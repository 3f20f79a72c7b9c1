"""How changes of options are told: in the record `watcher.changed`, and by `plan` and `reloadconfig`.

Invariant: what may be a secret is masked, for records are kept and the journal is read by many; every value has a form
in JSON.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from typing import Any, Final

from circus.spec.diff import Change, OptionChange
from circus.wire.messages import MASK, masked

_PLAIN = (str, int, float, bool, type(None), list, dict)


MOST_TOLD: Final = 500
"""Options in a record: a request may set very many, and there are thousands of records."""


def told_changes(options: Iterable[OptionChange], most: int | None = MOST_TOLD) -> tuple[dict[str, Any], ...]:
    """Options with what they were and what they are: `name`, `old`, `new`, `effect`; of more than `most` the first, and
    how many follow.
    """
    known = list(options)
    told = [
        {
            "name": option.name,
            "old": _told(option.name, option.old),
            "new": _told(option.name, option.new),
            "effect": option.effect.name.lower(),
        }
        for option in known[:most]
    ]
    if len(known) > len(told):
        effect = max(option.effect for option in known).name.lower()
        told.append({"name": f"… and {len(known) - len(told)} more", "old": None, "new": None, "effect": effect})
    return tuple(told)


def told_to_stay(watcher: str, options: Iterable[OptionChange]) -> str:
    """The end of the sentence about a `set` that failed: its values are in force nevertheless, and what brings the old
    ones back.
    """
    known = told_changes(options)
    if not known:
        return ""
    words = [shlex.quote(word) for each in known for word in (each["name"], str(each["old"]))]
    shown = all(isinstance(each["old"], str | int | float) and each["old"] != MASK for each in known)
    back = f"`set {shlex.quote(watcher)} {' '.join(words)}`" if shown else "another `set`"
    names = ", ".join(each["name"] for each in known)
    return f"; what was set ({names}) stays in force for all new processes, and {back} brings back what was"


def told_sections(changes: Iterable[Change], *, options: bool = True) -> list[dict[str, Any]]:
    """Sections with what became of them: `subject`, `name`, `action`, `effect`, and perhaps their `options`."""
    return [
        {
            "subject": change.subject,
            "name": change.name,
            "action": change.action,
            "effect": change.effect.name.lower(),
            **({"options": list(told_changes(change.options, None))} if options else {}),
        }
        for change in changes
    ]


def _told(name: str, value: object) -> Any:
    if isinstance(value, tuple | frozenset | set):
        value = list(value)
    elif not isinstance(value, _PLAIN):
        value = str(value)
    # An environment is masked whole; its variables come here one by one.
    where, _, variable = name.partition(".")
    if where == "env" and value is not None:
        return masked({"env": {variable: value}})["env"][variable]
    if value is not None and "headers" in (where, name):
        return MASK
    if name == "url" and isinstance(value, str):
        return _address(value)
    return masked({name: value})[name]


def _address(url: str) -> str:
    """Where it goes, without what lets one in: of many services the path is the password."""
    scheme, _, rest = url.partition("://")
    host = rest.partition("/")[0].rpartition("@")[2]
    return f"{scheme}://{host}/{MASK}" if rest != host else url
