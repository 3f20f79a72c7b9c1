"""The info of any process right now, in the form of circus 0.19, for programs: read once, without a sampler.

Invariant: reading keeps nothing open, and remembers nothing that its caller does not hold.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from circus.stats.psinfo import process_info, total_memory, work_out
from circus.stats.readers import NOT_AVAILABLE, Description, choose_readers
from circus.wire.samples import ProcessSample

if TYPE_CHECKING:
    from circus.stats.reading import Reader


class Reading(NamedTuple):
    """What the next info of the same process needs to tell the CPU used since this one."""

    moment: float
    cpu_seconds: float


def get_info(
    pid: int | None = None, *, since: Reading | None = None, interval: float = 0.0, children: bool = False
) -> tuple[dict[str, Any], Reading]:
    """The info of a process.

    Args:
        pid: which; this program when None.
        since: an earlier reading; `cpu` is the percentage since then, 0.0 without one.
        interval: seconds to wait (blocking) so that there is an earlier one.
        children: tell of its direct children too.

    Raises:
        ProcessLookupError: there is no such process.
    """
    readers = choose_readers()
    reader = readers(os.getpid() if pid is None else pid, keep=False)
    if interval > 0:
        since = _read(reader)[1]
        time.sleep(interval)
    sample, reading = _read(reader)
    elapsed = 0.0 if since is None else reading.moment - since.moment
    used = 0.0 if since is None else max(reading.cpu_seconds - since.cpu_seconds, 0.0)
    described = _described(reader)
    below = []
    for child in reader.children() if children else ():
        try:
            below.append(get_info(child)[0])
        except ProcessLookupError:
            continue
    info = process_info(
        sample,
        described,
        percent=used / elapsed * 100.0 if elapsed > 0 else 0.0,
        create_time=reader.create_time,
        age=time.time() - reader.create_time,
        worked=work_out(sample, described, total_memory()),
        children=below,
    )
    reader.close()
    return info, reading


def _read(reader: Reader) -> tuple[ProcessSample, Reading]:
    told = reader.read()
    if told is None:
        raise ProcessLookupError(reader.pid)
    state, user, system, resident, virtual, threads, *_ = told
    sample = ProcessSample(
        wid=0,
        pid=reader.pid,
        generation=0,
        started=reader.create_time,
        state=state,
        cpu_user_seconds=user,
        cpu_system_seconds=system,
        resident_bytes=resident,
        virtual_bytes=virtual,
        threads=threads,
    )
    return sample, Reading(time.monotonic(), user + system)


def _described(reader: Reader) -> Description | None:
    try:
        return reader.describe()
    except (PermissionError, ValueError):
        return Description(NOT_AVAILABLE, NOT_AVAILABLE, None, 0.0)
