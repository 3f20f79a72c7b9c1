"""Which files a configuration consists of, and their sections merged.

Owns reading files. Invariant: a file that cannot be read is a mistake with the reason, never an exception.
"""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from circus.config import ini
from circus.config.interpolate import Variables, expand
from circus.exc import Mistake

if TYPE_CHECKING:
    from _blake2 import blake2b


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """All files of a configuration merged, and the hash of their bytes."""

    document: ini.Document
    hash: str


def read(path: str, variables: Variables, *, anew: bool = False) -> Source:
    """Read the main file and what its [circus] section includes; includes in included files are not followed.

    With `anew` a daemon runs already: the main file may be no pipe or device either, whose end may never come.
    """
    digest = _digest()
    document = ini.Document()
    main = _read_file(path, any_kind=not anew)
    if isinstance(main, Mistake):
        document.mistakes.append(main)
        return Source(document=document, hash="")
    digest.update(main)
    document.merge(ini.parse(main, path))
    read_already = {os.path.realpath(path)}
    wanted = document.entries("circus")
    for option in ("include", "include_dir"):
        entry = wanted.get(option)
        if entry is None:
            continue
        for pattern in expand(entry.value, variables).split():
            matches = list(_matches(path, pattern, directory=option == "include_dir"))
            if not matches:
                document.warnings.append(_note(entry, pattern, "it matches no file; paths start at the main file"))
            for match in matches:
                if (real := os.path.realpath(match)) in read_already:
                    continue
                read_already.add(real)
                data = _read_file(match)
                if isinstance(data, Mistake):
                    document.mistakes.append(data)
                    continue
                digest.update(data)
                included = ini.parse(data, match)
                document.warnings += _nested(included)
                document.merge(included)
    return Source(document=document, hash=digest.hexdigest())


def _digest() -> blake2b:
    """A hash without hashlib, which loads OpenSSL: 1.7 MB that the daemon would keep for one hash."""
    try:
        from _blake2 import blake2b
    except ImportError:
        from hashlib import blake2b
    return blake2b(digest_size=16)


def _matches(main: str, pattern: str, *, directory: bool) -> Iterator[str]:
    if directory:
        pattern = f"{pattern}/*.ini"
    full = pattern if pattern.startswith("/") else f"{glob.escape(os.path.dirname(main) or '.')}/{pattern}"
    # Sorted, as the order decides which definition is first; a directory that a pattern meets is no file.
    return (match for match in sorted(glob.glob(full)) if not os.path.isdir(match))


def _read_file(path: str, *, any_kind: bool = False) -> bytes | Mistake:
    reason = "a file is expected, not a pipe, a socket or a device"
    try:
        # Asked before it is opened: that alone waits for ever at a pipe.
        if any_kind or stat.S_IFMT(os.stat(path).st_mode) in (stat.S_IFREG, stat.S_IFDIR):
            with open(path, "rb") as file:
                return file.read()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return Mistake(file=path, line=None, section=None, option=None, value=None, expected=f"cannot be read: {reason}")


def _nested(included: ini.Document) -> Iterator[Mistake]:
    circus = included.sections.get("circus")
    for option in ("include", "include_dir"):
        if circus is not None and (entry := circus.entries.get(option)) is not None:
            yield _note(entry, entry.value, "has no effect in an included file; only the main file includes others")


def _note(entry: ini.Entry, value: str, expected: str) -> Mistake:
    return Mistake(
        file=entry.file, line=entry.line, section="circus", option=entry.name, value=value, expected=expected
    )
