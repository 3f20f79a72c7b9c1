"""The info of a process as circus 0.19 tells it: strings such as `"29.18M"` and `"N/A"` live here and nowhere else.

Pure functions from a typed sample. Kept from 0.19: keys, their order and the form of each value. Mended: the fraction
of `ctime` is hundredths of a second (0.19 cut off the leading zeros of its microseconds) and its minutes do not start
again after an hour.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from sys import intern
from typing import Any, Final, NamedTuple

from circus.stats.readers import NOT_AVAILABLE, Description
from circus.wire.samples import ProcessSample

_UNITS: Final = "BKMGTPEZY"
_NOT_DESCRIBED: Final = Description(NOT_AVAILABLE, NOT_AVAILABLE, None, 0.0)


def size_text(size: int | None) -> str:
    """Bytes for people: `512B`, `8.02M`."""
    if size is None:
        return NOT_AVAILABLE
    if size < 1024:
        return f"{size}B"
    power = (size.bit_length() - 1) // 10
    return f"{size / (1 << 10 * power):.2f}{_UNITS[power]}"


def cpu_text(seconds: float) -> str:
    """CPU time for people: minutes, seconds and hundredths, `12:07.50`."""
    hundredths = round(seconds * 100)
    return f"{hundredths // 6000}:{hundredths // 100 % 60:02d}.{hundredths % 100:02d}"


def total_memory() -> int:
    """The bytes of memory of this machine."""
    return int(os.sysconf("SC_PHYS_PAGES")) * int(os.sysconf("SC_PAGE_SIZE"))


class Worked(NamedTuple):
    """What takes work to tell: the same as long as a sample and its description are."""

    resident: str
    virtual: str
    share: float | str
    cpu_time: str


def work_out(sample: ProcessSample, described: Description | None, memory: int) -> Worked:
    """The texts of one process, which others share if they are alike; `memory` is that of the machine."""
    resident = sample.resident_bytes
    return Worked(
        intern(size_text(resident)),
        intern(size_text(sample.virtual_bytes)),
        NOT_AVAILABLE if resident is None else round(resident / memory * 100.0, 3),
        intern(cpu_text(_seconds(sample) if described is None else described.cpu_seconds)),
    )


def process_info(
    sample: ProcessSample,
    described: Description | None,
    *,
    percent: float,
    create_time: float,
    age: float,
    worked: Worked,
    children: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """The info of one process; `described` is None where the system does not let us look, `worked` is of the same."""
    if described is None:
        described = _NOT_DESCRIBED
    nice: int | str = NOT_AVAILABLE if described.nice is None else described.nice
    return {
        "mem_info1": worked.resident,
        "mem_info2": worked.virtual,
        "cpu": round(percent, 1),
        "mem": worked.share,
        "ctime": worked.cpu_time,
        "pid": sample.pid,
        "username": described.username,
        "nice": "Zombie" if sample.state == "Z" else nice,
        "create_time": create_time,
        "age": age,
        "cmdline": described.cmdline,
        "children": list(children),
    }


def _seconds(sample: ProcessSample) -> float:
    return (sample.cpu_user_seconds or 0.0) + (sample.cpu_system_seconds or 0.0)
