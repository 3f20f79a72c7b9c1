"""Variables in texts."""

from __future__ import annotations

import shlex

import pytest

from circus.config.interpolate import Variables, expand, names_in, split_words

KNOWN = {"circus.wid": "3", "circus.sockets.web": "9", "circus.env.HOME": "/home/x"}


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("--fd $(circus.sockets.web) ((circus.wid))", "--fd 9 3"),
        ("$(CIRCUS.Env.home)/bin", "/home/x/bin"),
        ("$(circus.nope) ((circus.nope))", "$(circus.nope) ((circus.nope))"),
        ("$(env.HOME) $HOME ${circus.wid} (circus.wid)", "$(env.HOME) $HOME ${circus.wid} (circus.wid)"),
        ("$((circus.wid))", "$3"),
        ("", ""),
    ],
)
def test_known_variables_are_replaced_and_nothing_else_is(text: str, expanded: str) -> None:
    assert expand(text, KNOWN) == expanded


def test_a_name_may_come_with_or_without_its_prefix() -> None:
    assert expand("$(circus.wid)", {"wid": "1"}) == expand("$(circus.wid)", {"circus.WID": "1"}) == "1"


def test_a_value_is_not_looked_at_again() -> None:
    assert expand("$(circus.a)", {"a": "$(circus.b)", "b": "x"}) == "$(circus.b)"


def test_variables_take_a_prefix() -> None:
    assert expand("$(circus.env.Path)", Variables({"PATH": "/bin"}, prefix="env.")) == "/bin"


def test_a_text_without_variables_is_returned_as_it_is() -> None:
    text = "sleep 100"
    assert expand(text, KNOWN) is text


def test_the_names_a_text_mentions_are_told_in_lower_case() -> None:
    assert names_in("x $(circus.Sockets.Web) ((circus.wid)) $(other)") == ["sockets.web", "wid"]


@pytest.mark.parametrize(
    "text",
    ["", " ", "/bin/sleep 1000", "  a  --b=c,d  ", "x=%d a@b:c/./-", "a 'b c'", 'a "b c"', "a\\ b", "a\tb\nc", "ä b", "a\u00a0b",
     "a\x0bb c", "a#b #c", "$X ~ * ;|&"],
)  # fmt: skip
def test_words_are_those_of_shlex(text):
    assert split_words(text) == shlex.split(text)


def test_a_quotation_that_is_not_closed_has_no_words():
    with pytest.raises(ValueError, match="quotation"):
        split_words("a 'b")
