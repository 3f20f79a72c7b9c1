"""What the system says of a process that ended, in our words.

Knows no process and waits for none.
"""

from __future__ import annotations

import resource
import sys
from typing import Any, Final

from circus.core.exit_status import ExitStatus, decode
from circus.runtime.signals import NAMES

# ru_maxrss counts KiB on Linux and bytes on macOS.
_MAXRSS_UNIT: Final = 1 if sys.platform == "darwin" else 1024


def exit_status(status: int, usage: Any = None) -> ExitStatus:
    """What a status from wait4 and the usage that came with it, if any, say."""
    code, signum, name, core = decode(status, NAMES)
    if usage is None:
        return ExitStatus(exit_code=code, signum=signum, signal=name, core=core)
    # After a vfork Linux counts the daemon's own peak for the child; only what lies above it is the child's.
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak = usage.ru_maxrss * _MAXRSS_UNIT if usage.ru_maxrss > own else None
    return ExitStatus(exit_code=code, signum=signum, signal=name, core=core, cpu_user_seconds=usage.ru_utime,
                      cpu_system_seconds=usage.ru_stime, max_resident_bytes=peak)  # fmt: skip
