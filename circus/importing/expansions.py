"""The `%(NAME)s` of a supervisor configuration, put in; what only the daemon will know becomes a variable of Circus.

Owns how `%(ENV_X)s` and `%(process_num)d` are written for circusd: `$(circus.env.X)`, `$(circus.wid)`. Invariant: a
text that supervisor would refuse is a ValueError with the reason.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

NUMBER = re.compile(r"(?<!%)((?:%%)*)%\(process_num\)([^a-zA-Z]*[a-zA-Z])")
_OURS = re.compile(r"\$\(circus\.env\.(\w+)\)")


class Names(dict[str, object]):
    """What can be named: `names`, then those in `more`, and the environment as `ENV_X`.

    A variable of the environment becomes what circusd replaces when it starts; the values in `environment` are for
    `resolved`.
    """

    def __init__(self, *names: Mapping[str, object], environment: Mapping[str, str]) -> None:
        super().__init__()
        for some in names:
            self.update(some)
        self.environment = environment

    def __missing__(self, name: str) -> str:
        if name.startswith("ENV_") and len(name) > 4:
            return f"$(circus.env.{name[4:]})"
        raise KeyError(name)


def expand(text: str, names: Names) -> str:
    """The text with all names replaced, as Python's `%` does it."""
    try:
        return text % names
    except KeyError as error:
        raise ValueError(f"expected names that supervisor has, not %({error.args[0]})s") from None
    except (TypeError, ValueError) as error:
        raise ValueError(f"expected a text for Python's % operator, where a percent sign is %%: {error}") from None


def resolved(text: str, names: Names) -> str:
    """The text with the variables of the environment as they are now, for what has to be a number or a word."""

    def value(found: re.Match[str]) -> str:
        try:
            return names.environment[found[1]]
        except KeyError:
            raise ValueError(f"expected {found[1]} in the environment of this command") from None

    return _OURS.sub(value, text)


def numbered(text: str) -> set[str]:
    """How a text writes the number of the process: `d`, `02d`; nothing where it does not."""
    return {found[2] for found in NUMBER.finditer(text)}


def with_number(text: str, written: str) -> str:
    """The text with another way to write the number of the process."""
    return NUMBER.sub(lambda found: f"{found[1]}{written}", text)
