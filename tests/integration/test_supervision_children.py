"""What a worker finds: environment, directory, limits, user, signals, session, standard descriptors."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import pwd
import re
import resource
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests import workers
from tests.helpers import proc
from tests.helpers.daemon import Daemon
from tests.helpers.waiting import wait_until

Start = Callable[..., Daemon]

INFINITY = resource.RLIM_INFINITY
root = pytest.mark.skipif(os.geteuid() != 0, reason="switching users takes root")


class Reported:
    """A daemon with one watcher `web` of report workers, and what they wrote."""

    def __init__(self, circusd: Start, directory: pathlib.Path) -> None:
        self._circusd, self._directory = circusd, directory
        self.daemon: Daemon

    def __call__(self, options: str = "", before: str = "", **keywords: Any) -> dict[str, Any]:
        """Start it, and what its first process found."""
        cmd = workers.python("report", self._directory / "report-{pid}", "words", "$(circus.wid)")
        self.daemon = self._circusd(f"[watcher:web]\ncmd = {cmd}\n{options}\n{before}\n", **keywords)
        return self.of(self.daemon.wait_pids("web", 1)[0])

    def of(self, pid: int) -> dict[str, Any]:
        file = self._directory / f"report-{pid}"
        wait_until(file.exists, what=self.daemon.log_text)
        said: dict[str, Any] = json.loads(file.read_text())
        assert said["pid"] == pid
        return said


@pytest.fixture
def report(circusd: Start, tmp_path: pathlib.Path) -> Reported:
    return Reported(circusd, tmp_path)


def own_environment(said: dict[str, Any]) -> dict[str, str]:
    """Less what Python itself sets where there is no locale."""
    return {name: value for name, value in said["environ"].items() if name != "LC_CTYPE"}


def test_the_environment_is_only_what_is_configured(report: Reported) -> None:
    said = report(before="[env]\nA = all\nB = all\n[env:w*,other]\nB = web\n[env:other]\nC = other\n")
    assert own_environment(said) == {"A": "all", "B": "web"}


def test_the_environment_of_the_daemon_is_copied_when_asked(report: Reported) -> None:
    said = report("copy_env = true", "[env]\nFROM_INI = yes\nOVER = ini\n", env={"OVER": "daemon", "MARK": "here"})
    assert {name: said["environ"].get(name) for name in ("MARK", "OVER", "FROM_INI", "PATH")} == {
        "MARK": "here",
        "OVER": "ini",
        "FROM_INI": "yes",
        "PATH": os.environ["PATH"],
    }


def test_words_of_the_command_line_arrive_expanded(report: Reported) -> None:
    said = report("args = $(circus.env.NAME) 'two words' $(circus.nope)", "[env]\nNAME = value\n")
    assert said["argv"] == ["words", "1", "value", "two words", "$(circus.nope)"]


def test_the_working_directory_is_that_of_the_option_or_of_the_daemon(report: Reported, tmp_path: pathlib.Path) -> None:
    there = tmp_path / "there"
    there.mkdir()
    assert report(f"working_dir = {there}")["cwd"] == str(there)


def test_without_the_option_a_worker_works_where_the_daemon_does(report: Reported) -> None:
    assert report()["cwd"] == str(report.daemon.directory)


def test_a_worker_leads_a_session_of_its_own(report: Reported) -> None:
    said = report()
    assert said["sid"] == said["pgid"] == said["pid"]
    assert said["ppid"] == report.daemon.pid


def test_no_signal_is_blocked_or_ignored_in_a_worker(report: Reported) -> None:
    # Not even where the daemon was started with some, as below nohup or by a careless parent.
    blocked = (
        "import os, signal, sys; signal.pthread_sigmask(signal.SIG_BLOCK, [10, 15]); signal.signal(1, signal.SIG_IGN)"
    )
    said = report(through=[sys.executable, "-c", f"{blocked}; os.execvp(sys.argv[1], sys.argv[1:])"])
    assert said["blocked"] == []
    assert said["ignored"] == []


def test_statuses_are_known_although_the_daemon_was_started_with_sigchld_ignored(circusd: Start) -> None:
    ignoring = (
        "import os, signal, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); os.execvp(sys.argv[1], sys.argv[1:])"
    )
    cmd = workers.python("exit_n", 7)
    daemon = circusd(
        f"[watcher:web]\ncmd = {cmd}\nrespawn = false\nautostart = false\n", through=[sys.executable, "-c", ignoring]
    )
    events = daemon.events("watcher.web.reap")
    daemon.ok("start", name="web")
    (reap,) = events.wait_for_topic("watcher.web.reap")
    assert reap.body["exit_code"] == 7


def test_the_umask_is_that_of_the_configuration(report: Reported) -> None:
    assert report(options_of_circus("umask = 027"))["umask"] == 0o027


def options_of_circus(text: str) -> str:
    return f"\n[circus]\n{text}\n"


def test_standard_input_is_closed_unless_wanted(report: Reported) -> None:
    fds = report()["fds"]
    assert fds["0"] == "/dev/null"
    assert fds["1"] == fds["2"] == str(report.daemon.log)


def test_standard_output_and_error_can_be_closed(report: Reported) -> None:
    fds = report("close_child_stdout = true\nclose_child_stderr = true")["fds"]
    assert fds["1"] == fds["2"] == "/dev/null"


def test_closing_wins_over_a_stream(report: Reported, tmp_path: pathlib.Path) -> None:
    fds = report(f"close_child_stdout = true\nstdout_stream.filename = {tmp_path / 'out'}")["fds"]
    assert fds["1"] == "/dev/null"


def test_standard_input_of_the_daemon_is_kept_when_wanted(report: Reported) -> None:
    fds = report("close_child_stdin = false", through=["sh", "-c", 'exec "$@" </dev/zero', "sh"])["fds"]
    assert fds["0"] == "/dev/zero"


LIMITS = {
    "nofile": 100,
    "core": 0,
    "stack": 4 << 20,
    "fsize": 1 << 30,
    "as": 8 << 30,
    "data": 4 << 30,
    "nproc": 5000,
    "cpu": 3600,
}


def test_limits_are_in_force_soft_and_hard(report: Reported) -> None:
    limits = report("\n".join(f"rlimit_{name} = {value}" for name, value in LIMITS.items()))["limits"]
    assert {name: limits[name] for name in LIMITS} == {name: [value, value] for name, value in LIMITS.items()}


@pytest.mark.parametrize(("name", "flag"), [("core", "-c"), ("nofile", "-n"), ("nproc", "-p"), ("stack", "-s")])
def test_soft_limits_hold_from_the_first_instruction(
    circusd: Start, tmp_path: pathlib.Path, name: str, flag: str
) -> None:
    # A small program that looks at once; a limit that is set after the start would be missed by some of them.
    text = f'sh -c "ulimit -S {flag} > {tmp_path}/$$; exec sleep 1000"'
    unit = {"core": 512, "stack": 1024}.get(name, 1)
    daemon = circusd(f"[watcher:web]\ncmd = {text}\nrlimit_{name} = {777 * unit}\nnumprocesses = 20\n")
    files = [tmp_path / str(pid) for pid in daemon.wait_pids("web", 20)]
    wait_until(lambda: all(file.exists() and file.read_text() for file in files))
    assert {file.read_text() for file in files} == {"777\n"}


def test_limits_and_an_executable_go_together(circusd: Start) -> None:
    text = "cmd = my-name -c 'ulimit -Sn; ulimit -Sp; exec sleep 1000'\nexecutable = /bin/sh\n"
    daemon = circusd(f"[watcher:web]\n{text}rlimit_nproc = 4321\nrlimit_nofile = 123\n")
    wait_until(lambda: {"123", "4321"} <= set(daemon.log_text().splitlines()), what=daemon.log_text)


def test_an_empty_limit_is_infinity(report: Reported) -> None:
    if resource.getrlimit(resource.RLIMIT_CORE)[1] != INFINITY:
        pytest.skip("the hard limit of core files is low here, and only a privileged process could raise it")
    assert report("rlimit_core =")["limits"]["core"] == [INFINITY, INFINITY]


def test_infinite_descriptors_are_as_many_as_there_can_be(report: Reported) -> None:
    soft, hard = report("rlimit_nofile =")["limits"]["nofile"]
    assert soft == hard == resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def test_a_limit_that_may_not_be_set_is_told(circusd: Start) -> None:
    lower = ["prlimit", "--nofile=500:500"]
    if os.geteuid() == 0:
        lower += ["setpriv", "--bounding-set=-sys_resource"]
    daemon = circusd("[watcher:web]\ncmd = sleep 1000\nrlimit_nofile = 1000\nmax_retry = 1\n", through=lower)
    daemon.wait_state("web", "fatal")
    assert "no permission to set RLIMIT_NOFILE to 1000" in daemon.log_text()
    assert daemon.telemetry("web")["counters"]["spawn_failures"]["rlimit"] == 1


def test_the_daemon_itself_keeps_its_limits(report: Reported) -> None:
    before = {name: getattr(resource, f"RLIMIT_{name.upper()}") for name in LIMITS}
    report("\n".join(f"rlimit_{name} = {value}" for name, value in LIMITS.items()))
    ours = {name: resource.prlimit(report.daemon.pid, number) for name, number in before.items() if name != "nofile"}
    assert ours == {name: resource.getrlimit(number) for name, number in before.items() if name != "nofile"}
    assert (
        resource.prlimit(report.daemon.pid, resource.RLIMIT_NOFILE)[1] == resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    )


def test_workers_get_the_soft_limit_that_the_daemon_was_given(report: Reported) -> None:
    many = "[watcher:many]\ncmd = sleep 1000\nnumprocesses = 200\n"
    said = report(before=many, through=["sh", "-c", 'ulimit -Sn 256; exec "$@"', "sh"])
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    pids = report.daemon.wait_pids("many", 200)
    assert said["limits"]["nofile"] == [256, hard]
    assert {resource.prlimit(pid, resource.RLIMIT_NOFILE) for pid in pids} == {(256, hard)}
    # And later, when the daemon holds many descriptors.
    report.daemon.ok("restart", name="web", waiting=True)
    assert report.of(report.daemon.pids("web")[0])["limits"]["nofile"] == [256, hard]


def test_a_low_limit_of_descriptors_is_given_while_the_daemon_holds_many(report: Reported) -> None:
    report("rlimit_nofile = 32", "[watcher:many]\ncmd = sleep 1000\nnumprocesses = 100\npriority = 1\n")
    report.daemon.wait_pids("many", 100)
    report.daemon.ok("restart", name="web", waiting=True)
    assert report.of(report.daemon.pids("web")[0])["limits"]["nofile"] == [32, 32]


def test_too_low_a_limit_of_descriptors_is_told_and_the_daemon_lives(circusd: Start) -> None:
    daemon = circusd(
        "[watcher:many]\ncmd = sleep 1000\nnumprocesses = 200\nbackoff = 0.1\nstdout_stream.class = QueueStream\n"
        "[watcher:a]\ncmd = sleep 1000\n",
        through=["prlimit", "--nofile=200:200"],
    )
    assert "file descriptors are needed for the configured processes, but the hard limit is 200" in daemon.log_text()
    daemon.wait_status("a", "active")
    # As many as there can be, and still an ear for commands.
    wait_until(lambda: daemon.telemetry("many")["counters"]["spawn_failures"]["fork"], what=daemon.log_text)
    assert len(daemon.pids("many")) > 20


def test_workers_never_take_the_last_descriptors_from_clients(circusd: Start) -> None:
    # libzmq ends the program that has no descriptor for somebody who connects to a unix socket.
    daemon = circusd(
        "[watcher:many]\ncmd = sleep 1000\nnumprocesses = 200\nstdout_stream.class = QueueStream\n",
        through=["prlimit", "--nofile=100:100"],
    )
    wait_until(lambda: daemon.telemetry("many")["counters"]["spawn_failures"]["fork"], what=daemon.log_text)
    with contextlib.ExitStack() as stack:
        callers = [stack.enter_context(daemon.caller()) for _ in range(8)]
        assert [caller.call("numwatchers")["status"] for caller in callers] == ["ok"] * 8
    assert "are kept for clients" in daemon.log_text()


@root
@pytest.mark.parametrize("capable", [True, False], ids=["with CAP_SYS_RESOURCE", "without"])
def test_limits_of_a_worker_of_another_user_are_in_force(circusd: Start, capable: bool) -> None:
    """In most containers root has not that capability, and may not set the limits of a process of somebody else."""
    limits = "rlimit_nofile = 300\nrlimit_core = 0\nrlimit_nproc = 5000\nrlimit_sigpending = 50\nrlimit_cpu = 1000\n"
    show = (
        "ulimit -Sn; ulimit -Hn; ulimit -Sc; ulimit -Hc; ulimit -St; ulimit -Ht; cat /proc/$$/limits; exec sleep 1000"
    )
    through = [] if capable else ["setpriv", "--bounding-set", "-sys_resource"]
    daemon = circusd(f"[watcher:web]\ncmd = {show}\nshell = true\nuid = nobody\n{limits}", through=through)
    daemon.wait_pids("web", 1)
    wait_until(lambda: "Max realtime timeout" in daemon.log_text())
    text = daemon.log_text()
    assert "300\n300\n0\n0\n1000\n1000\n" in text
    assert re.search(r"Max processes +5000 +5000 ", text)
    assert re.search(r"Max pending signals +50 ", text)
    if not capable:
        assert daemon.telemetry("web")["counters"]["spawn_failures"]["rlimit"] == 0


@root
def test_a_worker_runs_as_its_user_with_the_groups_of_that_user(circusd: Start) -> None:
    user = next((each for each in pwd.getpwall() if each.pw_name == "nobody"), pwd.getpwall()[-1])
    who = "echo uid $(id -u) gid $(id -g) groups $(id -G); exec sleep 1000"
    daemon = circusd(f"[watcher:web]\ncmd = {who}\nshell = true\nuid = {user.pw_name}\n")
    groups = " ".join(map(str, os.getgrouplist(user.pw_name, user.pw_gid)))
    wait_until(lambda: f"uid {user.pw_uid} gid {user.pw_gid} groups {groups}\n" in daemon.log_text())
    assert daemon.status("web") == "active"


@root
def test_a_daemon_that_is_not_root_says_that_it_may_not_switch(circusd: Start) -> None:
    # Somebody else who may read the files of this test, but not become another user.
    unprivileged = ["setpriv", "--reuid=54321", "--regid=54321", "--clear-groups"]
    readers = ["--inh-caps=+dac_override", "--ambient-caps=+dac_override", "--bounding-set=-all,+dac_override"]
    daemon = circusd(
        "[watcher:web]\ncmd = sleep 1000\nuid = nobody\nmax_retry = 1\n[watcher:ok]\ncmd = sleep 1000\n",
        through=[*unprivileged, *readers],
    )
    daemon.wait_status("ok", "active")
    daemon.wait_state("web", "fatal")
    assert "no permission to run 'sleep' as uid" in daemon.log_text()
    assert daemon.telemetry("web")["counters"]["spawn_failures"]["user"] == 1
    assert proc.stat(daemon.pids("ok")[0]) is not None


@pytest.mark.parametrize("option", ["uid = no-such-user", "uid = 54321", "gid = no-such-group"])
def test_an_unknown_user_leaves_the_watcher_out(circusd: Start, option: str) -> None:
    daemon = circusd(f"[watcher:web]\ncmd = sleep 1000\n{option}\n[watcher:ok]\ncmd = sleep 1000\n")
    daemon.wait_status("ok", "active")
    assert daemon.ok("list")["watchers"] == ["ok"]
    assert f"= {option.partition(' = ')[2]!r}: there is no such" in daemon.log_text()
