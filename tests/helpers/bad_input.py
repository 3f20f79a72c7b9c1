"""Requests that are wrong in every way we know of, made from the registry of commands.

What properties a command has is read where everybody reads it, in the example requests of its docstring, so a new
command is covered by being documented. Invariant: every request here is valid JSON text in one frame unless it says
otherwise; what is wrong is one property.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from circus.commands.base import Command

# As texts, because some of them are no JSON that Python would write.
VALUES: dict[str, str] = {
    "null": "null",
    "true": "true",
    "zero": "0",
    "minus one": "-1",
    "a fraction": "0.5",
    "huge": "1" + "0" * 30,
    "beyond any integer": "9" * 5000,
    "beyond any float": "1e400",
    "not a number": "NaN",
    "infinity": "-Infinity",
    "nothing": '""',
    "a blank": '" "',
    "a word": '"no such thing"',
    "a long text": json.dumps("x" * 200_000),
    "control characters": '"\\u0000\\n\\u001b[31m"',
    "half a character": '"\\ud800"',
    "a path": '"../../etc/passwd"',
    "an empty list": "[]",
    "a list": '[null, 1, "a", [2], {}]',
    "an empty object": "{}",
    "an object": '{"a": {"b": [1]}, "": null}',
    "deep": "[" * 500 + "]" * 500,
    "very deep": '{"a":' * 50_000 + "1" + "}" * 50_000,
}


class Bad(NamedTuple):
    """One request: what is wrong with it, and its text."""

    command: str
    told: str
    body: bytes


def documented(command: Command) -> dict[str, Any]:
    """All properties in the examples of a command's docstring, with the values they have there."""
    found: dict[str, Any] = {}
    for match in re.finditer(r'"properties":\s*', command.desc):
        properties, _ = json.JSONDecoder().raw_decode(command.desc, match.end())
        found |= properties
    return found


def requests(command: Command, name: str) -> Iterator[Bad]:
    """Every property of a command with every wrong value, and without it; the watcher meant is `name`."""
    properties = documented(command)
    if "name" in properties:
        properties["name"] = name
    for wrong in dict.fromkeys([*properties, *command.properties, "waiting", "no_such_property"]):
        rest = {key: value for key, value in properties.items() if key != wrong}
        yield Bad(command.name, f"without {wrong}", _body(command.name, rest))
        for told, text in VALUES.items():
            yield Bad(command.name, f"{wrong} is {told}", _body(command.name, rest, wrong, text))


def _body(command: str, properties: dict[str, Any], wrong: str | None = None, value: str = "") -> bytes:
    parts = [f"{json.dumps(key)}: {json.dumps(item)}" for key, item in properties.items()]
    if wrong is not None:
        parts.append(f"{json.dumps(wrong)}: {value}")
    return f'{{"command": "{command}", "id": "mine", "properties": {{{", ".join(parts)}}}}}'.encode()


def complaint(reply: bytes | None) -> str | None:
    """What is wrong with an answer to a bad request, None when nothing is."""
    if reply is None:
        return "no answer"
    told = json.loads(reply)
    if "Traceback" in json.dumps(told):
        return f"a traceback: {told}"
    if told["status"] != "error":
        return None
    if told.get("errno") not in range(1, 7) or not told.get("reason") or told.get("tb") is not None:
        return f"no proper error: {told}"
    if len(told["reason"]) > 20_000:
        return f"a reason of {len(told['reason'])} characters: {told['reason'][:100]}…"
    return None
