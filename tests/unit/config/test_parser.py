"""Python's parser with the grammar of circus 0.19."""

from __future__ import annotations

from configparser import MissingSectionHeaderError, ParsingError
from pathlib import Path

import pytest

from circus.config.parser import DefaultConfigParser, StrictConfigParser, read_config
from circus.exc import ConfigError


def test_names_have_cases_and_the_first_definition_wins() -> None:
    parser = StrictConfigParser()
    parser.read_string('[DEFAULT]\nz = 9\n[a]\nName = x ; said\nname = y\nName = z\nempty = ""\nlong = 1\n  2\n')
    assert dict(parser.items("a")) == {"z": "9", "Name": "x", "name": "y", "empty": "", "long": "1\n2"}


def test_lines_that_are_nothing_are_errors() -> None:
    with pytest.raises(ParsingError):
        StrictConfigParser().read_string("[a]\nnothing\n")
    with pytest.raises(MissingSectionHeaderError):
        StrictConfigParser().read_string("x = 1\n")


def test_values_are_typed_and_expanded() -> None:
    parser = DefaultConfigParser()
    parser.set_env({"N": "5"})
    parser.read_string("[a]\nn = $(circus.env.N)\nyes = on\n")
    assert parser.dget("a", "n", type=int) == 5
    assert parser.dget("a", "n", type=float) == 5.0
    assert parser.dget("a", "yes", type=bool) is True
    assert parser.dget("a", "none", "here") == "here"
    assert (parser.items("a")[0], parser.items("a", noreplace=True)[0]) == (("n", "5"), ("n", "$(circus.env.N)"))
    with pytest.raises(NotImplementedError):
        parser.dget("a", "n", type=list)


def test_included_files_are_read_too(tmp_path: Path) -> None:
    main, more = tmp_path / "main.ini", tmp_path / "more.ini"
    main.write_text("[circus]\ninclude = more.ini\n[watcher:a]\ncmd = x\n")
    more.write_text("[watcher:a]\ncmd = y\nargs = z\n[watcher:b]\ncmd = y\n")
    parser, files = read_config(str(main))
    assert dict(parser.items("watcher:a")) == {"cmd": "x", "args": "z"}
    assert parser.has_section("watcher:b")
    assert files == [str(main), str(more)]
    main.write_text("[circus\n")
    with pytest.raises(ConfigError):
        read_config(str(main))
