"""Going into the background."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import proc
from tests.helpers.waiting import wait_until

PROGRAM = """
import os, sys, time
from circus.runtime.daemonize import daemonize
handle = daemonize()
with open(sys.argv[1], "w") as file:
    print(os.getpid(), os.getsid(0), os.getcwd(), os.readlink("/proc/self/fd/0"), file=file)
"""


def start(tmp_path: Path, body: str, **options: object) -> subprocess.CompletedProcess[str]:
    program = PROGRAM + body
    return subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "facts")], capture_output=True, text=True, timeout=60, **options
    )


def facts(tmp_path: Path) -> list[str]:
    return (tmp_path / "facts").read_text().split()


def wait_for_end(tmp_path: Path) -> None:
    pid = int(facts(tmp_path)[0])
    wait_until(lambda: not proc.alive(pid))


def test_the_started_process_ends_well_when_the_daemon_is_ready(tmp_path: Path) -> None:
    body = "print('starting up', file=sys.stderr)\nhandle.ready()\nprint('unseen', file=sys.stderr)\ntime.sleep(60)"
    done = start(tmp_path, body)
    pid = int(facts(tmp_path)[0])
    try:
        assert (done.returncode, done.stderr) == (0, "starting up\n")
        assert proc.alive(pid)
        outputs = {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in (0, 1, 2)}
        assert outputs == {"/dev/null"}
    finally:
        os.kill(pid, 9)
    wait_for_end(tmp_path)


def test_a_daemon_that_fails_tells_why(tmp_path: Path) -> None:
    done = start(tmp_path, "handle.failed('socket taken: grüße')\nos._exit(1)")
    assert (done.returncode, done.stderr) == (1, "socket taken: grüße\n")
    wait_for_end(tmp_path)


def test_a_daemon_that_dies_without_a_word_is_noticed(tmp_path: Path) -> None:
    done = start(tmp_path, "os.kill(os.getpid(), 9)")
    assert (done.returncode, done.stderr) == (1, "the daemon ended before it was ready\n")


def test_a_traceback_before_it_is_ready_is_seen(tmp_path: Path) -> None:
    done = start(tmp_path, "raise KeyError('oops')")
    assert done.returncode == 1
    assert "KeyError: 'oops'" in done.stderr
    wait_for_end(tmp_path)


def test_it_has_its_own_session_and_keeps_the_working_directory(tmp_path: Path) -> None:
    start(tmp_path, "handle.ready()", cwd=tmp_path)
    pid, session, cwd, stdin = facts(tmp_path)
    assert session not in {pid, str(os.getsid(0))}
    assert cwd == str(tmp_path)
    assert stdin == "/dev/null"
    wait_for_end(tmp_path)


def test_what_was_inherited_is_closed(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    body = "fds = sorted(os.listdir('/proc/self/fd'))\nhandle.failed(str(len(fds)))"
    done = start(tmp_path, body, pass_fds=[writer])
    os.close(writer)
    os.close(reader)
    # 0, 1, 2, the pipe to the started process and the one that lists
    assert done.stderr == "5\n"
    wait_for_end(tmp_path)


@pytest.mark.parametrize("closed", [(0,), (0, 1, 2)])
def test_closed_standard_descriptors_do_no_harm(tmp_path: Path, closed: tuple[int, ...]) -> None:
    program = PROGRAM + "handle.ready()"
    closing = " ".join(f"{fd}>&-" for fd in closed)
    command = f'exec "$0" -c "$1" "$2" {closing}'
    done = subprocess.run(["sh", "-c", command, sys.executable, program, str(tmp_path / "facts")], timeout=60)
    assert done.returncode == 0
    assert facts(tmp_path)[3] == "/dev/null"
    wait_for_end(tmp_path)


def test_other_programs_may_call_it_as_of_old(tmp_path: Path) -> None:
    program = """if True:
        import os, sys
        from circus.circusd import daemonize, get_maxfd
        before = os.getsid(0)
        daemonize()
        with open(sys.argv[1], "w") as file:
            print(os.getpid(), os.getsid(0) != before, get_maxfd() > 0, file=file)
    """
    facts_file = str(tmp_path / "facts")
    done = subprocess.run([sys.executable, "-c", program, facts_file], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    wait_until(lambda: (tmp_path / "facts").exists() and len(facts(tmp_path)) == 3)
    assert facts(tmp_path)[1:] == ["True", "True"]
    wait_for_end(tmp_path)


def test_gevent_is_refused() -> None:
    program = (
        "import sys, types\nsys.modules['gevent'] = types.ModuleType('gevent')\n"
        "from circus.runtime.daemonize import daemonize\ndaemonize()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "circusd cannot go into the background with gevent loaded" in done.stderr


def test_a_program_of_circus_0_19_becomes_a_daemon_by_itself(tmp_path: Path) -> None:
    text = (
        "import os\nfrom circus.circusd import daemonize\ndaemonize()\n"
        f"open({str(tmp_path / 'told')!r}, 'w').write(f'{{os.getsid(0) != {os.getsid(0)}}}\\n')\n"
    )
    done = subprocess.run([sys.executable, "-c", text], timeout=60, check=False)
    assert done.returncode == 0
    told = wait_until(lambda: (tmp_path / "told").exists() and (tmp_path / "told").read_text()) or ""
    assert told == "True\n"
