"""Circus (ours and 0.19), supervisor, runit and s6: their configurations, their command lines, their requests.

Each is set up as its own documentation has it, with waits that it would make before it calls a process started set to
nothing, and no captured output unless the work is about output.
"""

from __future__ import annotations

import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time

import zmq

from tests.benchmarks.peers.supervisors import LONG, Cannot, Job, Programs, Supervisor
from tests.helpers.channels import Caller

BARE = pathlib.Path(__file__).resolve().parents[1] / "bare_respawn.py"


class CircusClient:
    """Requests as 0.19's clients make them, which both understand."""

    def __init__(self, endpoint: str) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._caller = Caller(endpoint, self._context)

    def _ask(self, command: str, **properties: str) -> None:
        self._caller.send_raw(json.dumps({"id": "bench", "command": command, "properties": properties}).encode())
        reply = self._caller.receive_raw(LONG)
        if reply is None or b'"error"' in reply:
            raise RuntimeError(f"{command}: {(reply or b'no answer')[:200]!r}")

    def list(self) -> None:
        self._ask("list", name="b")

    def stats(self) -> None:
        self._ask("stats", name="b")

    def status(self) -> None:
        self._ask("status")

    def close(self) -> None:
        self._caller.close()
        self._context.destroy(linger=0)


class Circus(Supervisor):
    name = "circus"
    stats_prefixes = ("sample.", "stat.")

    def __init__(self, directory: pathlib.Path, programs: Programs, *, bin: pathlib.Path) -> None:  # noqa: A002
        super().__init__(directory, programs)
        self.bin = bin

    def _endpoint(self, name: str) -> str:
        return f"ipc://{self.directory}/{name}"

    def prepare(self, job: Job) -> list[str]:
        words = " ".join(job.words).replace("{fd}", "$(circus.sockets.web)")
        lines = [
            "[circus]",
            f"endpoint = {self._endpoint('control')}",
            f"pubsub_endpoint = {self._endpoint('events')}",
            *self._about_stats(job),
            "[watcher:b]",
            f"cmd = {words}",
            f"numprocesses = {job.count}",
            "copy_env = True",
        ]
        if job.output is not None:
            for stream in ("stdout", "stderr"):
                lines += [f"{stream}_stream.class = FileStream", f"{stream}_stream.filename = {job.output}"]
        if job.port is not None:
            lines += ["use_sockets = True", "[socket:web]", "host = 127.0.0.1", f"port = {job.port}"]
        ini = self.directory / "circus.ini"
        ini.write_text("\n".join(lines) + "\n")
        return [str(self.bin / "circusd"), str(ini)]

    def _about_stats(self, job: Job) -> list[str]:
        del job  # it samples when somebody asks or is subscribed
        return [f"stats_endpoint = {self._endpoint('stats')}", "multicast_endpoint ="]

    def client(self) -> CircusClient:
        return CircusClient(self._endpoint("control"))

    def _line(self, *words: str) -> list[str]:
        return [str(self.bin / "circusctl"), "--endpoint", self._endpoint("control"), *words]

    def status_line(self) -> list[str]:
        return self._line("status")

    def restart_line(self) -> list[str]:
        return self._line("restart")

    def reload_line(self) -> list[str]:
        return self._line("reload")

    def stats_endpoint(self) -> str:
        return self._endpoint("stats")

    def version(self) -> str:
        asked = subprocess.run([str(self.bin / "circusd"), "--version"], capture_output=True, text=True, timeout=LONG)
        return (asked.stdout or asked.stderr).split()[-1]


class OldCircus(Circus):
    name = "circus 0.19"
    stats_prefixes = ("stat.",)

    def _about_stats(self, job: Job) -> list[str]:
        # Its stats are a program of its own, which samples whether somebody is subscribed or not.
        return ["statsd = True", f"stats_endpoint = {self._endpoint('stats')}"] if job.stats else []


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=LONG)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(LONG)
        self.sock.connect(self._path)


class SupervisordClient:
    """XML-RPC requests; the answers are read and not parsed, as for the others."""

    def __init__(self, path: str) -> None:
        self._connection = UnixConnection(path)

    def _ask(self, method: str) -> None:
        body = f"<?xml version='1.0'?><methodCall><methodName>{method}</methodName><params/></methodCall>"
        self._connection.request("POST", "/RPC2", body, {"Content-Type": "text/xml"})
        reply = self._connection.getresponse().read()
        if b"<fault>" in reply or b"methodResponse" not in reply:
            raise RuntimeError(f"{method}: {reply[:200]!r}")

    def list(self) -> None:
        self._ask("supervisor.getAllProcessInfo")

    def stats(self) -> None:
        raise Cannot("has no stats")

    def status(self) -> None:
        self._ask("supervisor.getState")

    def close(self) -> None:
        self._connection.close()


