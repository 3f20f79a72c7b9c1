"""Any text is read or refused with reasons, and what is written is what is read."""

from __future__ import annotations

import string
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from circus.config.build import check, load
from circus.config.ini import parse
from circus.config.interpolate import expand
from circus.config.platform import this_platform
from circus.exc import ConfigError, Mistake
from circus.spec.diff import changes, watcher_changes
from circus.spec.fields import CIRCUS, FAMILIES, SOCKET, WATCHER, Option

WORDS = st.text(alphabet=string.ascii_letters + string.digits + "_-./ ", min_size=1, max_size=12).map(str.strip)
NAMES = st.text(alphabet=string.ascii_lowercase + "_", min_size=1, max_size=8)
PREFIXES = [family.prefix for family in FAMILIES]
OPTIONS = st.one_of(
    st.sampled_from([*CIRCUS, *WATCHER, *SOCKET, "name", "use"]),
    st.builds(str.__add__, st.sampled_from(PREFIXES), NAMES),
    NAMES,
)
SECTIONS = st.one_of(
    st.sampled_from(["circus", "env", "DEFAULT", "watcher:", "socket:", "plugin:", "exporter:", "env:"]),
    st.builds(str.__add__, st.sampled_from(["watcher:", "socket:", "plugin:", "exporter:", "env:"]), NAMES),
)
TEXTS = st.one_of(
    WORDS,
    st.integers(-10, 2**70).map(str),
    st.sampled_from(["yes", "off", "nan", "1e999", "$(circus.env.A)", "((circus.wid))", "$A", '""', "a;b ; c", "[", "\0"]),
    st.text(max_size=12),
)  # fmt: skip
LINES = st.one_of(
    SECTIONS.map("[{}]".format),
    st.builds("{} = {}".format, OPTIONS, TEXTS),
    st.builds("  {}".format, TEXTS),
    st.text(max_size=20),
)


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as path:
        yield Path(path)


def read_either_way(path: Path) -> None:
    wrong, warnings = check(path, environ={"A": "1"})
    assert all(isinstance(finding, Mistake) and str(finding) for finding in [*wrong, *warnings])
    refused: tuple[Mistake, ...] = ()
    spec = None
    try:
        spec = load(path, environ={"A": "1"})
    except ConfigError as error:
        refused = error.mistakes
    assert (spec is None) == bool(refused)
    assert set(refused) <= set(wrong)
    if spec is not None:
        assert list(spec.omitted) == wrong
        assert changes(spec, spec) == []


@given(data=st.binary(max_size=200))
def test_any_bytes_give_sections_or_mistakes(data: bytes) -> None:
    document = parse(data, "x.ini")
    assert all(mistake.line is not None for mistake in document.mistakes)


@given(data=st.binary(max_size=200))
@settings(max_examples=50, deadline=None)
def test_a_file_of_any_bytes_is_read_or_refused(directory: Path, data: bytes) -> None:
    path = directory / "bytes.ini"
    path.write_bytes(data)
    read_either_way(path)


@given(lines=st.lists(LINES, max_size=25))
@settings(max_examples=150, deadline=None)
def test_a_file_of_plausible_lines_is_read_or_refused(directory: Path, lines: list[str]) -> None:
    path = directory / "lines.ini"
    path.write_text("\n".join(lines), encoding="utf-8", errors="replace")
    read_either_way(path)


PLAIN = st.text(alphabet=string.ascii_letters + string.digits + "éß%#[]'\" -=:;$().", max_size=20).map(str.strip)


@given(
    sections=st.dictionaries(
        st.text(alphabet=string.ascii_letters + ": []", min_size=1, max_size=8).filter(
            lambda title: title != "DEFAULT"
        ),
        st.dictionaries(NAMES.filter(lambda name: name != "rem"), PLAIN, max_size=4),
        max_size=4,
    )
)
def test_what_is_written_is_what_is_read(sections: dict[str, dict[str, str]]) -> None:
    lines = []
    for title, options in sections.items():
        lines.append(f"[{title}]")
        for name, value in options.items():
            lines.append(f"{name} = {value.replace(';', ',').replace(chr(34) * 2, '')}")
            options[name] = value.replace(";", ",").replace(chr(34) * 2, "").strip()
    document = parse("\n".join(lines).encode(), "x.ini")
    assert document.mistakes == []
    read = {
        title: {entry.name: entry.value for entry in document.entries(title).values()} for title in document.titles()
    }
    assert read == sections


def values_of(option: Option) -> st.SearchStrategy[str]:
    """Texts that an option takes, written in the way of 0.19."""
    by_word = {
        "integer": st.integers(0, 60).map(str),
        "seconds": st.floats(0.1, 60).map(lambda number: f"{number:.3f}"),
        "number": st.sampled_from(["0", "0.5", "1"]),
        "boolean": st.sampled_from(["yes", "No", "1", "off"]),
        "signal": st.sampled_from(["TERM", "sigusr1", "9"]),
        "name or id": st.just("0"),
        "octal": st.sampled_from(["022", "77"]),
        "size": st.sampled_from(["0", "500000000", "512M", "2G"]),
    }
    if " | " in option.kind.word:
        return st.sampled_from(option.kind.word.split(" | "))
    return by_word.get(option.kind.word, WORDS)


READABLE = {name: option for name, option in WATCHER.items() if name not in {"env", "virtualenv", "stdin_socket"}}


@given(data=st.data(), names=st.sets(st.sampled_from(sorted(READABLE))))
@settings(max_examples=60, deadline=None)
def test_the_options_of_a_watcher_round_trip(directory: Path, data: st.DataObject, names: set[str]) -> None:
    written = {name: data.draw(values_of(READABLE[name]), label=name) for name in sorted(names)}
    written |= {"cmd": "x", "copy_env": "yes"}
    if "singleton" in written:
        written["numprocesses"] = "1"
    path = directory / "watcher.ini"
    path.write_text("[watcher:web]\n" + "".join(f"{name} = {value}\n" for name, value in written.items()))
    (spec,) = load(path, environ={}).watchers
    for name, text in written.items():
        assert getattr(spec, name) == READABLE[name].kind.parse(text, this_platform())
    assert watcher_changes(spec, load(path, environ={}).watchers[0]) == ()


@given(text=st.text(max_size=40), variables=st.dictionaries(NAMES, PLAIN, max_size=3))
def test_a_text_without_known_variables_stays_as_it_is(text: str, variables: dict[str, str]) -> None:
    assert expand(text, {}) == text
    if "circus." not in text.lower():
        assert expand(text, variables) == text
