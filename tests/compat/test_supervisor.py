"""What `circusctl import` makes of a configuration, beside what the real supervisor makes of it."""

from __future__ import annotations

import collections
import os
import pathlib
import platform
import pwd
import random
import subprocess
import sys
from typing import Any

import pytest

from circus.config.build import check, load
from circus.exc import ConfigError
from circus.importing.supervisor import convert_file
from circus.runtime.argv import CommandBuilder
from circus.spec.arbiter import ArbiterSpec
from circus.spec.streams import StreamSpec
from circus.spec.watcher import WatcherSpec
from tests.conftest import CircusD
from tests.helpers import proc, supervisor
from tests.helpers.daemon import script
from tests.helpers.waiting import wait_until

ENVIRON = {"STAGE": "production", "SECONDS": "44", "PATH": os.environ["PATH"], "HOME": "/root"}
UMASK = ["sh", "-c"]


def converted(configuration: pathlib.Path, directory: pathlib.Path) -> ArbiterSpec:
    """The spec that circusd reads from what was made."""
    made = directory / "circus.ini"
    made.write_text(convert_file(str(configuration), ENVIRON, platform.node()).text)
    wrong, _ = check(made, environ=ENVIRON)
    assert not wrong
    return load(made, environ=ENVIRON)


def processes(spec: ArbiterSpec) -> list[dict[str, Any]]:
    """Each process that circusd would have, in the words of supervisor, in the order in which it would start them."""
    return [
        _process(spec, watcher, wid)
        for watcher in sorted(spec.watchers, key=lambda watcher: -watcher.priority)
        for wid in range(1, watcher.numprocesses + 1)
    ]


def _process(spec: ArbiterSpec, watcher: WatcherSpec, wid: int) -> dict[str, Any]:
    command = CommandBuilder(watcher, ENVIRON).build(wid, {})
    argv, mask = list(command.argv), spec.umask
    if argv[:2] == UMASK and argv[2].startswith("umask "):
        mask, argv = int(argv[2].partition(";")[0].removeprefix("umask "), 8), argv[3:]
    uid = watcher.uid
    return {
        "argv": argv,
        "directory": command.cwd,
        "uid": pwd.getpwnam(uid).pw_uid if isinstance(uid, str) else uid,
        "umask": mask,
        "environment": {name: value for name, value in command.env.items() if not name.startswith("CIRCUS")},
        "autostart": watcher.autostart,
        "restarts": watcher.respawn,
        "stopsignal": watcher.stop_signal,
        "stopwaitsecs": watcher.graceful_timeout,
        "killasgroup": watcher.kill_scope == "group",
        "stdout": _log(watcher.stdout_stream, wid, closed=watcher.close_child_stdout, auto=watcher.capture),
        "stderr": _log(watcher.stderr_stream, wid, closed=watcher.close_child_stderr, auto=watcher.capture),
        "socket": _socket(spec, watcher),
    }


def _log(stream: StreamSpec | None, wid: int, *, closed: bool, auto: bool) -> Any:
    if stream is None:
        return None if closed else "auto" if auto else "circusd"
    name = str(stream.options["filename"]).replace("{wid}", str(wid))
    return [name, int(str(stream.options.get("max_bytes", 0))), int(str(stream.options.get("backup_count", 0)))]


def _socket(spec: ArbiterSpec, watcher: WatcherSpec) -> Any:
    if watcher.stdin_socket is None:
        return None
    assert watcher.use_sockets
    (found,) = (each for each in spec.sockets if each.name == watcher.stdin_socket)
    url = f"unix://{found.path}" if found.path else f"tcp://{found.host}:{found.port}"
    return [url, None if found.backlog == 2048 else found.backlog]


def wanted(configuration: pathlib.Path) -> list[dict[str, Any]]:
    """Those of supervisor, without what is told as not converted; /dev/null is how supervisor writes nowhere too."""
    (found,) = supervisor.parsed(configuration, environ=ENVIRON)
    assert found is not None
    return _wanted(found)


