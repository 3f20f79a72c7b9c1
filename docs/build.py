"""The parts of these pages that are made from the code: `python -m docs.build` writes them, a test holds them fresh.

A page is prose. Between `<!-- made from the code: NAME -->` and `<!-- end -->` stands what a maker of that name gives,
and nothing there is edited by hand but one thing: the last column of a table of fields, which tells what a field means.
It is kept when the block is made anew, and a field without it fails the test. The JSON Schemas in reference/schemas are
made whole, with these meanings. Invariant: a page that is fresh stays byte for byte the same.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
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


# Schemas: of what is published and answered as one message. A reader must take keys that it does not know, so these do.

MESSAGES: Final[dict[str, tuple[type[msgspec.Struct], str]]] = {
    "record": (
        events.Record,
        "Body of the topics lifecycle.<watcher>.<record>, and each record of the command events.",
    ),
    "log-lines": (logs.LogLines, "Body of the topics log.<watcher>.<wid>.<stream>."),
    "watcher-sample": (samples.WatcherSample, "Body of the topics sample.<watcher>."),
    "daemon-sample": (samples.DaemonSample, "Body of the topic sample.-"),
    "telemetry": (snapshot.Telemetry, "Answer of the command telemetry, beside the keys of every reply."),
    "events-answer": (snapshot.EventsAnswer, "Answer of the command events, beside the keys of every reply."),
    "why-answer": (snapshot.WhyAnswer, "Answer of the command why, beside the keys of every reply."),
    "alert-firing": (alerts.Firing, "`data` of a record alert.firing."),
    "alert-resolved": (alerts.Resolved, "`data` of a record alert.resolved."),
    "alert-delivery": (alerts.Delivery, "`data` of a record alert.delivered or alert.failed."),
    "alert-retrying": (alerts.Retrying, "`data` of the command record with retrying."),
    "alert-standing": (alerts.Standing, "`data` of the command record with standing."),
    "alerts-answer": (alerts.AlertsAnswer, "Answer of the command alerts, beside the keys of every reply."),
    "record-request": (alerts.Told, "Properties of the command record."),
    "record-answer": (alerts.Recorded, "Answer of the command record, beside the keys of every reply."),
    "silence-request": (alerts.NewSilence, "Properties of the command silence."),
    "silence-answer": (alerts.Silenced, "Answer of silence and unsilence, beside the keys of every reply."),
    "test-alert-answer": (alerts.Tested, "Answer of the command test-alert, beside the keys of every reply."),
    "tail-answer": (logs.TailAnswer, "Answer of the command tail, beside the keys of every reply."),
}


def schemas() -> dict[Path, str]:
    """The text of each schema, by its file."""
    told = _meanings()
    return {DOCS / f"reference/schemas/{name}.json": _schema(name, *what, told) for name, what in MESSAGES.items()}


def _schema(file: str, struct: type[msgspec.Struct], where: str, told: Mapping[str, Mapping[str, str]]) -> str:
    (root, record), known = msgspec.json.schema_components([struct, events.Record], ref_template="#/$defs/{name}")
    for name in list(known):
        for field in inspect.type_info(STRUCTS[name]).fields:  # type: ignore[attr-defined]  # it is a struct
            if "RawType()" in repr(field.type):  # a record that was encoded already
                properties = known[name]["properties"]
                properties[field.encode_name] = _with_records(properties[field.encode_name], record)
    if "#/$defs/Record" not in json.dumps([root, *(known[name] for name in known if name != "Record")]):
        del known["Record"], known["Cause"]
    for name, definition in known.items():
        if not file.endswith("-request"):
            definition.pop("additionalProperties", None)
        definition["description"] = " ".join(definition.get("description", "").split())
        for field, schema in definition.get("properties", {}).items():
            schema["description"] = told[name][field]
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": struct.__name__, "description": where}
    return json.dumps({**head, **root, "$defs": known}, indent=2, ensure_ascii=False) + "\n"


def _with_records(schema: Any, record: dict[str, Any]) -> Any:
    """The schema with `record` where msgspec has anything at all."""
    if isinstance(schema, dict):
        return {key: _with_records(value, record) for key, value in schema.items()} if schema else dict(record)
    return [_with_records(value, record) for value in schema] if isinstance(schema, list) else schema


def _meanings() -> dict[str, dict[str, str]]:
    """What the pages say of each field, by struct, without the marks of Markdown."""
    return {
        block[2]: {name: _plain(meaning) for name, meaning in _ROW.findall(block[0])}
        for page in pages()
        for block in BLOCK.finditer(page.read_text())
    }


def _plain(markdown: str) -> str:
    return re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", markdown).replace("\\|", "|").strip()


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


# The rules for Prometheus, which stand beside this directory.


def _rules(table: str, *words: str) -> str:
    made: str = getattr(import_module("dashboards.alerts.pages"), table)(*words)
    return made


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
    "alerts-supervisor": lambda: _rules("alerts", "circus.supervisor"),
    "alerts-watchers": lambda: _rules("alerts", "circus.watchers"),
    "alerts-processes": lambda: _rules("alerts", "circus.processes"),
    "alerts-slo": lambda: _rules("alerts", "circus.slo"),
    "alert-thresholds": lambda: _rules("thresholds"),
    "alert-records": lambda: _rules("records"),
}
STRUCTS: Final[dict[str, type[msgspec.Struct]]] = {
    found.__name__: found
    for module in (alerts, events, logs, samples, snapshot)
    for found in vars(module).values()
    if isinstance(found, type) and issubclass(found, msgspec.Struct)
}


if __name__ == "__main__":
    sys.path.insert(0, str(DOCS.parent))  # for `python docs/build.py`
    for page in pages():
        page.write_text(fresh(page.read_text()))
    for schema, text in schemas().items():
        schema.parent.mkdir(exist_ok=True)
        schema.write_text(text)