class Supervisord(Supervisor):
    name = "supervisor"

    def __init__(self, directory: pathlib.Path, programs: Programs, *, bin: pathlib.Path) -> None:  # noqa: A002
        super().__init__(directory, programs)
        self.bin = bin

    def prepare(self, job: Job) -> list[str]:
        words = " ".join(job.words).replace("{fd}", "0")  # it hands the socket over as standard input
        section = ["[program:b]"]
        if job.port is not None:
            section = ["[fcgi-program:b]", f"socket = tcp://127.0.0.1:{job.port}"]
        lines = [
            "[supervisord]",
            "nodaemon = true",
            f"logfile = {self.directory}/log",
            f"pidfile = {self.directory}/pid",
            # Each child closes as many, one by one: no more than what it needs.
            f"minfds = {max(1024, 3 * job.count + 200)}",
            "[unix_http_server]",
            f"file = {self.directory}/control",
            "[rpcinterface:supervisor]",
            "supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface",
            "[supervisorctl]",
            f"serverurl = unix://{self.directory}/control",
            *section,
            f"command = {words}",
            f"numprocs = {job.count}",
            "process_name = %(process_num)05d",
            "autorestart = true",
            "startsecs = 0",
            f"stdout_logfile = {job.output or 'NONE'}",
            "stdout_logfile_maxbytes = 0",
            "redirect_stderr = true",
        ]
        ini = self.directory / "supervisord.conf"
        ini.write_text("\n".join(lines) + "\n")
        return [str(self.bin / "supervisord"), "-c", str(ini)]

    def client(self) -> SupervisordClient:
        return SupervisordClient(f"{self.directory}/control")

    def _line(self, *words: str) -> list[str]:
        return [str(self.bin / "supervisorctl"), "-c", f"{self.directory}/supervisord.conf", *words]

    def status_line(self) -> list[str]:
        return self._line("status")

    def restart_line(self) -> list[str]:
        return self._line("restart", "b:*")

    def reload_line(self) -> list[str]:
        return self._line("restart", "b:*")  # the nearest it has

    def version(self) -> str:
        asked = subprocess.run([str(self.bin / "supervisord"), "--version"], capture_output=True, text=True)
        return asked.stdout.strip()


class Directories(Supervisor):
    """What runit and s6 share: a directory with a program `run` for each service, and one supervisor for each."""

    most = 100_000

    def prepare(self, job: Job) -> list[str]:
        if job.port is not None:
            raise Cannot("keeps no listening socket")
        if job.output is not None and job.count > 1:
            raise Cannot("has a log of its own for each service")
        if job.count > self.most:
            raise Cannot(f"keeps at most {self.most:,} services")
        services = self.directory / "services"
        for number in range(job.count):
            service = services / f"b{number:05d}"
            service.mkdir(parents=True)
            if job.output is None:
                # Their best case: the program itself, not a shell that executes it.
                (service / "run").symlink_to(job.words[0])
            else:
                script(service / "run", f"exec {' '.join(job.words)}")
                (service / "log").mkdir()
                script(service / "log/run", self._logger(job.output.parent))
        return self._command(services, job.count)

    def _logger(self, where: pathlib.Path) -> str:
        raise NotImplementedError

    def _command(self, services: pathlib.Path, count: int) -> list[str]:
        raise NotImplementedError

    def version(self) -> str:
        """As Debian has it; they do not tell it themselves."""
        if shutil.which("dpkg-query") is None:
            return ""
        asked = ["dpkg-query", "--show", "--showformat=${Version}", self.name]
        return subprocess.run(asked, capture_output=True, text=True).stdout.strip()

    def services(self) -> list[str]:
        return sorted(str(service) for service in (self.directory / "services").iterdir() if service.name[0] == "b")


def script(path: pathlib.Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


class Runit(Directories):
    name = "runit"
    end_signal = signal.SIGHUP  # which tells every runsv to end its service
    most = 1_000

    def _command(self, services: pathlib.Path, count: int) -> list[str]:
        return ["runsvdir", "-P", str(services)]

    def _logger(self, where: pathlib.Path) -> str:
        (where / "config").write_text("s1000000000\n")
        return f"exec svlogd {where}"

    def status_line(self) -> list[str]:
        return ["sv", "status", *self.services()]

    def restart_line(self) -> list[str]:
        return ["sv", "-w", "60", "restart", *self.services()]


class S6(Directories):
    name = "s6"

    def _command(self, services: pathlib.Path, count: int) -> list[str]:
        return ["s6-svscan", "-c", str(max(1000, 2 * count)), str(services)]

    def _logger(self, where: pathlib.Path) -> str:
        return f"exec s6-log n3 s268435455 {where}"

    def restart_line(self) -> list[str]:
        # A program for each service: it has none for all.
        return ["sh", "-c", 'for service; do s6-svc -r "$service"; done', "restart", *self.services()]

    def status_line(self) -> list[str]:
        return ["sh", "-c", 'for service; do s6-svstat "$service"; done', "status", *self.services()]


class Bare(Supervisor):
    """No supervisor at all: the least that Python can do, a loop that starts the next when one has ended."""

    name = "bare loop"

    def prepare(self, job: Job) -> list[str]:
        if job.output is not None or job.port is not None:
            raise Cannot("does no such thing")
        return [sys.executable, str(BARE), str(job.count), *job.words]

    def environment(self, job: Job) -> dict[str, str]:
        return {**os.environ, **job.variables}


def wait_answering(supervisor: Supervisor) -> None:
    """Return once it answers requests, if it knows any."""
    until = time.monotonic() + LONG
    while True:
        try:
            client = supervisor.client()
        except Cannot:
            return
        try:
            client.list()
        except (OSError, RuntimeError, http.client.HTTPException):
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
        else:
            return
        finally:
            client.close()
