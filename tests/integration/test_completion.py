"""Completion where it is used: a key pressed in real shells, and at the prompt of circusctl."""

from __future__ import annotations

import contextlib
import os
import pathlib
import subprocess
import sys
from collections.abc import Iterator

import pexpect
import pytest

from tests.conftest import CircusD
from tests.helpers import real
from tests.helpers.daemon import Daemon, script
from tests.helpers.waiting import DEADLINE

INI = """
[watcher:Other One]
cmd = sleep 1000

[watcher:ns:app]
cmd = sleep 1000
numprocesses = 3
"""

# How each shell is started without anybody's settings, and what it is told before it is typed at.
SHELLS = {
    "bash": (["--norc", "--noprofile", "-i"], "bind 'set enable-bracketed-paste off'"),
    "zsh": (["-f", "-i"], "unset zle_bracketed_paste; autoload -U compinit; compinit -u -D"),
    "fish": (["--no-config", "-i"], "true"),
}
INTO = {
    "bash": 'eval "$(circusctl completion bash)"',
    "zsh": 'eval "$(circusctl completion zsh)"',
    "fish": "circusctl completion fish | source",
}


@pytest.fixture
def daemon(circusd: CircusD) -> Daemon:
    made = circusd(INI)
    made.wait_pids("other one", 1)
    made.wait_pids("ns:app", 3)
    return made


def environment(daemon: Daemon, home: pathlib.Path) -> dict[str, str]:
    programs = pathlib.Path(script("circusctl")).parent
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("XDG_")},
        "PATH": f"{programs}:{os.environ['PATH']}",
        "CIRCUSCTL_ENDPOINT": daemon.endpoint,
        "HOME": str(home),
        "TERM": "dumb",
    }


@contextlib.contextmanager
def typing(program: str, words: list[str], env: dict[str, str], directory: pathlib.Path) -> Iterator[pexpect.spawn]:
    typed = pexpect.spawn(
        program, words, env=env, cwd=str(directory), encoding="utf-8", timeout=DEADLINE, dimensions=(50, 200)
    )
    try:
        yield typed
    finally:
        typed.close(force=True)


@pytest.mark.real
@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_completes_commands_and_names_of_watchers(shell: str, daemon: Daemon, tmp_path: pathlib.Path) -> None:
    words, settings = SHELLS[shell]
    program = real.program(shell, shell)
    with typing(program, words, environment(daemon, tmp_path), tmp_path) as typed:
        typed.sendline(f"{settings}; {INTO[shell]}; echo rea''dy")
        typed.expect("ready\r\n")
        # What was completed is run, and its answer is the proof.
        typed.send("circusctl numproc\tns:a\t")
        typed.send("\r")
        typed.expect(r"\n3\r\n")
        typed.send("circusctl status Oth\t\r")
        typed.expect(r"\nactive\r\n")
        typed.send("circusctl restart 'Oth\t --wai\t --match sim\t\r")
        typed.expect(r"\nok\r\n")


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_is_one_that_the_shell_can_read(shell: str, tmp_path: pathlib.Path) -> None:
    text = subprocess.run([script("circusctl"), "completion", shell], capture_output=True, text=True, check=True).stdout
    (tmp_path / "script").write_text(text)
    checked = subprocess.run(
        [real.program(shell, shell), "-n", str(tmp_path / "script")], capture_output=True, text=True
    )
    assert (checked.returncode, checked.stderr) == (0, "")


def test_another_shell_is_told_which_there_are(daemon: Daemon) -> None:
    told = daemon.circusctl("completion", "tcsh")
    assert (told.returncode, told.stderr) == (1, "there is no completion for 'tcsh', but for bash, zsh, fish\n")


OWN_COMMAND = """
from circus.circusctl import main
from circus.commands import Command


class Tell(Command):
    'Tell how many watchers there are.'

    name = "tell"

    def message(self, *words, **options):
        return self.make_message(command="numwatchers")

    def console_msg(self, reply):
        return f"{reply['numwatchers']} in all"

    def autocomplete(self, client, text, line, begidx, endidx):
        return [f"{word}-{client.send_message('numwatchers')['numwatchers']}" for word in ("one", "two")]


main()
"""


def test_a_command_of_a_third_party_is_at_home_at_the_prompt(daemon: Daemon, tmp_path: pathlib.Path) -> None:
    with typing(sys.executable, ["-c", OWN_COMMAND], environment(daemon, tmp_path), tmp_path) as typed:
        typed.expect_exact("(circusctl) ")
        typed.send("tel\t\t")  # telemetry is another
        typed.expect("telemetry  *tell|tell  *telemetry")
        typed.send("l \t\t")
        typed.expect("one-2  *two-2")
        typed.send("\r")
        typed.expect(r"\n2 in all\r\n")
        typed.send("help tell\r")
        typed.expect("Tell how many watchers there are")


def test_the_prompt_completes_too(daemon: Daemon, tmp_path: pathlib.Path) -> None:
    env = environment(daemon, tmp_path)
    with typing(script("circusctl"), [], env, tmp_path) as typed:
        typed.expect_exact("(circusctl) ")
        typed.send("numproc\t ns:a\t\r")
        typed.expect(r"\n3\r\n")
        typed.send("status Oth\t\r")
        typed.expect(r"\nactive\r\n")
        typed.send("stop Other\\ O\t --wai\t\r")
        typed.expect(r"\nok\r\n")
        typed.send("help numw\t\r")
        typed.expect("Count the watchers")
    assert daemon.status("other one") == "stopped"
