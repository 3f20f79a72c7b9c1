"""Statistics: readers of processes, the sampler, the stats channel, circus-top; and circusd-stats, which is `main`."""

from __future__ import annotations

from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> None:
    """The command circusd-stats; ends the program."""
    import sys

    from circus.stats.beside import run  # circusd imports this package too, and needs none of it

    sys.exit(run(sys.argv[1:] if argv is None else argv))
