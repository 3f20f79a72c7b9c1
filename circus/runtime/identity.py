"""Whether a process is the one that somebody noted, and what can be had from one that is not our child.

A pid alone proves nothing. Together with the moment of its start, in the life of this kernel and among the pids of this
namespace, it names one process for ever. Invariant: a handle that comes out of here is on the process that was meant; a
stranger who has its pid now is never touched.
"""

from __future__ import annotations

import os
import select
import struct
import time
from typing import Any, Final

from circus.runtime import child_setup, tree
from circus.runtime.pidfds import handle_on

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_CAP_SYS_PTRACE: Final = 19
_PIDFD_GETFD: Final = 438  # the same number on every architecture
_PIDFD_GET_INFO: Final = 0xC040FF0B  # _IOWR(0xFF, 11, 64 bytes)
_INFO_BYTES: Final = 64
_INFO_EXIT: Final = 8
_EXIT_CODE_AT: Final = 60


def machine() -> str | None:
    """This life of the kernel; None on a system that cannot tell."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def namespace() -> int:
    """What tells the pids that this program sees from those of other containers; 0 where there is one world only."""
    try:
        return os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return 0


def started(pid: int) -> int | None:
    """When a process was started, in the kernel's clock ticks since boot; None for one that has ended."""
    found = tree.facts(pid)
    return None if found is None or found.dead else int(found.started)


def tick() -> int:
    """This moment as the kernel would write it down as the start of a process."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) * _TICKS // 1_000_000_000


def usable() -> str | None:
    """None where handles on processes can be had; else why not."""
    if machine() is None:
        return "this system does not tell processes apart beyond their pids (that needs Linux, with /proc)"
    if not hasattr(time, "CLOCK_BOOTTIME") or not hasattr(os, "pidfd_open"):
        return "this Python has no pidfd_open"
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError as error:
        return f"this system has no pidfd_open ({error.strerror})"
    return None


def handle(pid: int, first: int, last: int) -> tuple[int, int] | None:
    """A pidfd on the process that was started between two ticks, these included, and the tick; None when it has ended.

    Raises:
        OSError: there is no descriptor left, or none to be had.
    """
    if pid == os.getpid():
        return None
    try:
        pidfd = handle_on(pid)
    except ProcessLookupError:
        return None
    # Only now: whoever has the pid at this moment, and is the one, was it when the handle was made.
    start = started(pid)
    if start is not None and first <= start <= last:
        return pidfd, start
    os.close(pidfd)
    return None


def inode(pid: int, fd: int) -> int | None:
    """What a descriptor of another process leads to; None when it is closed or may not be looked at."""
    try:
        return os.stat(f"/proc/{pid}/fd/{fd}").st_ino
    except OSError:
        return None


def sockets_of(pid: int) -> dict[int, int]:
    """The sockets that another process has open: inode -> descriptor. Empty where that may not be known."""
    found: dict[int, int] = {}
    try:
        names = os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return found
    for name in names:
        try:
            target = os.readlink(f"/proc/{pid}/fd/{name}")
        except OSError:
            continue
        if target.startswith("socket:["):
            found.setdefault(int(target[8:-1]), int(name))
    return found


def take(pidfd: int, fd: int) -> int:
    """A descriptor of our own for what a descriptor of another process leads to, closed on exec.

    Raises:
        OSError: it is closed there, or we may not; where the kernel restricts ptrace (Yama) only root may.
    """
    import ctypes

    libc: Any = ctypes.CDLL(None, use_errno=True)
    taken: int = libc.syscall(ctypes.c_long(_PIDFD_GETFD), ctypes.c_int(pidfd), ctypes.c_int(fd), ctypes.c_uint(0))
    if taken < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return taken


def has_ended(pidfd: int) -> bool:
    """Whether the process of a handle is dead, waited for or not."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(0))


def status(pid: int, start: int, pidfd: int) -> int | None:
    """The wait status of a process that has ended and is not our child; None where nobody can know it.

    While its parent has not waited for it /proc has it, for its own user and for root; afterwards its pidfd, since
    Linux 6.15.
    """
    code = _status_of_zombie(pid, start)
    return _status_of_reaped(pidfd) if code is None else code


def _status_of_zombie(pid: int, start: int) -> int | None:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = file.read()
    except OSError:
        return None
    fields = text[text.rindex(b")") + 2 :].split()
    if fields[0] not in (b"Z", b"X") or int(fields[19]) != start or len(fields) < 50:
        return None
    # Whoever may not know it is told 0, as of one that ended well.
    return int(fields[49]) if _may_look_into(pid) else None


def _may_look_into(pid: int) -> bool:
    try:
        owner = os.stat(f"/proc/{pid}").st_uid
    except OSError:
        return False
    return owner == os.geteuid() or child_setup.has_capability(_CAP_SYS_PTRACE)


def _status_of_reaped(pidfd: int) -> int | None:
    import fcntl

    info = bytearray(_INFO_BYTES)
    struct.pack_into("=Q", info, 0, _INFO_EXIT)
    try:
        fcntl.ioctl(pidfd, _PIDFD_GET_INFO, info)
    except OSError:
        return None
    (mask,) = struct.unpack_from("=Q", info, 0)
    if not mask & _INFO_EXIT:
        return None
    (code,) = struct.unpack_from("=i", info, _EXIT_CODE_AT)
    return int(code)
