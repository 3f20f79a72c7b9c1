"""A real sshd on the loopback interface, with keys, port and configuration of its own, and an ssh that knows only it.

Invariant: nothing of the user's own ssh is read or written, and nothing of it lives when it is closed.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import pathlib
import shutil
import signal
import socket
import subprocess
from typing import Self

from tests.helpers import proc, real
from tests.helpers.ports import reserved_port
from tests.helpers.waiting import DEADLINE, wait_until

# sshd as root insists on this directory, which its service would make.
SEPARATION = pathlib.Path("/run/sshd")


class Sshd:
    """`server` is what to give to --ssh; `path` is a PATH on which `ssh` finds our keys and hosts."""

    def __init__(self, directory: pathlib.Path, *, known: bool = True) -> None:
        program = real.program("/usr/sbin/sshd", "openssh-server")
        ssh = shutil.which("ssh") or real.program("ssh", "openssh-client")
        self.directory = directory
        directory.mkdir()
        self.keyfile = directory / "key"
        for name in ("host", "key"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", directory / name], check=True)
        shutil.copy(directory / "key.pub", directory / "authorized")
        self._port = contextlib.ExitStack()
        port = self._port.enter_context(reserved_port())
        host = (directory / "host.pub").read_text() if known else ""
        (directory / "known").write_text(f"[127.0.0.1]:{port} {host}" if known else "")
        (directory / "sshd.conf").write_text(
            f"Port {port}\nListenAddress 127.0.0.1\nHostKey {directory}/host\nPidFile none\nStrictModes no\nUsePAM no\n"
            f"AuthorizedKeysFile {directory}/authorized\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
            "PermitRootLogin yes\nPrintMotd no\nPrintLastLog no\n"
        )
        # The key is not named here: tests name it, as users do.
        (directory / "ssh.conf").write_text(
            f"UserKnownHostsFile {directory}/known\nGlobalKnownHostsFile none\nIdentitiesOnly yes\n"
            f"IdentityFile {directory}/default\nIdentityAgent none\nControlMaster no\nLogLevel error\n"
        )
        (directory / "bin").mkdir()
        wrapper = directory / "bin" / "ssh"
        wrapper.write_text(f'#!/bin/sh\nexec {ssh} -F {directory}/ssh.conf "$@"\n')
        wrapper.chmod(0o755)
        self.path = f"{directory}/bin:{os.environ['PATH']}"
        self.server = f"{getpass.getuser()}@127.0.0.1:{port}"
        self._made = os.geteuid() == 0 and not SEPARATION.exists()
        if self._made:
            SEPARATION.mkdir(mode=0o755)
        with (directory / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [program, "-D", "-e", "-f", directory / "sshd.conf"], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        wait_until(lambda: self._listens(port), what=(directory / "log").read_text)

    def use_key_by_default(self) -> None:
        """Let ssh use the key without being told, as one in ~/.ssh."""
        for end in ("", ".pub"):
            shutil.copy(f"{self.keyfile}{end}", self.directory / f"default{end}")

    def _listens(self, port: int) -> bool:
        assert self._process.poll() is None, (self.directory / "log").read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    def close(self) -> None:
        """End it and all that came through it; the tunnels end with it, which would stay for a minute."""
        for pid in [*proc.descendants(self._process.pid), self._process.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        self._process.wait(DEADLINE)
        self._port.close()
        if self._made:
            SEPARATION.rmdir()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
