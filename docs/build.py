"""The parts of these pages that are made from the code: `python -m docs.build` writes them, a test holds them fresh.

A page is prose. Between `<!-- made from the code: NAME -->` and `<!-- end -->` stands what a maker of that name gives,
and nothing there is edited by hand but one thing: the last column of a table of fields, which tells what a field means.
It is kept when the block is made anew, and a field without it fails the test. Invariant: a page that is fresh stays
byte for byte the same.
"""

from __future__ import annotations

import argparse
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import Enum
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import inspect

from circus.commands import get_commands
from circus.commands.base import Command
from circus.core import process_fsm, watcher_fsm
from circus.wire import alerts, events, logs, samples, snapshot

DOCS: Final = Path(__file__).parent
BLOCK: Final = re.compile(r"(<!-- made from the code: ([\w.-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
_ROW: Final = re.compile(r"^\| `(\w+)` \| [^|]* \| (.*?) ?\|$", re.MULTILINE)

Table = Mapping[Any, Mapping[Any, Enum | None]]


def pages() -> list[Path]:
    """All pages with something in them that is made from the code."""
    return [page for page in sorted(DOCS.rglob("*.md")) if BLOCK.search(page.read_text())]


def fresh(text: str) -> str:
    """The text of a page with its blocks made anew."""
    return BLOCK.sub(lambda found: f"{found[1]}{_make(found[2], found[0])}\n{found[3]}", text)


def _make(name: str, before: str) -> str:
    if name in MAKERS:
        return MAKERS[name]()
    return _fields(STRUCTS[name], dict(_ROW.findall(before)))


# State machines: events down, states across, as the tables in circus/core say it.


def _transitions(table: Table, events: Iterable[Enum]) -> str:
    head = ["event", *(state.name for state in table)]
    rows = [[str(event.value), *(_cell(table[state], event, state) for state in table)] for event in events]
    return _table(head, rows)


def _cell(row: Mapping[Any, Enum | None], event: Enum, state: Enum) -> str:
    if event not in row:
        return "✗"
    following = row[event]
    return "·" if following is None or following is state else following.name


def _diagram(table: Table, first: Enum, last: Iterable[Enum] = ()) -> str:
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {first.name}"]
    for state, row in table.items():
        moves: dict[Enum, list[str]] = {}
        for event, following in row.items():
            if following is not None and following is not state:
                moves.setdefault(following, []).append(str(event.value))
        lines += [f"    {state.name} --> {following.name}: {' / '.join(told)}" for following, told in moves.items()]
    return "\n".join([*lines, *(f"    {state.name} --> [*]" for state in last), "```"])


# Messages: the fields of a struct as JSON has them, and what each means.


def _fields(struct: type[msgspec.Struct], told: Mapping[str, str]) -> str:
    info = inspect.type_info(struct)
    assert isinstance(info, inspect.StructType)
    rows = [[f"`{field.encode_name}`", _json(field.type), told.get(field.encode_name, "")] for field in info.fields]
    doc = " ".join((struct.__doc__ or "").split())
    return f"{doc}\n\n{_table(['field', 'type', 'meaning'], rows)}"


def _json(kind: inspect.Type) -> str:
    match kind:
        case inspect.UnionType(types):
            return " or ".join(map(_json, types))
        case inspect.ListType(item_type=item):
            return f"array of {_json(item)}"
        case inspect.DictType(value_type=value):
            return f"object of {_json(value)}"
        case inspect.LiteralType(values):
            return " or ".join(f"`{value}`" for value in values)
        case inspect.StructType(cls):
            return f"[{cls.__name__}](#{cls.__name__.lower()})"
        case _:
            return _WORDS[type(kind)]


_WORDS: Final[dict[type, str]] = {
    inspect.IntType: "integer",
    inspect.FloatType: "number",
    inspect.StrType: "string",
    inspect.BoolType: "boolean",
    inspect.NoneType: "null",
    inspect.AnyType: "anything",
    inspect.RawType: "record",
}


# Commands: their docstrings, which are also the help of circusctl.


def _commands() -> str:
    return "\n\n".join(_command(command) for _, command in sorted(get_commands().items()))


def _command(command: Command) -> str:
    kind = "Can change something, so its start and end are recorded." if command.changes else "Only reads."
    if not command.changes and command.role != "read":
        kind = "Its start and end are not recorded; what it makes is."
    kind += f" Role: {command.role}."
    needs = f" Required: {', '.join(f'`{name}`' for name in command.properties)}." if command.properties else ""
    return f"## {command.name}\n\n*{kind}{needs}*\n\n{command.desc}"


# The programs: their command lines, as --help tells them.


def _programs() -> str:
    return "\n\n".join(f"## {name}\n\n{_program(*place.split(':'))}" for name, place in PROGRAMS.items())


def _program(module: str, function: str) -> str:
    parser: argparse.ArgumentParser = getattr(import_module(module), function)()
    rows = []
    for action in parser._actions:  # noqa: SLF001 - what is printed by --help is nowhere else
        if action.help == argparse.SUPPRESS or "--help" in action.option_strings:
            continue
        words = " ".join((action.help or "").split()) % {"prog": parser.prog, "default": action.default}
        value = "" if action.nargs == 0 or not action.option_strings else f" {_value(action)}"
        names = ", ".join(f"`{flag}{value}`" for flag in action.option_strings) or f"`{action.dest}`"
        rows.append([names, words[:1].upper() + words[1:]])
    return f"{' '.join((parser.description or '').split())}\n\n{_table(['argument', 'meaning'], rows)}"


def _value(action: argparse.Action) -> str:
    choices = [str(choice) for choice in action.choices or () if str(choice).islower()]
    return "\\|".join(choices) or str(action.metavar or action.dest.upper())


PROGRAMS: Final = {
    "circusd": "circus.circusd:command_line",
    "circusctl": "circus.circusctl:Parser",
    "circus-top": "circus.stats.client:command_line",
    "circus-plugin": "circus.plugins.runner:_parser",
    "circus-exporter": "circus_exporters.cli:parser",
    "circus-exporter dashboards": "circus_exporters.dashboards:parser",
    "circusd-stats": "circus.stats.beside:command_line",
}


# The layers, as pyproject.toml has them for import-linter.


def _layers() -> str:
    contracts = tomllib.loads((DOCS.parent / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract.get("containers") == ["circus"])
    return "\n".join(["```", *layers, "```"])


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines: Iterator[Iterable[str]] = iter([head, ["---"] * len(list(head)), *rows])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


MAKERS: Final[dict[str, Callable[[], str]]] = {
    "process-table": lambda: _transitions(process_fsm.TABLE, process_fsm.ProcessEvent),
    "process-diagram": lambda: _diagram(
        process_fsm.TABLE,
        process_fsm.ProcessState.PENDING,
        (state for state in process_fsm.ProcessState if state in process_fsm.TERMINAL),
    ),
    "watcher-table": lambda: _transitions(watcher_fsm.TABLE, watcher_fsm.WatcherEvent),
    "watcher-diagram": lambda: _diagram(watcher_fsm.TABLE, watcher_fsm.WatcherState.STOPPED),
    "commands": _commands,
    "programs": _programs,
    "layers": _layers,
}
STRUCTS: Final[dict[str, type[msgspec.Struct]]] = {
    found.__name__: found
    for module in (alerts, events, logs, samples, snapshot)
    for found in vars(module).values()
    if isinstance(found, type) and issubclass(found, msgspec.Struct)
}


if __name__ == "__main__":
    for page in pages():
        page.write_text(fresh(page.read_text()))
