"""What a Python virtual environment changes in the environment of a watcher's processes.

Owns the reading of the virtualenv's directory; refuses to change any environment but its answer. Invariant: a program
started with the answer finds the virtualenv's scripts first, and any Python finds its packages after those that the
PYTHONPATH named before.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from circus.exc import CircusError


def activate(virtualenv: str, env: Mapping[str, str], py_ver: str | None = None) -> dict[str, str]:
    """PATH and PYTHONPATH of `env` as they have to be for `virtualenv`.

    `py_ver` is the X.Y of its Python, circusd's own by default. `CircusError` when no packages of that version are
    there. A search path is left out where nothing changes in it.
    """
    home = Path(virtualenv).absolute()  # the processes may have another working directory than circusd
    packages = _site_packages(home, py_ver or "{}.{}".format(*sys.version_info))
    changed: dict[str, str] = {}
    scripts = home / "bin"
    if scripts.is_dir():
        changed["PATH"] = os.pathsep.join([str(scripts), env.get("PATH") or os.defpath])
    before = env.get("PYTHONPATH")
    path = [*_linked(packages), *(before.split(os.pathsep) if before else ()), str(packages)]
    changed["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(path))
    return changed


def _site_packages(virtualenv: Path, py_ver: str) -> Path:
    tried = [virtualenv / "lib" / f"{kind}{py_ver}" / "site-packages" for kind in ("python", "pypy")]
    for directory in tried:
        if directory.is_dir():
            return directory
    raise CircusError(f"virtualenv {virtualenv}: neither {tried[0]} nor {tried[1]} is a directory")


def _linked(packages: Path) -> Iterator[str]:
    """The directories and archives that the .pth files name, in the order of file names and lines.

    Lines of code (`import …`) are not run: they speak to the virtualenv's own interpreter, which reads them itself.
    """
    for file in sorted(packages.glob("*.pth")):
        try:
            lines = file.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        except OSError:
            continue  # as the interpreter does: one unreadable file does not spoil the others
        for raw in lines:
            line = raw.strip()
            if not line or line.startswith(("#", "import ", "import\t")):
                continue
            target = Path(os.path.normpath(packages / line))
            if target.exists():
                yield str(target)
