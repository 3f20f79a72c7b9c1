"""What the C library keeps of memory that Python gave back to it.

Owns two settings of glibc; elsewhere there is nothing to set. Changes no behaviour: a failure is silent.
"""

from __future__ import annotations

import ctypes

_M_MMAP_THRESHOLD = -3  # malloc.h
_LARGE = 128 * 1024  # bytes; glibc's own first threshold


def keep_little() -> None:
    """Give large blocks back to the system as soon as they are free, and now what reading the configuration left free.

    Left to itself glibc raises the threshold with the first large block that is freed. The message of a pass over a
    thousand processes is half a megabyte, made each second, and holes of that size stay in the heap: 1.4 MB of 32.
    """
    try:
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_THRESHOLD, _LARGE)
        libc.malloc_trim(0)
    except (OSError, AttributeError):  # another C library
        return
