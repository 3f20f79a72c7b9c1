"""The command `events`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from circus.commands.base import Command, words
from circus.exc import MessageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from circus.consumer import CircusConsumer
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


class Trail:
    """The records that a client has not seen yet, asked for page by page, over gaps and restarts of the daemon.

    `lost` is how many the daemon no longer kept when they were last asked for.
    """

    def __init__(self, call: Callable[[Mapping[str, Any]], Mapping[str, Any]], request: dict[str, Any]) -> None:
        self.lost = 0
        self._call = call
        self._request = request
        self._boot: str | None = None

    def news(self) -> Iterator[Mapping[str, Any]]:
        """Everything since the last time; MessageError when the daemon refuses the request."""
        props = self._request["properties"]
        self.lost = 0
        while True:
            reply = self._call(self._request)
            if reply.get("status") != "ok":
                raise MessageError(str(reply.get("reason")))
            if self._boot is not None and reply["boot"] != self._boot:
                # A new daemon, whose records are counted from the beginning.
                self._boot, props["since"] = reply["boot"], 0
                continue
            self._boot = reply["boot"]
            if props["since"]:
                self.lost += max(reply["first"] - 1 - props["since"], 0)
            yield from reply["records"]
            if reply["next"] == props["since"]:
                return
            props["since"] = reply["next"]


def rings(consumer: CircusConsumer) -> Iterator[None]:
    """A doorbell: yields when there may be new records. What they say is asked from the journal, which loses none.

    The subscription takes a moment to reach the daemon, so it rings a few times by itself first.
    """
    for pause in (0.05, 0.2, 1.0):
        consumer.receive(pause)
        yield
    while True:
        if consumer.receive(3600.0) is not None:
            while consumer.receive(0.0) is not None:
                pass
            yield


def record_line(record: Mapping[str, Any]) -> str:
    """One record for people: when, seq, who, what, and the details that are known."""
    import time

    moment = record["time"]
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment)) + f".{int(moment % 1 * 1000):03d}"
    who = record["watcher"] or "-"
    if record.get("wid") is not None:
        who += f":{record['wid']}"
    if record.get("pid") is not None:
        who += f"[{record['pid']}]"
    details = [f"{key}={_detail(value)}" for key, value in record["data"].items() if value not in (None, "", [], {})]
    return " ".join([when, f"#{record['seq']}", who, record["record"], *details, f"({_cause(record['cause'])})"])


def _detail(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str) and value and not set(value) & set(" =()\n\t\"'"):
        return value
    import json

    return json.dumps(value)


def _cause(cause: Mapping[str, Any]) -> str:
    match cause:
        case {"kind": "command", "name": name}:
            return f"command {name} by {cause.get('actor') or 'somebody'}"
        case {"kind": "record", "seq": seq}:
            return f"because of #{seq}"
        case {"kind": kind, "name": name}:
            return f"{kind} {name}"
        case _:
            return str(cause.get("kind"))


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
