"""Crashes every few seconds, each time in another way: a status, or a signal as from a bug in C."""

from __future__ import annotations

import os
import random
import signal
import sys
import time

time.sleep(random.uniform(3.0, 8.0))
end = random.choice([1, 2, 70, signal.SIGSEGV, signal.SIGABRT])
print(f"crashing with {end.name if isinstance(end, signal.Signals) else f'status {end}'}", flush=True)
if isinstance(end, signal.Signals):
    os.kill(os.getpid(), end)
sys.exit(end)
