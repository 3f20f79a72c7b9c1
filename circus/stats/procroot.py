"""What one /proc as a whole is like.

Owns what is asked once for a root and not for each process. Invariant: a root that lacks something gets an answer all
the same, never an exception.
"""

from __future__ import annotations

import os

from circus.stats.proctext import after


def boot_time(root: str) -> float:
    """Unix time at which the system started; 0.0 where it does not tell."""
    try:
        with open(f"{root}/stat", "rb") as file:
            return float(after(file.read(), b"\nbtime") or 0)
    except OSError:
        return 0.0


def fd_directories_have_sizes(root: str) -> bool:
    """Whether the size of /proc/PID/fd is the number of open descriptors (Linux 6.2), tried on ourselves."""
    path = f"{root}/self/fd"
    try:
        # Listing a directory opens one more; another thread may open or close one meanwhile, hence twice.
        return any(os.stat(path).st_size == len(os.listdir(path)) - 1 for _ in range(2))
    except OSError:
        return False
