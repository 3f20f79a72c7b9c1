"""Ends with the status on its command line, after so many seconds: `exit_n.py 3 [0.5]`.

A name such as SIGSEGV in place of the number makes it end by that signal.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import time


def main() -> int:
    how = sys.argv[1]
    time.sleep(float(sys.argv[2]) if len(sys.argv) > 2 else 0.0)
    if how.isdigit():
        return int(how)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signum = signal.Signals[how]
    if signum not in {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(signum, signal.SIG_DFL)
    os.kill(os.getpid(), signum)
    return 99


if __name__ == "__main__":
    sys.exit(main())
