"""The command `stats`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from circus.commands.base import Command, Result
from circus.commands.values import to_flag, to_pid, words
from circus.exc import MessageError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

    from circus.ports import ArbiterLike

_COLUMNS = ("cmdline", "username", "nice", "mem_info1", "mem_info2", "cpu", "mem", "ctime")


class Stats(Command):
    """Tell what processes use: all of them, those of a watcher, or one.

    The numbers come from the last pass of the sampler; where nothing samples, one pass is made first. `extended` adds
    what an `extended_stats` hook of the watcher gives. `ctime` includes the children that a process has waited for.
    Programs do better with `sample.` messages, whose numbers are numbers.

    Request:

        {"command": "stats", "properties": {"name": "web", "process": 4242, "extended": false}}

    Reply without `name`, by watcher and pid:

        {"status": "ok", "time": 1795465307.76, "infos": {"web": {"4242": {"mem_info1": "1.50M", "mem_info2": "2.44M",
         "cpu": 0.0, "mem": 0.006, "ctime": "0:00.0", "pid": 4242, "username": "root", "nice": 0,
         "create_time": 1795465278.63, "age": 28.3, "cmdline": "sleep", "children": [], "started": 1795465279.45,
         "wid": 1}}}}

    Reply with `name`: `name`, and `info` by pid. Reply with `name` and `process`: `process` and its `info`.

    Command line:

        circusctl stats [--extended] [NAME [PID]]
    """

    name = "stats"
    changes = False
    always_waits = True
    options = (("extended", "extended", False, "include what the extended_stats hook gives"),)

    def message(self, *args: str, **opts: Any) -> dict[str, Any]:
        name, pid = words(args, 0, 2)
        props: dict[str, Any] = {"extended": opts.get("extended", False)}
        if name is not None:
            props["name"] = name
        if pid is not None:
            props["process"] = int(pid)
        return self.make_message(**props)

    def execute(self, arbiter: ArbiterLike, props: dict[str, Any]) -> Awaitable[Result]:
        if "name" not in props:
            return _of_all(arbiter)
        watcher = self._get_watcher(arbiter, props["name"])
        pid = to_pid(props["process"]) if "process" in props else None
        if pid is not None and pid not in watcher.processes:
            raise MessageError(f"process {pid} not found in {props['name']!r}")
        return _of_watcher(arbiter, watcher.name, props["name"], pid, to_flag(props, "extended"))

    def console_msg(self, msg: Mapping[str, Any]) -> str:
        if msg.get("status") != "ok":
            return self.console_error(msg)
        if "process" in msg:
            return _process_line(msg["process"], msg["info"])
        groups = msg["infos"] if "infos" in msg else {msg["name"]: msg["info"]}
        lines = []
        for name, infos in groups.items():
            lines.append(f"{name}:")
            lines += [_process_line(pid, info) for pid, info in infos.items()]
        return "\n".join(lines)


async def _of_all(arbiter: ArbiterLike) -> Result:
    return {"infos": await arbiter.stats.all_infos()}


async def _of_watcher(arbiter: ArbiterLike, watcher: str, name: str, pid: int | None, extended: bool) -> Result:
    infos = await arbiter.stats.infos(watcher, extended)
    if pid is None:
        return {"name": name, "info": infos}
    if pid not in infos:  # it ended while we measured
        raise MessageError(f"process {pid} not found in {name!r}")
    return {"process": pid, "info": infos[pid]}


def _process_line(pid: Any, info: Any) -> str:
    return f"{pid}: {info_line(info) if isinstance(info, dict) else info}"


def info_line(info: Mapping[str, Any]) -> str:
    """One process as circus 0.19 prints it, its children below."""
    line = f"{info.get('pid')}  {' '.join(str(info.get(column)) for column in _COLUMNS)}"
    return "\n   ".join([line, *(info_line(child) for child in info.get("children") or ())])
