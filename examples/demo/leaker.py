"""Forgets to let go: 200 kB more every second. Ends with an error at 256 MB, so that a forgotten demo does no harm."""

from __future__ import annotations

import sys
import time

PIECE = 200_000
MOST = 256_000_000

kept: list[bytes] = []
while len(kept) * PIECE < MOST:
    kept.append(b"\x01" * PIECE)
    if len(kept) % 10 == 0:
        print(f"holding {len(kept) * PIECE / 1e6:.0f} MB", flush=True)
    time.sleep(1.0)
sys.exit("out of patience before out of memory")
