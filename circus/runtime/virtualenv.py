"""What a Python virtual environment changes in the environment of a watcher's processes.

Owns the reading of the virtualenv's directory; refuses to change any environment but its answer. Invariant: a program
started with the answer finds the virtualenv's scripts first, and any Python finds its packages after those that the
PYTHONPATH named before.
"""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Iterator, Mapping

from circus.exc import CircusError


def activate(virtualenv: str, env: Mapping[str, str], py_ver: str | None = None) -> dict[str, str]:
    """PATH and PYTHONPATH of `env` as they have to be for `virtualenv`.

    `py_ver` is the X.Y of its Python, circusd's own by default. `CircusError` when no packages of that version are
    there. A search path is left out where nothing changes in it.
    """
    home = os.path.abspath(virtualenv)  # the processes may have another working directory than circusd
    packages = _site_packages(home, py_ver or "{}.{}".format(*sys.version_info))
    changed: dict[str, str] = {}
    scripts = os.path.join(home, "bin")
    if os.path.isdir(scripts):
        changed["PATH"] = os.pathsep.join([scripts, env.get("PATH") or os.defpath])
    before = env.get("PYTHONPATH")
    path = [*_linked(packages), *(before.split(os.pathsep) if before else ()), packages]
    changed["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(path))
    return changed


def _site_packages(virtualenv: str, py_ver: str) -> str:
    tried = [os.path.join(virtualenv, "lib", f"{kind}{py_ver}", "site-packages") for kind in ("python", "pypy")]
    for directory in tried:
        if os.path.isdir(directory):
            return directory
    raise CircusError(f"virtualenv {virtualenv}: neither {tried[0]} nor {tried[1]} is a directory")


def _linked(packages: str) -> Iterator[str]:
    """The directories and archives that the .pth files name, in the order of file names and lines.

    Lines of code (`import …`) are not run: they speak to the virtualenv's own interpreter, which reads them itself.
    """
    for file in sorted(glob.glob(f"{glob.escape(packages)}/*.pth")):
        try:
            with open(file, encoding="utf-8", errors="surrogateescape") as opened:
                lines = opened.read().splitlines()
        except OSError:
            continue  # as the interpreter does: one unreadable file does not spoil the others
        for raw in lines:
            line = raw.strip()
            if not line or line.startswith(("#", "import ", "import\t")):
                continue
            target = os.path.normpath(os.path.join(packages, line))
            if os.path.exists(target):
                yield target
