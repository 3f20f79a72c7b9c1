"""How a process ended, in words, from what its record `process.exited` says.

Owns these sentences. Invariant: whatever is missing in a record, there is a sentence, which says no more than is known.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Final

_SENTENCES: Final = {
    "completed": "it ended by itself and said that all was well",
    "exit_error": "it ended by itself with exit status {exit_code}",
    "crash": "it crashed with {signal}",
    "stopped": "it was asked to end",
    "stop_timeout": "it was asked to end and did not, so SIGKILL was needed",
    "max_age": "it had reached its max_age and was replaced",
    "memory_limit": "it had more memory than its memory_limit and was replaced",
    "watchdog": "its watchdog had it replaced",
    "oom": "the kernel killed it because memory ran out: {evidence}",
    "lost": "nobody knows how it ended: {why}",
}


def sentence(data: Mapping[str, Any]) -> str:
    """How a process ended, from the data of its record."""
    reason = data.get("reason")
    if reason is None:
        return "it ended"
    if reason == "killed":
        text = "it died of {signal}, which " + (
            "was sent by the command signal"
            if data.get("initiator") == "supervisor"
            else "came from outside of circusd"
        )
    else:
        text = _SENTENCES.get(reason, "{reason}")
    core = "; core dumped" if data.get("core") else ""
    return text.format_map(defaultdict(lambda: "something", data)) + core
