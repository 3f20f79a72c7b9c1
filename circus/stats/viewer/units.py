"""Numbers as people read them. Pure, and short, because they stand in columns; unknown is `-`."""

from __future__ import annotations

from typing import Final

UNKNOWN: Final = "-"


def percent_text(percent: float | None) -> str:
    """`12.3`."""
    return UNKNOWN if percent is None else f"{percent:.1f}"


def count_text(count: int | None) -> str:
    """`4`."""
    return UNKNOWN if count is None else str(count)


def size_text(size: float | None) -> str:
    """`512B`, `8.0K`, `29.2M`, `117M`, in powers of 1024."""
    if size is None:
        return UNKNOWN
    if size < 1000:
        return f"{size:.0f}B"
    for unit in "KMGTP":
        size /= 1024
        if size < 99.95:
            return f"{size:.1f}{unit}"
        if size < 999.5:
            return f"{size:.0f}{unit}"
    return f"{size / 1024:.1f}E"


def age_text(seconds: float | None) -> str:
    """Plain seconds; from an hour on `2h46m` or `3d04h`."""
    if seconds is None:
        return UNKNOWN
    return f"{seconds:.0f}" if seconds < 3599.5 else span_text(seconds)


def span_text(seconds: float) -> str:
    """`7s`, `12m05s`, `2h46m`, `3d04h`."""
    whole = max(round(seconds), 0)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole // 60 % 60:02d}m"
    return f"{whole // 86400}d{whole // 3600 % 24:02d}h"


def short_span_text(seconds: float) -> str:
    """`7s`, `12m`, `2h`, `3d`."""
    whole = max(round(seconds), 0)
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if whole >= size:
            return f"{whole // size}{unit}"
    return f"{whole}s"


def delay_text(seconds: float) -> str:
    """`0.4 ms`, `12 ms`, `1.5 s`."""
    if seconds >= 0.9995:
        return f"{seconds:.1f} s"
    milliseconds = seconds * 1000
    return f"{milliseconds:.1f} ms" if milliseconds < 9.95 else f"{milliseconds:.0f} ms"


def printable(text: str) -> str:
    """The text without what would move the cursor or change colours: names come from configurations."""
    return text if text.isprintable() else "".join(char if char.isprintable() else "?" for char in text)
