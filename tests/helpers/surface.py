"""What a package lets one import: a line for each public name of its modules and of their classes, with its parameters.

Run as a program with the names of modules it prints the surface of the circus that its interpreter finds; it needs
nothing of ours, so that may be 0.19.0's.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

CONSTRUCTOR = "__init__"


class Taken(NamedTuple):
    """One parameter; `default` is text, None where there is none."""

    name: str
    kind: str
    default: str | None


def written(value: Any) -> str:
    """A default in a form that does not depend on the Python that looks at it."""
    if isinstance(value, bool) or value is None or isinstance(value, (str, bytes)):
        return repr(value)
    if isinstance(value, (int, float)):
        return repr(int(value)) if float(value).is_integer() else repr(value)
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(written, value))}]"
    return type(value).__name__


def parameters(function: Any) -> list[Taken] | None:
    """What can be given to it, self apart; None when it does not tell."""
    try:
        found = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    return [
        Taken(each.name, each.kind.name, None if each.default is each.empty else written(each.default))
        for each in found
        if each.name not in ("self", "cls")
    ]


def line(dotted: str, function: Any) -> str:
    """`package.module.name(a, b=1, *args)`."""
    known = parameters(function)
    if known is None:
        return f"{dotted}(...)"
    stars = {"VAR_POSITIONAL": "*", "VAR_KEYWORD": "**"}
    texts: list[str] = []
    by_name_only = False
    for each in known:
        if each.kind == "KEYWORD_ONLY" and not by_name_only:
            texts.append("*")
        by_name_only = by_name_only or each.kind in ("KEYWORD_ONLY", "VAR_POSITIONAL")
        texts.append(stars.get(each.kind, "") + each.name + ("" if each.default is None else f"={each.default}"))
    return f"{dotted}({', '.join(texts)})"


def parsed(text: str) -> tuple[str, list[Taken] | None]:
    """The dotted name of a line, and the parameters where it has some."""
    dotted, _, rest = text.strip().partition("(")
    if not rest or rest == "...)":
        return dotted, None
    given = ast.parse(f"def f({rest}: ...").body[0]
    assert isinstance(given, ast.FunctionDef)
    arguments = given.args
    plain = [*arguments.posonlyargs, *arguments.args]
    defaults = [None] * (len(plain) - len(arguments.defaults)) + [ast.unparse(each) for each in arguments.defaults]
    found = [Taken(each.arg, "POSITIONAL_OR_KEYWORD", default) for each, default in zip(plain, defaults, strict=True)]
    if arguments.vararg is not None:
        found.append(Taken(arguments.vararg.arg, "VAR_POSITIONAL", None))
    for each, given_default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        found.append(Taken(each.arg, "KEYWORD_ONLY", None if given_default is None else ast.unparse(given_default)))
    if arguments.kwarg is not None:
        found.append(Taken(arguments.kwarg.arg, "VAR_KEYWORD", None))
    return dotted, found


def lookup(dotted: str) -> Any:
    """What a dotted name names; AttributeError or ImportError where it names nothing."""
    parts = dotted.split(".")
    for count in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:count]))
        except ModuleNotFoundError:
            continue
        for name in parts[count:]:
            found = getattr(found, name)
        return found
    raise ImportError(dotted)


def _members(dotted: str, found: type) -> Iterator[str]:
    constructor = vars(found).get(CONSTRUCTOR) or getattr(found, CONSTRUCTOR)
    own = constructor is not object.__init__ and not isinstance(constructor, type(object.__init__))
    yield line(dotted, constructor) if own else dotted
    for name, member in inspect.getmembers(found):
        if name in vars(found) and not name.startswith("_"):
            yield line(f"{dotted}.{name}", member) if callable(member) else f"{dotted}.{name}"


def surface(module_name: str) -> Iterator[str]:
    """The lines of one module: what it defines itself, and its constants, some of which come from elsewhere."""
    module = importlib.import_module(module_name)
    for name, value in sorted(vars(module).items()):
        home = getattr(value, "__module__", module_name)
        if name.startswith("_") or inspect.ismodule(value) or home != module_name:
            continue
        dotted = f"{module_name}.{name}"
        if inspect.isclass(value):
            yield from _members(dotted, value)
        else:
            yield line(dotted, value) if callable(value) else dotted


if __name__ == "__main__":
    for each in sys.argv[1:]:
        for told in surface(each):
            sys.stdout.write(f"{told}\n")
