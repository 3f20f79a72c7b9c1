"""Two recordings of one script compared, and the reviewed list of what may differ.

`scrubbed` takes out of a recording what is new in every run (times, pids, directories, numbers of descriptors and
ports), and leaves everything else. `compared` then gives the differences one by one: a path into the outcome, or
`events.WATCHER`, with what was there before and now. An entry of differences.toml explains those that match it; `*` in
its texts stands for anything. Invariant: a difference is explained by an entry or the test fails, and an entry that
explains nothing any more fails too.
"""

from __future__ import annotations

import difflib
import functools
import itertools
import json
import pathlib
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.helpers.scripts import Recording

_MOMENTS = {"time", "create_time", "started", "age", "cpu", "mem"}
_SIZES = {"mem_info1", "mem_info2"}
_NUMBER = re.compile(r"\d+([.:]\d+)*[BKMG]?")
_ID = re.compile(r"\b[0-9a-f]{32}\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One value that is not the same; an empty text is one that is not there."""

    script: str
    step: str
    path: str
    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.script}: {self.step}: {self.path}\n    0.19: {self.old or '-'}\n    ours: {self.new or '-'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What is known to differ, and why. `where` are `script: step` patterns."""

    reason: str
    where: tuple[str, ...]
    path: str
    old: str
    new: str

    def explains(self, found: Difference) -> bool:
        return (
            any(_like(where, f"{found.script}: {found.step}") for where in self.where)
            and _like(self.path, found.path)
            and _like(self.old, found.old)
            and _like(self.new, found.new)
        )


def entries(path: pathlib.Path) -> list[Entry]:
    """The reviewed list; an entry without a reason is refused."""
    found = []
    for table in tomllib.loads(path.read_text())["difference"]:
        assert table["reason"].strip(), f"no reason: {table}"
        where = table.get("where", "*")
        found.append(
            Entry(
                reason=table["reason"],
                where=tuple([where] if isinstance(where, str) else where),
                path=table["path"],
                old=table.get("old", "*"),
                new=table.get("new", "*"),
            )
        )
    return found


@functools.cache
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, text.split("*"))), re.DOTALL)


def _like(pattern: str, text: str) -> bool:
    return _pattern(pattern).fullmatch(text) is not None


def compared(script: str, old: Recording, new: Recording) -> list[Difference]:
    """Every difference between two recordings, in order."""
    assert [step.name for step in old.steps] == [step.name for step in new.steps]
    before, after = _Scrubber(old), _Scrubber(new)
    found = []
    for was, now in zip(old.steps, new.steps, strict=True):
        leaves, lines = before.outcome(was.outcome, loose=was.loose)
        new_leaves, new_lines = after.outcome(now.outcome, loose=now.loose)
        pairs = itertools.chain(
            _unequal(leaves, new_leaves),
            _unlike(lines, new_lines),
            _unlike(before.events(was.events), after.events(now.events)),
        )
        found += [Difference(script=script, step=was.name, path=path, old=a, new=b) for path, a, b in pairs]
    return found


def _unequal(old: dict[str, str], new: dict[str, str]) -> Iterator[tuple[str, str, str]]:
    for path in dict.fromkeys([*old, *new]):
        if old.get(path) != new.get(path):
            yield path, old.get(path, ""), new.get(path, "")


def _unlike(old: dict[str, list[str]], new: dict[str, list[str]]) -> Iterator[tuple[str, str, str]]:
    for path in dict.fromkeys([*old, *new]):
        was, now = old.get(path, []), new.get(path, [])
        for word, a, b, c, d in difflib.SequenceMatcher(None, was, now, autojunk=False).get_opcodes():
            if word != "equal":
                for left, right in itertools.zip_longest(was[a:b], now[c:d], fillvalue=""):
                    yield path, left, right


class _Scrubber:
    """What is left of a recording when the accidents of one run are taken out."""

    def __init__(self, recording: Recording) -> None:
        self._pids = recording.pids
        self._places = recording.places

    def outcome(self, value: Any, *, loose: bool) -> tuple[dict[str, str], dict[str, list[str]]]:
        """The leaves of an outcome by their paths, and what is there line by line."""
        leaves: dict[str, str] = {}
        lines: dict[str, list[str]] = {}
        self._flatten("reply", "", value, leaves, lines)
        if loose:
            leaves = {path: _NUMBER.sub("N", text) for path, text in leaves.items()}
            lines = {path: [_NUMBER.sub("N", text) for text in texts] for path, texts in lines.items()}
        return leaves, lines

    def events(self, events: list[tuple[str, str, dict[str, Any]]]) -> dict[str, list[str]]:
        """The events by watcher. Equal actions in a row are of processes that raced, so they are sorted."""
        by_watcher: dict[str, list[str]] = {}
        for watcher, action, body in events:
            words = [f"{key}={self._leaf(key, value)}" for key, value in body.items()]
            by_watcher.setdefault(f"events.{watcher}", []).append(" ".join([action, *sorted(words)]))
        return {
            watcher: [text for _, run in itertools.groupby(texts, lambda text: text.split()[0]) for text in sorted(run)]
            for watcher, texts in by_watcher.items()
        }

    def _flatten(self, path: str, key: str, value: Any, leaves: dict[str, str], lines: dict[str, list[str]]) -> None:
        if isinstance(value, dict) and value:
            for name, item in value.items():
                said = self._pids.get(int(name), name) if name.isdigit() else self._text(name)
                self._flatten(f"{path}.{said}", name, item, leaves, lines)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for number, item in enumerate(value):
                self._flatten(f"{path}.{number}", key, item, leaves, lines)
        elif isinstance(value, list) and value and isinstance(value[0], str):
            lines[path] = [self._text(item) for item in value]
        else:
            leaves[path] = self._leaf(key, value)

    def _leaf(self, key: str, value: Any) -> str:
        if key in _MOMENTS and isinstance(value, int | float) and not isinstance(value, bool):
            return "NUMBER"
        if key in _SIZES and isinstance(value, str):
            return re.sub(r"^\d+(\.\d\d)?[BKMG]$", "SIZE", value)
        if key == "ctime":
            return re.sub(r"^\d+:\d\d?\.\d+$", "CPUTIME", str(value))
        if key in {"fd", "port", "id"} and value is not None:
            return key.upper()
        if key == "tb" and value is not None:
            return "TRACEBACK"
        if isinstance(value, list):
            named = [self._named(item) for item in value]
            return json.dumps(sorted(named, key=str) if key == "stopped" else named)  # those raced
        return json.dumps(self._named(value), ensure_ascii=False)

    def _named(self, value: Any) -> Any:
        if isinstance(value, bool):
            return value
        if isinstance(value, int):
            return self._pids.get(value, value)
        return self._text(value) if isinstance(value, str) else value

    def _text(self, text: str) -> str:
        for place, name in self._places.items():
            text = text.replace(place, name)
        text = _ID.sub("ID", text)
        text = re.sub(r"command b['\"].*['\"]: ", "command REQUEST: ", text, flags=re.DOTALL)
        text = re.sub(r"\b\d+\.\d+\.\d+(\.dev\d+)?\b", "VERSION", text)
        text = re.sub(r"\b\d{10}\.\d+", "TIME", text)
        return re.sub(r"\b\d+\b", lambda found: self._pids.get(int(found[0]), found[0]), text)
