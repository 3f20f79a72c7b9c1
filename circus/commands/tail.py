"""The command `tail`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from circus.commands.base import Command, find_watcher
from circus.commands.following import Printed
from circus.exc import ArgumentError, MessageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from circus.ports import ArbiterLike

LINES = 10
_STREAMS = ("stdout", "stderr")


class Tail(Command):
    """Show the last lines that workers wrote.

    Of each worker and output the last `lines` (10) are told, also of workers that have ended; circusd keeps 32 KiB or
    500 portions of each. `wid` asks for one worker, `stream` for `stdout` or `stderr`. The output must be captured:
    by a stream (`stdout_stream.…`), or by `capture = True`.

    Lines are numbered for each worker and output; `seq` is the number of the first line of a portion. Who follows gives
    `life` and `next` of a reply back as `life` and `after`, and gets what was written since then and is still kept. All
    of it is new when `life` has changed: the watcher was made anew.

    Request:

        {"command": "tail", "properties": {"name": "web", "wid": 1, "stream": "stdout", "lines": 2}}

    Reply (`pid` may be that of a process that is gone):

        {"status": "ok", "time": 1795465308.1, "life": "5f1c0a9e", "watcher": "web", "chunks": [{"life": "5f1c0a9e",
         "watcher": "web", "wid": 1, "pid": 4242, "stream": "stdout", "time": 1795465307.73, "seq": 118,
         "lines": ["GET /", "GET /favicon.ico"]}], "next": [{"wid": 1, "stream": "stdout", "seq": 120}]}

    Command line; with `--follow` it goes on with what comes, over restarts of the worker and of circusd:

        circusctl tail [-f] [-n N] NAME[:WID] [stdout|stderr]

    Lines of more than one worker or output have their wid and output before them.
    """

    name = "tail"
    properties = ("name",)
    changes = False
    options = (
        ("f", "follow", False, "go on with what is written next"),
        ("n", "lines", str(LINES), "how many lines of each worker and output"),
    )

    def message(self, *args: str, **opts: Any) -> dict[str, Any]:
        if not 1 <= len(args) <= 2:
            raise ArgumentError("Invalid number of arguments")
        name, colon, end = args[0].rpartition(":")
        props: dict[str, Any] = {"name": args[0]}
        if colon and end.isdecimal():
            props = {"name": name, "wid": int(end)}
        if len(args) == 2:
            props["stream"] = args[1]
        lines = str(opts.get("lines") or LINES)
        if not lines.isdecimal():
            raise ArgumentError(f"-n takes a number from 0 on, not {lines!r}")
        return self.make_message(**props, lines=int(lines))

    def execute(self, arbiter: ArbiterLike, props: dict[str, Any]) -> Any:
        watcher = find_watcher(arbiter, props["name"])
        wid, stream, lines = props.get("wid"), props.get("stream"), props.get("lines", LINES)
        if wid is not None and not _is_count(wid):
            raise MessageError(f"'wid' isn't the number of a worker: {wid!r}")
        if stream is not None and stream not in _STREAMS:
            raise MessageError(f"'stream' is stdout or stderr, not {stream!r}")
        if not _is_count(lines):
            raise MessageError(f"'lines' isn't a number from 0 on: {lines!r}")
        if "after" not in props:
            return watcher.tail(wid, stream, lines)
        return watcher.tail(wid, stream, None, props.get("life"), _positions(props["after"]))

    def console_msg(self, msg: Mapping[str, Any]) -> str:
        if msg.get("status") != "ok":
            return self.console_error(msg)
        return "\n".join(Printed().lines(msg["chunks"]))


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _positions(after: object) -> dict[tuple[int, str], int]:
    """`next` of an earlier reply, given back."""
    found = {}
    for each in after if isinstance(after, list) else [after]:
        match each:
            case {"wid": int(wid), "stream": str(stream), "seq": int(seq)}:
                found[wid, stream] = seq
            case _:
                raise MessageError("'after' isn't the 'next' of an earlier reply")
    return found