def _wanted(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    spec = [each for each in found if each["kind"] != "EventListenerConfig"]
    for each in spec:
        each["environment"] = {**ENVIRON, **each["environment"]}
        each["restarts"] = each["restarts"] != "never"
        # With one of the two in AUTO, and the other not, circusd would have both.
        for stream in ("stdout", "stderr"):
            if each[stream] is not None and each[stream] != "auto" and each[stream][0] == "/dev/null":
                each[stream] = None
        for told in ("kind", "group", "name", "startretries", "startsecs"):
            del each[told]
    return spec


def by_command(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(found, key=lambda each: (each["argv"], sorted(each["environment"].items()), each["directory"] or ""))


@pytest.mark.real
@pytest.mark.parametrize("name", ["everything.conf", "daemon.conf"])
def test_the_same_processes_are_configured(name: str, tmp_path: pathlib.Path) -> None:
    configuration = supervisor.HERE / name
    theirs, ours = wanted(configuration), processes(converted(configuration, tmp_path))
    if name == "daemon.conf":
        for each in theirs:  # what its daemon is, its children are
            each["uid"] = 0 if each["uid"] is None else each["uid"]
            each["directory"] = each["directory"] or "/tmp"
            each["umask"] = 0o007 if each["umask"] is None else each["umask"]
    assert by_command(ours) == by_command(theirs)


@pytest.mark.real
@pytest.mark.parametrize("name", ["everything.conf", "daemon.conf"])
def test_they_start_in_the_same_order(name: str, tmp_path: pathlib.Path) -> None:
    """Where priorities are equal neither has an order that was asked for."""
    configuration = supervisor.HERE / name
    spec = converted(configuration, tmp_path)
    ours = {
        tuple(_process(spec, watcher, wid)["argv"]): watcher.priority
        for watcher in spec.watchers
        for wid in range(1, watcher.numprocesses + 1)
    }
    order = [ours[tuple(each["argv"])] for each in wanted(configuration)]
    assert order == sorted(order, reverse=True)
    assert len(set(order)) > 2


CHOICES = {
    "command": ["sleep 1", "sh -c 'a; b'", "x %(program_name)s", "x %(process_num)d", "x %%", "x %", "x %(ENV_STAGE)s",
                "x %(nope)s", "x %(here)s", "a\n b", "x %(group_name)s %(numprocs)d", "x # y", "x ;y #z", "x ; y"],
    "process_name": ["%(program_name)s", "%(program_name)s_%(process_num)02d", "p%(process_num)d", "a b", "%(x)s"],
    "numprocs": ["1", "2", "3", "many", ""],
    "numprocs_start": ["0", "1", "7"],
    "autostart": ["true", "FALSE", "on", "No", "2"],
    "autorestart": ["true", "unexpected", "False", "maybe"],
    "startsecs": ["0", "x"],
    "exitcodes": ["0", "0,2", "256"],
    "stopsignal": ["TERM", "sigint", "9", "NOPE"],
    "stopwaitsecs": ["3", "x"],
    "stopasgroup": ["true", "false"],
    "killasgroup": ["true", "false"],
    "user": ["root", "0"],
    "umask": ["022", "77", "9"],
    "environment": ['A="1"', "A=1,B=2", "A=\"x,y\",B='z'", "A", "A=", "A=%(ENV_STAGE)s", 'A="%(process_num)d"', "A=/x:y+z"],
    "directory": ["/tmp", "%(here)s", "/x/%(process_num)d"],
    "redirect_stderr": ["true", "false"],
    "stderr_logfile": ["NONE", "AUTO", "/tmp/e"],
    "stderr_logfile_maxbytes": ["1MB", "0", "5", "1kb", "2 GB", "x"],
    "stderr_logfile_backups": ["0", "3", "x"],
    "priority": ["1", "-5", "x"],
}  # fmt: skip


def drawn() -> str:
    """A configuration with one option wrong now and then."""
    lines = ["[supervisord]"]
    for name in random.sample(["a", "b.c", "d-e"], random.randint(1, 3)):
        lines += [f"[program:{name}]", "command = " + random.choice(CHOICES["command"])]
        for option, values in CHOICES.items():
            if option != "command" and random.random() < 0.15:
                lines.append(f"{option}{random.choice(['=', ' = ', ':'])}{random.choice(values)}")
    return "\n".join(lines) + "\n"


@pytest.mark.real
def test_random_configurations_are_refused_or_become_the_same_processes(tmp_path: pathlib.Path) -> None:
    files = [tmp_path / f"{number}.conf" for number in range(200)]
    for file in files:
        file.write_text(drawn())
    agreed = 0
    for file, theirs in zip(files, supervisor.parsed(*files, environ=ENVIRON), strict=True):
        try:
            ours = processes(converted(file, tmp_path))
        except ConfigError:
            ours = []
        assert bool(ours) == (theirs is not None), file.read_text()
        if theirs is None:
            continue
        keys = (
            "argv",
            "environment",
            "directory",
            "stopsignal",
            "stopwaitsecs",
            "autostart",
            "restarts",
            "killasgroup",
        )
        assert [{key: each[key] for key in keys} for each in by_command(ours)] == [
            {key: each[key] for key in keys} for each in by_command(_wanted(theirs))
        ], file.read_text()
        agreed += 1
    assert agreed > 10


LIVE = """\
[unix_http_server]
file = %(here)s/control

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

[supervisord]
logfile = %(here)s/supervisord.log
pidfile = %(here)s/supervisord.pid
environment = COLOR="deep blue"

[program:say]
command = sh -c 'echo "%(program_name)s is $COLOR at $PLACE"; echo oops >&2; exec sleep 1000'
directory = %(here)s
environment = PLACE="%(ENV_STAGE)s"
redirect_stderr = true
stdout_logfile = %(here)s/said
umask = 027
autorestart = true

[program:some]
command = sleep 100%(process_num)d
process_name = %(program_name)s_%(process_num)02d
numprocs = 3
directory = /tmp
stdout_logfile = NONE
autorestart = true
@USER@

[program:idle]
command = sleep 5
autostart = false
autorestart = true

[fcgi-program:fast]
command = @PYTHON@ -c "import os, time; print(os.fstat(0).st_mode >> 12, flush=True); time.sleep(1000)"
socket = unix://%(here)s/fast.sock
directory = %(here)s
stdout_logfile = %(here)s/fast
autorestart = true
"""


def seen(pid: int) -> tuple[Any, ...]:
    """What can be seen of a process from outside, and is asked for by a configuration."""
    status = dict(line.split(":\t", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())
    environment = pathlib.Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    told = sorted(line for line in environment if line.startswith((b"COLOR=", b"PLACE=", b"STAGE=")))
    argv = tuple(pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:-1])
    return argv, str(pathlib.Path(f"/proc/{pid}/cwd").readlink()), status["Uid"], status["Umask"], tuple(told)


def below(pid: int) -> collections.Counter[tuple[Any, ...]]:
    """The processes that have become what they are to be."""
    found: collections.Counter[tuple[Any, ...]] = collections.Counter()
    for child in proc.children(pid):
        try:
            what = seen(child)
        except OSError:
            continue
        # Its environment can be read a moment later than its words.
        if what[0] and what[0][0] in {b"sleep", sys.executable.encode()} and what[-1]:
            found[what] += 1
    return found


@pytest.mark.real
def test_the_same_processes_run(circusd: CircusD, tmp_path: pathlib.Path) -> None:
    user = "user = nobody" if os.geteuid() == 0 else ""
    tmp_path.chmod(0o755)
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    configuration = theirs / "supervisord.conf"
    configuration.write_text(LIVE.replace("@USER@", user).replace("@PYTHON@", sys.executable))
    with supervisor.supervisord(configuration, ENVIRON) as pid:
        there = wait_until(lambda: found if (found := below(pid)).total() == 5 else None)
        wait_until(lambda: (theirs / "fast").exists() and (theirs / "fast").read_text())
        said = wait_until(lambda: (theirs / "said").read_text() if (theirs / "said").exists() else "")
    for name in ("said", "fast"):
        (theirs / name).unlink()
    done = subprocess.run([script("circusctl"), "import", configuration], capture_output=True, text=True, env=ENVIRON)
    assert done.returncode == 0, done.stderr
    own = ("endpoint", "pubsub_endpoint", "stats_endpoint", "logoutput")
    daemon = circusd("\n".join(line for line in done.stdout.splitlines() if not line.startswith(own)), env=ENVIRON)
    here = wait_until(lambda: found if (found := below(daemon.pid)).total() == 5 else None)
    assert here == there
    wait_until(lambda: (theirs / "said").exists() and (theirs / "said").read_text() == said)
    assert "say is deep blue at production\n" in said
    wait_until(lambda: (theirs / "fast").exists() and (theirs / "fast").read_text() == "12\n")  # a socket
    assert daemon.ok("status")["statuses"]["idle"] == "stopped"
