"""Keeps memory for as long as a file exists: `hoard.py FILE [MEBIBYTES]`, touched so that it is resident."""

from __future__ import annotations

import pathlib
import sys
import time


def main() -> None:
    file, size = pathlib.Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 100
    kept: bytes | None = None
    while True:
        if not file.exists():
            kept = None
        elif kept is None:
            kept = b"\x01" * (size << 20)
        time.sleep(0.05)


if __name__ == "__main__":
    main()
