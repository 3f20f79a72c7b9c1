"""Variables in texts: `$(circus.NAME)` and `((circus.NAME))`, and the words of a text.

Owns the two spellings; which variables there are is the caller's business. Invariant: a name that is
not known stays as it was written.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping

_OLD_SPELLINGS = (
    (r"\$WID\b|\$\(WID\)|\$\{WID\}", "$(circus.wid)"),
    (r"\$\{circus\.([\w.\-]+)\}", r"$(circus.\1)"),
    (r"\$\{socket:([\w.\-]+)\}", r"$(circus.sockets.\1)"),
    (r"\$\(ENV\.(\w+)\)", r"$(circus.env.\1)"),
)
_VARIABLE = re.compile(r"\$\(circus\.([\w.\-]+)\)|\(\(circus\.([\w.\-]+)\)\)", re.IGNORECASE)
LONGEST = 131_072
"""Characters of a command: one word can have no more on Linux, and splitting takes time that grows with their square."""
_PLAIN = re.compile(r"[\w@%+=:,./ -]*", re.ASCII)


class Variables(dict[str, str]):
    """Variables by name in lower case, without the prefix `circus.`: `wid`, `sockets.web`, `env.home`.

    Worth making once where many texts are expanded with the same variables.
    """

    def __init__(self, variables: Mapping[str, str] | Iterable[tuple[str, str]] = (), *, prefix: str = "") -> None:
        items = variables.items() if isinstance(variables, Mapping) else variables
        super().__init__({f"{prefix}{name}".lower().removeprefix("circus."): value for name, value in items})


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Replace each variable of `text` by its value, once: values are not looked at again.

    Keys may carry the prefix `circus.` or not; case does not matter on either side.
    """
    if not has_variables(text):
        return text
    known = variables if isinstance(variables, Variables) else Variables(variables)

    def value(found: re.Match[str]) -> str:
        return known.get((found[1] or found[2]).lower(), found[0])

    return _VARIABLE.sub(value, text)


def has_variables(text: str) -> bool:
    """Whether there can be anything to expand; cheap, and right when it says no."""
    return "$(" in text or "((" in text


def old_spelling(text: str) -> str | None:
    """What to say about a variable as releases long before 0.19, or its documentation, spelt it; None without one."""
    for spelling, now in _OLD_SPELLINGS:
        found = re.search(spelling, text)
        if found is not None:
            return f"{found[0]} is not replaced, write {found.expand(now)}"
    return None


def names_in(text: str) -> list[str]:
    """The variables that a text mentions, in lower case without `circus.`."""
    if not has_variables(text):
        return []
    return [(found[1] or found[2]).lower() for found in _VARIABLE.finditer(text)]


def split_words(text: str) -> list[str]:
    """The words of a command, as a shell would read them; ValueError where a quotation is not closed."""
    # Most commands have nothing that a shell would treat in its own way, and shlex takes its time for each character.
    return text.split() if _PLAIN.fullmatch(text) else shlex.split(text)
