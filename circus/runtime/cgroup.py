"""Groups of cgroup v2, in which a process cannot leave its tree: the sure way to find and to kill all of it.

Owns a directory below the group that this program runs in, and one below that for each tree. Works without any
controller, beside version 1 too. Invariants: what cannot be made is None and the caller goes another way; no two trees
are ever in one group; what was made is removed once it is empty.
"""

from __future__ import annotations

import contextlib
import os
import pathlib

_PREFIX = "circus-"
_SAME_NAMES = 1000
"""So many groups can be wanted by one name."""


class Group:
    """The group of one tree, at `path`."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._end = "/".join(["", *path.split("/")[-2:]]).encode()
        self.door: int | None = None
        """While it is open, a descriptor through which a child of ours goes in: it writes 0 to it."""

    def open(self) -> None:
        """Let a child of ours go in before it executes anything. It may be of another user by then, as the kernel asks who
        has opened the door (since 5.16).
        """
        with contextlib.suppress(OSError):
            self.door = os.open(f"{self.path}/cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)

    def shut(self) -> None:
        """Nobody goes in by himself any more."""
        if self.door is not None:
            os.close(self.door)
            self.door = None

    def join(self, pid: int) -> bool:
        """Put a process in; what it starts from then on is in too. False where that may not be."""
        return self._write("cgroup.procs", str(pid))

    def pids(self) -> list[int]:
        """Who lives in it."""
        try:
            with open(f"{self.path}/cgroup.procs", "rb") as file:
                return [pid for pid in map(int, file.read().split()) if pid]
        except OSError:
            return []

    def has(self, pid: int) -> bool:
        """Whether that process is in it."""
        try:
            with open(f"/proc/{pid}/cgroup", "rb") as file:
                return any(line.startswith(b"0::") and line.endswith(self._end) for line in file.read().splitlines())
        except OSError:
            return False

    def populated(self) -> bool:
        """Whether anybody lives in it, also who forks faster than `pids` can be looked at. The dead do not count."""
        try:
            with open(f"{self.path}/cgroup.events", "rb") as file:
                return b"populated 1" in file.read()
        except OSError:
            return False

    def kill(self) -> bool:
        """SIGKILL to all at once, whoever forks; False where the kernel is too old for it."""
        return self._write("cgroup.kill", "1")

    def remove(self) -> None:
        """Give it back, unless somebody is still in it."""
        self.shut()
        with contextlib.suppress(OSError):
            os.rmdir(self.path)

    def _write(self, name: str, text: str) -> bool:
        try:
            with open(f"{self.path}/{name}", "w") as file:
                file.write(text)
        except OSError:
            return False
        return True


class Groups:
    """Where the groups of this program are."""

    def __init__(self, path: pathlib.Path) -> None:
        self._path = path

    @classmethod
    def open(cls) -> Groups | None:
        """Make the directory; None where there is no cgroup v2, or none that this program may change."""
        home = _home()
        if home is None:
            return None
        _remove_remains(home)
        path = home / f"{_PREFIX}{os.getpid()}"
        try:
            path.mkdir(exist_ok=True)
        except OSError:
            return None
        return cls(path) if os.access(path / "cgroup.procs", os.W_OK) else None

    def make(self, name: str) -> Group | None:
        """A new group; None where that may not be. A name that is taken, by what could not be ended or by another arbiter
        of this program, gets a number behind it.
        """
        path = self._of(name)
        for number in range(2, _SAME_NAMES):
            try:
                path.mkdir()
            except FileExistsError:
                path = self._of(f"{name}~{number}")
            except OSError:
                return None
            else:
                return Group(str(path))
        return None

    def find(self, name: str, pid: int) -> Group | None:
        """The group of a process, which the program made that was here before us; None where there is none. It has the
        name that it was made with, unless the process lives and says another.
        """
        for path in (self._path / _group_of(pid), self._of(name)):
            if path.parent == self._path and path.is_dir():
                return Group(str(path))
        return None

    def _of(self, name: str) -> pathlib.Path:
        return self._path / name.replace("/", "_").replace("\0", "_")

    def close(self) -> None:
        """Remove the directory, and what is empty in it."""
        _remove(self._path)


def _group_of(pid: int) -> str:
    """The last part of the name of the group that a process is in; nothing where that cannot be known."""
    try:
        lines = pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    except OSError:
        return ""
    return next((line.rpartition("/")[2] for line in lines if line.startswith("0::")), "")


def _home() -> pathlib.Path | None:
    """The directory of the group that this program runs in."""
    try:
        mounts = pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
        own = pathlib.Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return None
    points = [line.split()[4] for line in mounts if " - cgroup2 " in line]
    paths = [line.removeprefix("0::") for line in own if line.startswith("0::")]
    if not points or not paths:
        return None
    home = pathlib.Path(points[0]) / paths[0].strip("/")
    return home if (home / "cgroup.procs").exists() else None


def _remove_remains(home: pathlib.Path) -> None:
    """Directories that daemons left behind which could not leave well."""
    for path in home.glob(f"{_PREFIX}*"):
        pid = path.name.removeprefix(_PREFIX)
        if pid.isdigit() and not pathlib.Path(f"/proc/{pid}").exists():
            _remove(path)


def _remove(path: pathlib.Path) -> None:
    with contextlib.suppress(OSError):
        for inner in [each for each in path.iterdir() if each.is_dir()]:
            Group(str(inner)).remove()
        path.rmdir()
