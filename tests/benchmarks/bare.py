"""The floor: a bare loop of subprocess.Popen on the vfork path, in an interpreter of its own.

`bare.py COUNT PROGRAM [WORD...]` prints the seconds that starting them took, waits for a line on its standard input,
then kills and reaps them. `start_bare` is the same from a benchmark.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence


def main() -> None:
    count, command = int(sys.argv[1]), sys.argv[2:]
    with open("/dev/null", "r+b") as null:  # noqa: PTH123  as small as can be: nothing but the loop counts here
        began = time.perf_counter()
        children = [
            subprocess.Popen(
                command, stdin=null, stdout=null, stderr=null, close_fds=False, start_new_session=True, env={}
            )
            for _ in range(count)
        ]
        print(time.perf_counter() - began, flush=True)
    sys.stdin.readline()
    for child in children:
        child.kill()
    for child in children:
        child.wait()


@contextlib.contextmanager
def start_bare(count: int, command: Sequence[str]) -> Iterator[float]:
    """Seconds for starting `count` of the command; they live until the block ends."""
    with subprocess.Popen(
        [sys.executable, __file__, str(count), *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as bare:
        assert bare.stdout is not None
        yield float(bare.stdout.readline())
        bare.communicate("\n")


if __name__ == "__main__":
    main()
