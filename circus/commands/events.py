"""The command `events`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from circus.commands.base import Command
from circus.commands.record_text import record_line
from circus.commands.values import words
from circus.exc import MessageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from circus.ports import ArbiterLike
    from circus.wire.snapshot import EventsAnswer

MOST = 1000


class Events(Command):
    """Tell what happened: the lifecycle records that the daemon remembers.

    The journal is bounded. `since` is the last `seq` that the caller has (0 for all that is kept), `limit` how many
    records at most (1000, and not more), `watcher` a name (`-` for the daemon's own records), `record` the beginning of
    a kind of record, such as `process.` or `process.exited`. In the reply `first` is the oldest seq kept: one beyond
    the `seq` asked for tells what was lost; `next` is the `since` of the next request; `boot` changes when the daemon
    was started anew, and then `seq` begins again.

    Request:

        {"command": "events", "properties": {"since": 1200, "limit": 1, "watcher": "web", "record": "process."}}

    Reply:

        {"status": "ok", "time": 1795465308.1, "boot": "9c0e8d…", "records": [{"boot": "9c0e8d…", "seq": 1201,
         "previous": 1188, "time": 1795465307.73, "record": "process.exited", "watcher": "web", "wid": 3, "pid": 4242,
         "generation": 7, "cause": {"kind": "record", "seq": 1188}, "traceparent": null, "data": {"outcome": "error"}}],
         "first": 1, "next": 1201}

    Command line, one line a record, newest last; `--follow` goes on with what happens next:

        circusctl events [--since SEQ] [--limit N] [--watcher NAME] [--record KIND] [--follow]
    """

    name = "events"
    changes = False
    options = (
        ("since", "since", "0", "only records with a higher seq"),
        ("limit", "limit", None, "only the last N records"),
        ("watcher", "watcher", None, "only of this watcher (- for the daemon's own)"),
        ("record", "record", None, "only records whose kind begins so, e.g. process.exited"),
        ("follow", "follow", False, "go on with what happens next"),
    )

    def message(self, *args: str, **opts: Any) -> dict[str, Any]:
        words(args, 0)
        props: dict[str, Any] = {"since": int(opts.get("since") or 0), "limit": MOST}
        props |= {key: opts[key] for key in ("watcher", "record") if opts.get(key) is not None}
        return self.make_message(**props)

    def execute(self, arbiter: ArbiterLike, props: dict[str, Any]) -> EventsAnswer:
        import msgspec

        from circus.wire.snapshot import EventsAnswer

        limit = min(_count(props, "limit", MOST), MOST)
        records, first, following = arbiter.journal.replay(
            _count(props, "since", 0), limit, _text(props, "watcher"), _text(props, "record")
        )
        raws = [msgspec.Raw(record) for record in records]
        return EventsAnswer(boot=arbiter.journal.boot, records=raws, first=first, next=following)

    def console_msg(self, msg: Mapping[str, Any]) -> str:
        if msg.get("status") != "ok":
            return self.console_error(msg)
        return "\n".join(record_line(record) for record in msg["records"])


def _count(props: Mapping[str, Any], name: str, default: int) -> int:
    value = props.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise MessageError(f"{name!r} isn't a number from 0 on")
    return value


def _text(props: Mapping[str, Any], name: str) -> str | None:
    value = props.get(name)
    if value is not None and not isinstance(value, str):
        raise MessageError(f"{name!r} isn't a string")
    return value
