"""Where an operation came from; the token that ties what follows to what started it.

A token whose cause is a record is made before that record has its number: whoever records fills `seq` and `trace`
in, and everything decided in the same breath, which holds the same token, then carries them.
"""

from __future__ import annotations

import msgspec


class Origin(msgspec.Struct, kw_only=True, gc=False):
    """The cause of records: kind is command, record, timer, signal, config or boot."""

    kind: str
    id: str | None = None
    name: str | None = None
    actor: str | None = None
    hash: str | None = None
    seq: int | None = None
    trace: str | None = None
    """32 hex digits; drawn by the recorder at the first record of the operation when nobody gave one."""
    context: str | None = None
    """The trace context of the record that began the operation, where it is not a record of `seq`."""
