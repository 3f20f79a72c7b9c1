"""How a hook is written."""

from __future__ import annotations

import os.path

import pytest

from circus.spec.hooks import hook_text, parse_hook
from circus.spec.watcher import HookSpec


@pytest.mark.parametrize(
    ("text", "hook"),
    [
        ("a.b.c", HookSpec(target="a.b.c")),
        (" a.b , yes ", HookSpec(target="a.b", ignore_failure=True)),
        ("a:b,false", HookSpec(target="a:b")),
    ],
)
def test_a_hook_is_a_name_and_perhaps_a_flag(text: str, hook: HookSpec) -> None:
    assert parse_hook(text) == hook
    assert parse_hook(hook_text(hook)) == hook


@pytest.mark.parametrize("text", ["", ", true", "a.b,", "a.b,perhaps"])
def test_a_hook_without_name_or_with_a_bad_flag_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_hook(text)


def test_a_callable_is_written_as_where_it_was_defined() -> None:
    assert hook_text(HookSpec(target=os.path.exists)) == "genericpath.exists"
