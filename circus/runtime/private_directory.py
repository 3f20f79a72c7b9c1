"""The directory in which the unix sockets of one daemon lie.

Owns making, checking and removing it. Invariant: what is used is ours, and nobody else can put something in its place.
"""

from __future__ import annotations

import contextlib
import os
import stat

from circus.exc import EndpointError

_OTHER_DIRECTORY = "set CIRCUS_RUNTIME_DIR to a directory of yours, or write the endpoints out"


def private_directory(path: str, *, passable: bool = False) -> None:
    """Make the directory of an instance (`<runtime>/circus/<instance>`) for us alone, and what it lies in if need be.

    `passable` lets others through to a socket that they own, but not look. What exists must be ours and is closed to
    others: the owner of a directory could put a socket of his own in the place of ours.
    """
    mode = 0o711 if passable else 0o700
    ours = os.path.dirname(path)
    above = os.path.dirname(ours)
    for directory in (above, ours, path):
        try:
            os.mkdir(directory, mode)
        except FileExistsError:
            if directory == above:
                _check_above(directory)
            else:
                _check_ours(directory)
                if directory == path or passable or stat.S_IMODE(os.stat(directory).st_mode) & 0o066:
                    os.chmod(directory, mode)
        except OSError as error:
            raise EndpointError(
                f"{directory}: cannot make the directory for the sockets ({error.strerror}); {_OTHER_DIRECTORY}"
            ) from error
        else:
            os.chmod(directory, mode)  # the umask may have taken something off


def remove_private_directory(path: str) -> None:
    """Remove the directory of an instance, if nothing is left in it; the one above may serve other daemons."""
    with contextlib.suppress(OSError):
        os.rmdir(path)


def _check_above(directory: str) -> None:
    """Whoever can rename things in the directory above could swap ours."""
    found = os.stat(directory)
    open_to_all = found.st_mode & 0o022 and not found.st_mode & stat.S_ISVTX
    if found.st_uid not in {0, os.geteuid()} or open_to_all:
        raise EndpointError(f"{directory} can be changed by others than uid {os.geteuid()}; {_OTHER_DIRECTORY}")


def _check_ours(directory: str) -> None:
    found = os.lstat(directory)
    if not stat.S_ISDIR(found.st_mode):
        raise EndpointError(f"{directory} is not a directory; remove it, or {_OTHER_DIRECTORY}")
    if found.st_uid != os.geteuid():
        raise EndpointError(
            f"{directory} belongs to uid {found.st_uid}, circusd runs as uid {os.geteuid()}; remove it, or "
            f"{_OTHER_DIRECTORY}"
        )
