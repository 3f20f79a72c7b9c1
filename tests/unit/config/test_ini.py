"""The grammar of an ini file, line by line."""

from __future__ import annotations

import pytest

from circus.config.ini import Document, parse


def read(text: str) -> Document:
    return parse(text.encode(), "x.ini")


def values(text: str, title: str = "a") -> dict[str, str]:
    document = read(text)
    assert document.mistakes == []
    return {name: entry.value for name, entry in document.entries(title).items()}


def mistakes(text: str) -> list[str]:
    return [str(mistake) for mistake in read(text).mistakes]


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("k = v", "v"),
        ("k: v", "v"),
        ("k=v", "v"),
        ("k   :   v  ", "v"),
        ("k = a = b : c", "a = b : c"),
        ("k = a b  ; comment", "a b"),
        ("k = a;b ; not looked at", "a;b ; not looked at"),
        ("k = ; comment", ""),
        ("k =;v", ";v"),
        ("k = v # data", "v # data"),
        ('k = ""', ""),
        ('k = "v"', '"v"'),
        ("k = %(x)s", "%(x)s"),
        ("k =", ""),
        ("k = é", "é"),
    ],
)
def test_an_option_is_a_name_and_a_value(line: str, value: str) -> None:
    assert values(f"[a]\n{line}\n") == {"k": value}


@pytest.mark.parametrize("line", ["# k = v", "; k = v", "rem k = v", "REM", "", "   ", "\t"])
def test_comments_and_blank_lines_say_nothing(line: str) -> None:
    assert values(f"[a]\n{line}\nx = 1") == {"x": "1"}


def test_a_name_that_only_begins_with_rem_is_an_option() -> None:
    assert values("[a]\nremote = 1") == {"remote": "1"}


def test_an_indented_line_continues_an_option() -> None:
    assert values("[a]\nk = 1\n  2\n\n\t3 = x ; y\nl = 4") == {"k": "1\n2\n3 = x ; y", "l": "4"}


def test_an_indented_comment_belongs_to_the_value_and_is_warned_about() -> None:
    document = read("[a]\nk = 1\n  # two\n")
    assert document.entries("a")["k"].value == "1\n# two"
    assert [(warning.line, warning.option) for warning in document.warnings] == [(3, "k")]


def test_names_keep_their_case() -> None:
    assert values("[a]\nk = 1\nK = 2") == {"k": "1", "K": "2"}


def test_the_first_definition_wins_and_what_continues_another_is_forgotten() -> None:
    assert values("[a]\nk = 1\nk = 2\n  more\n[b]\n[a]\nk = 3\nl = 4") == {"k": "1", "l": "4"}


def test_a_second_definition_is_warned_about_and_the_line_that_counts_is_named() -> None:
    document = read("[a]\nk = 1\n[b]\nk = 1\n[a]\nl = 1\nk = 2\n  more\n")
    assert [(told.line, told.section, told.option, told.value, told.expected) for told in document.warnings] == [
        (7, "a", "k", "2", "is written a second time; what counts is line 2"),
    ]


def test_default_is_seen_in_every_section_and_a_section_wins_over_it() -> None:
    assert values("[a]\nk = own\n[DEFAULT]\nk = shared\nl = shared") == {"k": "own", "l": "shared"}


@pytest.mark.parametrize(
    ("header", "title"),
    [("[a]", "a"), ("[watcher:a b]", "watcher:a b"), ("[x[0]]", "x[0]"), ("[a] ; why", "a"), ("[a] # why", "a")],
)
def test_a_header_names_a_section(header: str, title: str) -> None:
    assert values(f"{header}\nk = 1", title) == {"k": "1"}


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_end_in_any_way(end: str) -> None:
    assert values(end.join(["[a]", "k = 1", "  2", "l = 3"])) == {"k": "1\n2", "l": "3"}


def test_only_line_ends_end_a_line() -> None:
    assert values("[a]\nk = 1\x0b2\u20283") == {"k": "1\x0b2\u20283"}


def test_a_byte_order_mark_is_no_text() -> None:
    assert parse(b"\xef\xbb\xbf[a]\nk = 1", "x.ini").mistakes == []


def test_an_entry_knows_where_it_stands() -> None:
    entry = read("# x\n[a]\n\nk = 1").entries("a")["k"]
    assert (entry.file, entry.line) == ("x.ini", 4)


def test_a_bare_name_is_a_mistake_and_reading_goes_on() -> None:
    assert mistakes("[a]\nbare\nalso\nk = 1") == [
        "x.ini:2: [a] 'bare': an option is written NAME = VALUE",
        "x.ini:3: [a] 'also': an option is written NAME = VALUE",
    ]


def test_a_value_without_name_is_a_mistake() -> None:
    assert mistakes("[a]\n = 1\n") != []
    assert mistakes("[a]\n= 1") == ["x.ini:2: [a] '= 1': an option needs a name before the = or :"]


def test_an_indented_line_with_nothing_above_it_is_a_mistake() -> None:
    assert mistakes("[a]\n  k = 1") == [
        "x.ini:2: [a] 'k = 1': an indented line continues an option, and there is none above it"
    ]


def test_text_before_the_first_section_is_one_mistake() -> None:
    assert mistakes("k = 1\nl = 2\n[a]\nm = 3") == [
        "x.ini:1: 'k = 1': a section such as [circus] or [watcher:NAME] has to come first"
    ]


@pytest.mark.parametrize("text", ["---\nx: 1", "circus:\n  endpoint: x", '{"circus": {}}'])
def test_yaml_and_json_are_recognized(text: str) -> None:
    assert "looks like YAML or JSON" in mistakes(text)[0]


def test_bytes_that_are_no_text_are_a_mistake_with_their_line() -> None:
    (mistake,) = parse(b"[a]\nk = 1\nl = \xff\n", "x.ini").mistakes
    assert (mistake.line, mistake.expected) == (3, "UTF-8 text expected")


def test_a_nul_character_is_a_mistake() -> None:
    assert mistakes("[a]\nk = 1\x002\nl = 3") == ["x.ini:2: [a]: a NUL character is not text"]


def test_of_two_files_the_first_wins_option_by_option() -> None:
    document, other = read("[a]\nk = 1"), parse(b"[a]\nk = 2\nl = 3\n[b]\nm = 4", "y.ini")
    document.merge(other)
    assert {name: entry.value for name, entry in document.entries("a").items()} == {"k": "1", "l": "3"}
    assert document.entries("a")["l"].file == "y.ini"
    assert document.titles() == ["a", "b"]
