"""The daemon's memory with 1,000 processes while somebody listens to all samples."""

from __future__ import annotations

import pathlib
import re
import time
from collections.abc import Iterator

from tests.benchmarks.daemons import PROCESSES, as_installed, sleepers
from tests.benchmarks.report import Row

SECONDS = 20.0
HEADING = re.compile(r"^[0-9a-f]+-[0-9a-f]+ \S+ \S+ \S+ (\d+)\s*(.*)$")
# Mapped by the thousand sleepers too, so sharing them with this benchmark's own interpreter changes nothing.
EVERYBODYS = re.compile(r"/(libc|ld-linux[^/]*|libc-[\d.]+)[.-]")


def proportional(pid: int) -> tuple[float, float, float]:
    """(PSS, PSS as if this interpreter were not here, RSS) in bytes.

    The benchmark runs on the same interpreter and libraries as the daemon and so takes on half of every page of
    them; a daemon alone on its machine carries them whole.
    """
    pss = alone = rss = 0
    mapped = ""
    for line in pathlib.Path(f"/proc/{pid}/smaps").read_text().splitlines():
        heading = HEADING.match(line)
        if heading:
            mapped = heading.group(2)
            continue
        key, _, value = line.partition(":")
        if key == "Rss":
            resident = int(value.split()[0]) * 1024
            rss += resident
        elif key == "Pss":
            share = int(value.split()[0]) * 1024
            pss += share
            alone += resident if mapped.startswith("/") and not EVERYBODYS.search(mapped) else share
    return pss, alone, rss


def run() -> Iterator[Row]:
    with sleepers(**as_installed()) as made, made.stats("sample.") as samples:
        samples.wait_for(lambda message: message.topic == "sample.sleeper0", count=3)
        time.sleep(SECONDS)
        pss, alone, rss = proportional(made.pid)
        yield Row(
            what=f"PSS with {PROCESSES} processes and stats on",
            measured=alone / 1e6,
            unit="MB",
            target=30.0,
            note=f"as if no other Python ran; beside this one {pss / 1e6:.1f}, RSS {rss / 1e6:.1f}",
        )
