"""Recorded scripts: an ini text and a list of steps, played against a circusd, old or new, and written down.

A script is a TOML file of tests/compat/scripts. `ini` is the configuration, `options` are more of its `[circus]`,
`files` are more files beside it, `module` is one of them that both programs import before they begin, `environment` is
what circusd finds there. `steps` is a list of tables, each with one of these keys; what stands there is also the name of
the step unless it has a `name`:

    call = "stop"          a request, with the properties of `with`; the outcome is its reply
    send = '{"command":…'  raw bytes; the outcome is the first reply and how many there were
    ctl = ["status"]       circusctl of the same release; the outcome is what it printed and its exit status
    kill = "dummy.1"       SIGKILL to a process from outside, or the `signal`
    connect = "web"        a connection to a socket of circusd, one line sent; the outcome is the answer
    read = "out.log"       the content of a file, once it has `lines` lines; `marking = true` publishes something
                           again and again meanwhile
    ini = "…"              a new configuration in place of the old one
    daemon_signal = "HUP"  a signal to circusd
    exit = true            the outcome is the exit status of circusd
    wait = true            nothing but the waiting

and perhaps what to wait for afterwards: `status` and `count` (tables by watcher, with values), `heard` (events since
the step began, as `watcher.action`), `gone` (processes).

`WATCHER.N` is the Nth process of a watcher: those that ran when the recording began, then as `spawn` told of them. In
`with` a text `$WATCHER.N` stands for the pid. `@NAME.py@` in the ini is the command line of a program of tests/workers.

After each step a marker goes through the events channel (a reload of a watcher that nobody else touches), so what was
published by then belongs to the step; with `mark = false` the events count to the next step. Invariant: a
recording depends on what was published and answered, never on when.
"""

from __future__ import annotations

import json
import os
import pathlib
import re
import signal
import socket
import time
import tomllib
from dataclasses import dataclass, field
from typing import Any

from tests.helpers import proc
from tests.helpers.channels import Recorder
from tests.helpers.daemon import Daemon
from tests.helpers.waiting import DEADLINE, wait_until
from tests.workers import python

HERE = pathlib.Path(__file__).resolve().parents[1] / "compat" / "scripts"
MARKER = "zz-marker"
_MARKER_INI = f"\n[watcher:{MARKER}]\ncmd = nohup sleep 1000\nsend_hup = True\npriority = -1000\nstop_signal = KILL\n"
_KINDS = ("call", "send", "ctl", "kill", "connect", "read", "ini", "daemon_signal", "exit", "wait")


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """One file: what to run and what to do."""

    name: str
    ini: str
    files: dict[str, str]
    options: dict[str, Any]
    environment: dict[str, str]
    module: str | None
    steps: tuple[dict[str, Any], ...]


@dataclass(slots=True, kw_only=True)
class Step:
    """What came of one step: the outcome as JSON, and the events as (watcher, action, body), nothing scrubbed."""

    name: str
    outcome: Any
    events: list[tuple[str, str, dict[str, Any]]]
    loose: bool = False


@dataclass(slots=True, kw_only=True)
class Recording:
    """All steps of one playing, and the names of the processes that were met, by pid."""

    steps: list[Step] = field(default_factory=list)
    pids: dict[int, str] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    log: str = ""


def names() -> list[str]:
    return sorted(path.stem for path in HERE.glob("*.toml"))


def load(name: str) -> Script:
    data = tomllib.loads((HERE / f"{name}.toml").read_text())
    steps: list[dict[str, Any]] = data["steps"]
    seen: dict[str, int] = {}
    for step in steps:
        said = step.get("name") or _said(step)
        seen[said] = seen.get(said, 0) + 1
        step["name"] = said if seen[said] == 1 else f"{said} #{seen[said]}"
    return Script(
        name=name,
        ini=data["ini"],
        files=data.get("files", {}),
        options=data.get("options", {}),
        environment=data.get("environment", {}),
        module=data.get("module"),
        steps=tuple(steps),
    )


def _said(step: dict[str, Any]) -> str:
    kind = next(kind for kind in _KINDS if kind in step)
    if kind == "call":
        return " ".join([step["call"], *(f"{key}={_plain(value)}" for key, value in step.get("with", {}).items())])
    if kind == "send":
        return f"send {step['send']}"
    if kind == "ctl":
        return " ".join(["circusctl", *step["ctl"]])
    return f"{kind} {step[kind]}"


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def filled(ini: str) -> str:
    """The ini text with the command lines of our workers."""
    return re.sub(r"@(\w+)\.py@", lambda found: python(found[1]), ini)


