"""What could come next on a command line of circusctl: for the shells, and for its own prompt.

Owns the guessing; the grammar of a command is the usage in its docstring, so that a new command is completed without a
word here. Refuses to know shells and connections: what the daemon knows is asked through a function. Invariant: no
answer, or one that makes no sense, is no candidate and no error.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from circus.commands import command_names, get_command, get_commands
from circus.commands.base import Command
from circus.console import GLOBAL_OPTIONS, usage
from circus.wire.topics import res_name

# A command asked for, with its properties: the reply, or nothing.
Ask = Callable[..., Mapping[str, Any]]
Candidate = tuple[str, str]

_PART = re.compile(r"\[|\]|[^\s\[\]]+")


class Slot(NamedTuple):
    """A place for a word that is no option: what belongs there, as the usage calls it, and whether it may be missing."""

    kind: str
    optional: bool


class Grammar(NamedTuple):
    """The usage of a command: its places, where the last ones begin to repeat (None: never), the values of options."""

    slots: Sequence[Slot]
    repeats: int | None
    values: Mapping[str, str]


def grammar(text: str) -> Grammar:
    """The grammar of a usage such as `circusctl kill NAME [PID] [--signum SIGNAL]`."""
    slots: list[Slot] = []
    values: dict[str, str] = {}
    repeats: int | None = None
    opened: list[int] = []
    option: str | None = None
    for part in _PART.findall(text.replace("[:", " :"))[2:]:
        if part == "[":
            opened.append(len(slots))
        elif part == "]":
            option = None
            if opened:
                opened.pop()
        elif part.startswith("-"):
            option = part
        elif option is not None:
            values[option] = part
            option = None
        elif not part.startswith(":"):
            slots.append(Slot(part.removesuffix("..."), bool(opened)))
            if part.endswith("..."):
                repeats = opened[-1] if opened else len(slots) - 1
    return Grammar(slots, repeats, values)


def possible(found: Grammar, position: int) -> list[str]:
    """What may stand at that place, counted from 0: with optional words left out, it may be several things."""
    if found.repeats is not None and position >= len(found.slots):
        round_ = len(found.slots) - found.repeats
        return [found.slots[found.repeats + (position - found.repeats) % round_].kind]
    kinds = []
    for number, slot in enumerate(found.slots):
        skipped = sum(before.optional for before in found.slots[:number])
        if number - skipped <= position <= number:
            kinds.append(slot.kind)
    return kinds


def candidates(words: Sequence[str], ask: Ask, *, told: bool = True) -> list[Candidate]:
    """What the last of these words (after `circusctl`) could become, each with a word about it if `told`."""
    *before, current = words or [""]
    at = 0
    takes = {flag for flag, value, _ in GLOBAL_OPTIONS if value}
    while at < len(before) and before[at].startswith("-"):
        at += 2 if before[at] in takes else 1
    if at > len(before):
        return []  # the value of a global option: anything
    rest = before[at:]
    if not rest and current.startswith("-"):
        return _fitting(((flag, help_) for flag, _, help_ in GLOBAL_OPTIONS), current)
    if not rest:
        known = sorted(get_commands().items()) if told else []
        return _fitting([(name, each.short) for name, each in known] or [(n, "") for n in command_names()], current)
    command = get_command(rest[0])
    return [] if command is None else _of_command(command, rest[1:], current, ask)


def _of_command(command: Command, before: Sequence[str], current: str, ask: Ask) -> list[Candidate]:
    found = grammar(usage(command))
    switches = {f"--{long}" for _, long, default, _ in command.options if isinstance(default, bool)}
    options = {f"--{long}": help_ for _, long, _, help_ in command.options}
    longs = {f"-{short}": f"--{long}" for short, long, _, _ in command.options if len(short) == 1}
    given: list[str] = []
    pending: str | None = None
    for word in before:
        if pending is not None:
            pending = None
        elif word.startswith("-"):
            long = longs.get(word, word)
            pending = word if long in options and long not in switches else None
        else:
            given.append(word)
    if pending is not None:
        return _fitting(_values(found.values.get(pending, ""), given, ask), current)
    if current.startswith("-"):
        return _fitting({**options, "--help": "show how it is called"}.items(), current)
    kinds = possible(found, len(given))
    return _fitting((one for kind in kinds for one in _values(kind, given, ask)), current)


def _values(kind: str, given: Sequence[str], ask: Ask) -> Iterable[Candidate]:
    if "|" in kind:
        return [(choice, "") for choice in kind.split("|")]
    if kind in {"NAME", "WATCHERS"}:
        statuses = ask("status").get("statuses")
        return list(statuses.items()) if isinstance(statuses, Mapping) else []
    if kind == "PID" and given:
        pids = ask("list", name=given[0]).get("pids")
        return [(str(pid), given[0]) for pid in pids] if isinstance(pids, list) else []
    if kind in {"KEY", "OPTION"}:
        options = (ask("options", name=given[0]) if given else ask("globaloptions")).get("options")
        return [(key, str(value)) for key, value in options.items()] if isinstance(options, Mapping) else []
    if kind == "VALUE" and given:
        return _values_of(given[-1])
    if kind == "SIGNAL":
        from signal import Signals

        return [(signal.name.removeprefix("SIG"), str(int(signal))) for signal in Signals]
    if kind == "ALERT":
        names, alerts = (ask("alerts").get(key) for key in ("configured", "alerts"))
        firing = {each["alert"]: "fires" for each in _dicts(alerts) if isinstance(each.get("alert"), str)}
        known = [name for name in names if isinstance(name, str)] if isinstance(names, list) else []
        return list({**dict.fromkeys(known, ""), **firing}.items())
    if kind == "SILENCE":
        return [
            (str(each.get("id")), f"{each.get('watcher')}: {each.get('comment')}")
            for each in _dicts(ask("alerts").get("silences"))
        ]
    if kind == "TOPIC":
        all_ = [("watcher.", "what happens to watchers"), ("lifecycle.", "everything, with its cause")]
        return all_ + [(f"watcher.{res_name(name)}.", name) for name, _ in _values("NAME", given, ask)]
    return []


def _dicts(value: object) -> list[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []


def _values_of(option: str) -> Iterable[Candidate]:
    """What an option of a watcher can be, where that is one of a few."""
    from circus.spec.fields import WATCHER
    from circus.spec.kinds import SIGNAL

    row = WATCHER.get(option.lower())
    if row is None:
        return []
    if row.kind is SIGNAL:
        return _values("SIGNAL", (), lambda *_, **__: {})
    words = ["true", "false"] if row.kind.word == "boolean" else row.kind.word.split(" | ")
    return [(word, "") for word in words] if len(words) > 1 else []


def _fitting(found: Iterable[Candidate], current: str) -> list[Candidate]:
    """Those that begin like the word; names of watchers and signals also in lower case, which is as good."""
    fitting = []
    for name, about in found:
        if name.startswith(current):
            fitting.append((name, about))
        elif name.lower().startswith(current):
            fitting.append((name.lower(), about))
    return fitting


def split(line: str) -> list[str]:
    """The words of an unfinished line, the last of which is being written; quotes may still be open."""
    if (len(line) - len(line.rstrip("\\"))) % 2:
        line = line[:-1]  # of what it escapes nothing is written yet
    for end in ("", '"', "'"):
        try:
            words = shlex.split(line + end)
        except ValueError:
            continue
        return [*words, ""] if not line or (line[-1].isspace() and not end and line[-2:-1] != "\\") else words
    return [""]


def _open(line: str) -> bool:
    """Whether a quote is open at the end of the line."""
    try:
        shlex.split(line)
    except ValueError:
        return not line.endswith("\\")
    return False


def for_bash(name: str, current: str, breaks: str, *, quoted: bool = False) -> str:
    """A candidate as bash puts it into the line: without what stands before the last break of words, and escaped unless
    a quote is open.
    """
    kept = max((current.rfind(character) for character in ":=" if character in breaks), default=-1) + 1
    return name[kept:] if quoted else escaped(name[kept:])


def escaped(text: str) -> str:
    """A word as it is typed, with a backslash before what would end it or be replaced."""
    return re.sub(r"([\s\\'\"$`&|;<>()*?#~!{}\[\]])", r"\\\1", text)


def answer(environ: Mapping[str, str], ask: Ask) -> str:
    """What to print for a shell: one candidate a line, or the space-separated words of circus 0.19."""
    shell = environ["AUTO_COMPLETE"]
    if shell in {"bash", "zsh", "fish"}:
        line = environ.get("CIRCUSCTL_LINE", "")
        words = split(line)[1:]
        found = candidates(words, ask, told=shell != "bash")
        if shell == "bash":
            current, breaks, quoted = words[-1] if words else "", environ.get("CIRCUSCTL_BREAKS", ""), _open(line)
            return "\n".join(for_bash(name, current, "" if quoted else breaks, quoted=quoted) for name, _ in found)
        return "\n".join(f"{name}\t{' '.join(about.split())}" for name, about in found)
    # circus 0.19's script for bash: COMP_WORDS and COMP_CWORD, of which it completed the first word only.
    try:
        position = int(environ.get("COMP_CWORD", ""))
    except ValueError:
        return ""
    typed = environ.get("COMP_WORDS", "").split()[1:]
    words = [*typed, ""][:position] if position > 0 else []
    names = [name for name, _ in candidates(words, ask, told=False)] if words else []
    return " ".join(name for name in names if " " not in name)
