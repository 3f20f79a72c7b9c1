"""Options in commands, under the names of circus 0.19: for third parties whose commands set some."""

from __future__ import annotations

from typing import Any

from circus.commands.options_of import from_text
from circus.config.platform import this_platform
from circus.spec.typed import validate

__all__ = ["convert_option", "validate_option"]


def convert_option(key: str, val: str) -> Any:
    """The value of an option from a word of a command line; ArgumentError where it does not fit."""
    return from_text(key, val)


def validate_option(key: str, val: Any) -> None:
    """Raise MessageError unless a watcher has this option and the value fits it."""
    validate(key, val, this_platform())
