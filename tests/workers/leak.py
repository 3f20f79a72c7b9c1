"""Keeps more and more memory: `leak.py [BYTES_PER_SECOND] [LIMIT_BYTES]`, touched so that it is resident.

Says `ready` after the first piece, and holds what it has when the limit is reached.
"""

from __future__ import annotations

import sys
import time

STEP_SECONDS = 0.1


def main() -> None:
    rate = int(sys.argv[1]) if len(sys.argv) > 1 else 1 << 20
    limit = int(sys.argv[2]) if len(sys.argv) > 2 else 64 << 20
    kept: list[bytes] = []
    size = 0
    while True:
        if size < limit:
            piece = b"\x01" * int(rate * STEP_SECONDS)
            kept.append(piece)
            size += len(piece)
            if len(kept) == 1:
                print("ready", flush=True)
        time.sleep(STEP_SECONDS)


if __name__ == "__main__":
    main()
