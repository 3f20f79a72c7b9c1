"""The words after `circusd`: read without argparse where they are plain, and never otherwise than it would."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from circus.daemon_line import _plain, command_line, words_of

PLAIN = [
    [],
    ["circus.ini"],
    ["--check", "circus.ini"],
    ["circus.ini", "--daemon", "--pidfile", "/run/circusd.pid"],
    ["--log-level", "DEBUG", "--log-output", "-", "circus.ini"],
    ["--log-level=info", "--log-output=a=b", "--logger-config=x.json", "circus.ini"],
    ["--version"],
    ["--trial", "7"],
    ["--pidfile", "one", "--pidfile=two", "circus.ini"],
    ["a file.ini"],
]
NOT_PLAIN = [
    ["--log-lev", "info"],
    ["--daem", "circus.ini"],
    ["--", "circus.ini"],
    ["--pidfile=", "circus.ini"],
    ["circus.ini", "--trial", " 7"],
]
WRONG = [
    ["one.ini", "two.ini"],
    ["--log-level", "loud"],
    ["--log-level"],
    ["--pidfile", "--check"],
    ["--check=yes"],
    ["--trial", "x"],
    ["--bogus"],
    ["-d"],
]


def by_argparse(argv: list[str]) -> dict[str, Any]:
    return vars(command_line().parse_args(argv))


def said(argv: list[str]) -> dict[str, Any]:
    words = words_of(argv)
    return {name: getattr(words, name) for name in by_argparse([])}


@pytest.mark.parametrize("argv", PLAIN, ids=" ".join)
def test_plain_words_mean_what_argparse_takes_them_for(argv):
    assert _plain(argv) is not None
    assert said(argv) == by_argparse(argv)


@pytest.mark.parametrize("argv", NOT_PLAIN, ids=" ".join)
def test_argparse_is_asked_about_all_others(argv):
    assert _plain(argv) is None
    assert said(argv) == by_argparse(argv)


@pytest.mark.parametrize("argv", WRONG, ids=" ".join)
def test_mistakes_are_told_as_argparse_tells_them(argv, capsys):
    with pytest.raises(SystemExit) as ended:
        words_of(argv)
    assert ended.value.code == 2
    assert "usage: circusd" in capsys.readouterr().err


def test_any_order_of_any_few_words_is_read_alike():
    words = ["--check", "--pidfile", "--log-level=info", "--log-output", "-", "circus.ini", "--trial", "5"]
    for few in permutations(words, 3):
        plain = _plain(few)
        if plain is not None:
            assert {name: getattr(plain, name) for name in by_argparse([])} == by_argparse(list(few))
