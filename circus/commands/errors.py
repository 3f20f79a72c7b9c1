"""The error numbers of replies, under the names of circus 0.19; NOT_PERMITTED is new."""

from __future__ import annotations

from circus.exc import (
    BAD_MSG_DATA_ERROR,
    COMMAND_ERROR,
    INVALID_JSON,
    MESSAGE_ERROR,
    NOT_PERMITTED,
    NOT_SPECIFIED,
    OS_ERROR,
    UNKNOWN_COMMAND,
)

__all__ = [
    "BAD_MSG_DATA_ERROR",
    "COMMAND_ERROR",
    "INVALID_JSON",
    "MESSAGE_ERROR",
    "NOT_PERMITTED",
    "NOT_SPECIFIED",
    "OS_ERROR",
    "UNKNOWN_COMMAND",
]
