"""Writes into a file what kind of process it is, as JSON, and waits: `report.py FILE [WORD...]`.

Everything is taken before anything is opened: environment, open file descriptors and where they lead, resource
limits, ids, session, directory, umask, signal mask and ignored signals, and the words of its command line. `{pid}`
in FILE is replaced, so that several processes of a watcher each write their own.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import resource
import signal
import sys


def open_fds() -> dict[str, str]:
    """Number to target; the descriptor that reads the directory is gone again by the time its link is read."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found[name] = os.readlink(f"/proc/self/fd/{name}")
    return found


def main() -> None:
    umask = os.umask(0)
    os.umask(umask)
    said = {
        "pid": os.getpid(),
        "ppid": os.getppid(),
        "pgid": os.getpgid(0),
        "sid": os.getsid(0),
        "uid": os.getuid(),
        "gid": os.getgid(),
        "groups": os.getgroups(),
        "cwd": os.getcwd(),
        "umask": umask,
        "argv": sys.argv[2:],
        "environ": dict(os.environ),
        "fds": open_fds(),
        "limits": {
            name.removeprefix("RLIMIT_").lower(): resource.getrlimit(getattr(resource, name))
            for name in dir(resource)
            if name.startswith("RLIMIT_")
        },
        "blocked": sorted(int(signum) for signum in signal.pthread_sigmask(signal.SIG_BLOCK, ())),
        "ignored": sorted(
            int(signum)
            for signum in signal.valid_signals()
            # Python itself ignores these two before any program text runs.
            if signum not in {signal.SIGPIPE, signal.SIGXFSZ} and signal.getsignal(signum) is signal.SIG_IGN
        ),
    }
    target = pathlib.Path(sys.argv[1].replace("{pid}", str(os.getpid())))
    beside = target.with_name(f".{target.name}.{os.getpid()}")
    beside.write_text(json.dumps(said))
    beside.rename(target)
    while True:
        signal.pause()


if __name__ == "__main__":
    main()