class Player:
    """Plays one script against one daemon, which is not started yet."""

    def __init__(self, script: Script, daemon: Daemon) -> None:
        self.script = script
        self.daemon = daemon
        places = {
            str(daemon.directory): "DIR",
            str(pathlib.Path(daemon.endpoint.removeprefix("ipc://")).parent): "RUN",
            "tcp://127.0.0.1:5557": "ipc://RUN/stats",  # the old one is not given a stats_endpoint, which starts a watcher
        }
        self.recording = Recording(places=places)
        self._numbers: dict[str, int] = {}
        self._events: Recorder | None = None
        self._read = 0
        self._marks = 0

    def play(self) -> Recording:
        for name, text in self.script.files.items():
            path = self.daemon.directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.daemon.start()
        self.recording.pids[self.daemon.pid] = "circusd"
        try:
            self._settle()
            self._events = self.daemon.events("watcher.")
            for watcher in self.daemon.ok("list")["watchers"]:
                for pid in sorted(self.daemon.pids(watcher)):
                    self._meet(pid, watcher.replace(" ", "_"))
            self._mark()
            self._taken()
            for step in self.script.steps:
                self.recording.steps.append(self._play(step))
        finally:
            self.recording.log = self.daemon.log_text()
        return self.recording

    def _settle(self) -> None:
        """Until all that starts has started, and the marker's process ignores SIGHUP."""

        def settled() -> bool:
            told = self.daemon.ok("status")["statuses"]
            return not {"starting", "stopping"} & set(told.values()) and told[MARKER] == "active"

        wait_until(settled, what=self.daemon.log_text)
        self._wait_marker()

    def _wait_marker(self) -> None:
        def deaf() -> bool:
            pids = self.daemon.pids(MARKER)
            return bool(pids) and all(_ignores_hup(pid) for pid in pids)

        wait_until(deaf, what=self.daemon.log_text)

    # -- one step ------------------------------------------------------------------------------------------------------

    def _play(self, step: dict[str, Any]) -> Step:
        kind = next(kind for kind in _KINDS if kind in step)
        try:
            outcome = getattr(self, f"_do_{kind}")(step)
            self._wait_for(step)
            whole = kind == "exit" or step.get("mark", True)
            if whole and kind != "exit":
                self._mark()
        except AssertionError as error:
            raise AssertionError(f"{self.script.name}: {step['name']}: {error}\n{self._log()}") from None
        return Step(
            name=step["name"], outcome=outcome, events=self._taken() if whole else [], loose=step.get("loose", False)
        )

    def _do_call(self, step: dict[str, Any]) -> Any:
        return self.daemon.call(step["call"], **self._resolved(step.get("with", {})))

    def _do_send(self, step: dict[str, Any]) -> Any:
        replies = []
        frames = step["send"] if isinstance(step["send"], list) else [step["send"]]
        with self.daemon.caller() as caller:
            noted = self._exceptions()
            caller.send_raw(*(self._with_pids(frame).encode() for frame in frames))
            until = time.monotonic() + 1
            while not replies and time.monotonic() < until and self._exceptions() == noted:
                if (body := caller.receive_raw(0.02)) is not None:
                    replies.append(json.loads(body))
            # Another connection: the old one does not hear this one again when it has raised.
            self.daemon.ok("numwatchers")
            while (body := caller.receive_raw(0)) is not None:
                replies.append(json.loads(body))
        return {"replies": len(replies), **(replies[0] if replies else {})}

    def _exceptions(self) -> int:
        return self.daemon.log_text().count("\nhandle: <Handle")

    def _do_ctl(self, step: dict[str, Any]) -> Any:
        done = self.daemon.circusctl(*map(self._with_pids, step["ctl"]), stdin=step.get("stdin"))
        out = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)
        return {"exit": done.returncode, "out": out.splitlines(), "err": done.stderr.splitlines()}

    def _do_kill(self, step: dict[str, Any]) -> None:
        os.kill(self._pid(step["kill"]), signal.Signals["SIG" + step.get("signal", "KILL")])

    def _do_connect(self, step: dict[str, Any]) -> Any:
        sockets = {told["name"]: told for told in self.daemon.ok("listsockets")["sockets"]}
        told = sockets[step["connect"]]
        kind = socket.SOCK_DGRAM if step.get("datagram") else socket.SOCK_STREAM
        family = socket.AF_UNIX if "path" in told else socket.AF_INET6 if ":" in told["host"] else socket.AF_INET
        with socket.socket(family, kind) as sock:
            sock.settimeout(DEADLINE)
            if "path" in told:
                sock.connect(str(self.daemon.directory / told["path"]))
            else:
                sock.connect((told["host"], told["port"]))
            sock.sendall(b"hello\n")
            # The answer begins with the pid of the worker, which may not have been told yet.
            return sock.recv(100).decode().split()[1:]

    def _do_read(self, step: dict[str, Any]) -> Any:
        path = self.daemon.directory / step["read"]

        def lines() -> list[str]:
            return path.read_text().splitlines() if path.exists() else []

        def enough() -> bool:
            if step.get("marking"):
                self._mark()
            return path.exists() and len(lines()) >= step["lines"]

        wait_until(enough, what=lambda: "\n".join([f"{path}:", *lines()]))
        return lines()

    def _do_ini(self, step: dict[str, Any]) -> None:
        written = self.daemon.ini.read_text()
        _, _, circus = written.rpartition("\n[circus]\n")
        self.daemon.ini.write_text(filled(step["ini"]) + _MARKER_INI + "\n[circus]\n" + circus)

    def _do_daemon_signal(self, step: dict[str, Any]) -> None:
        self.daemon.signal(signal.Signals["SIG" + step["daemon_signal"]])

    def _do_exit(self, _step: dict[str, Any]) -> Any:
        return self.daemon.wait()

    def _do_wait(self, _step: dict[str, Any]) -> None:
        return None

    # -- waiting and marking -------------------------------------------------------------------------------------------

    def _wait_for(self, step: dict[str, Any]) -> None:
        for watcher, status in step.get("status", {}).items():
            self.daemon.wait_status(watcher, status)
        for watcher, count in step.get("count", {}).items():
            self.daemon.wait_pids(watcher, count)
        for pid in map(self._pid, step.get("gone", [])):
            wait_until(lambda pid=pid: not proc.alive(pid))
        for topic in step.get("heard", []):
            wait_until(lambda topic=topic: self._heard(f"watcher.{topic}"), what=f"{topic} was not heard")

    def _heard(self, topic: str) -> bool:
        assert self._events is not None
        return any(message.topic == topic for message in self._events.messages[self._read :])

    def _mark(self) -> None:
        """A marker through the channel; what was published before it is here afterwards."""
        assert self._events is not None
        self._marks += 1
        topics = {f"watcher.{MARKER}.reload", f"watcher.{MARKER}.start"}
        before = sum(message.topic in topics for message in self._events.messages)
        self.daemon.ok("reload", name=MARKER, waiting=True)
        self._events.wait_for(lambda message: message.topic in topics, count=before + 1)
        self._wait_marker()

    def _taken(self) -> list[tuple[str, str, dict[str, Any]]]:
        """The events since the last step; processes are given their names."""
        assert self._events is not None
        messages = self._events.messages[self._read :]
        self._read += len(messages)
        found = []
        for message in messages:
            watcher, _, action = message.topic.removeprefix("watcher.").rpartition(".")
            if watcher == MARKER:
                continue
            pid = message.body.get("process_pid")
            if action == "spawn" or (pid is not None and pid not in self.recording.pids):
                self._meet(pid, watcher)
            # The name as configured is ours alone in every body: one decision, not one difference for each event.
            found.append((watcher, action, {key: value for key, value in message.body.items() if key != "watcher"}))
        return found

    def _log(self) -> str:
        """The end of the log, without what the marker wrote there."""
        lines = self.daemon.log_text().splitlines()
        return "\n".join([line for line in lines if MARKER not in line and "SENDING HUP" not in line][-40:])

    # -- pids ----------------------------------------------------------------------------------------------------------

    def _meet(self, pid: int, watcher: str) -> None:
        number = self._numbers[watcher] = self._numbers.get(watcher, 0) + 1
        self.recording.pids[pid] = f"{watcher}.{number}"

    def _pid(self, named: str) -> int:
        return next(pid for pid, name in self.recording.pids.items() if name == named)

    def _with_pids(self, text: str) -> str:
        return re.sub(r"\$([\w-]+\.\d+)", lambda found: str(self._pid(found[1])), text)

    def _resolved(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self._resolved(item) for key, item in value.items()}
        if isinstance(value, str) and re.fullmatch(r"\$[\w-]+\.\d+", value):
            return self._pid(value[1:])
        return value


def _ignores_hup(pid: int) -> bool:
    try:
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    found = re.search(r"^SigIgn:\s*([0-9a-f]+)", status, re.MULTILINE)
    return found is not None and bool(int(found[1], 16) & 1 << signal.SIGHUP - 1)


def with_marker(ini: str) -> str:
    """The ini text of a script, ready for a daemon."""
    return filled(ini) + _MARKER_INI
