"""From a dotted name to the object it names: hooks, streams and plugins are written that way.

Owns the import of other people's code. Invariant: whatever that code does while it is imported, the caller gets the
object or an ImportError that says what is wrong.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import site
import sys
from collections.abc import Callable
from typing import Any


def resolve_name(dotted: str) -> Any:
    """Import `package.module.name` or `package.module:name` and return what it names."""
    dotted = dotted.strip()
    module_path, colon, attribute_path = dotted.partition(":")
    if colon:
        if not attribute_path:
            raise ImportError(f"{dotted!r} names nothing in the module {module_path!r}")
        return _walk(_import(module_path, dotted), attribute_path.split("."), dotted)
    parts = dotted.split(".")
    if len(parts) < 2 or not all(parts):
        raise ImportError(f"{dotted!r} is not a dotted name such as package.module.name")
    # Modules as far as they go, attributes from there on.
    module, rest = _import(parts[0], dotted), parts[1:]
    while len(rest) > 1 or not hasattr(module, rest[0]):
        deeper = f"{module.__name__}.{rest[0]}"
        if not _is_module(deeper):
            break
        module, rest = _import(deeper, dotted), rest[1:]
        if not rest:
            return module
    return _walk(module, rest, dotted)


def import_anew(dotted: str) -> None:
    """Run the code anew of the module that a name leads to, where it was imported before; ImportError if that fails.

    Modules of Python and of Circus stay as they are.
    """
    path = dotted.strip().partition(":")[0]
    if path.partition(".")[0] in (*sys.stdlib_module_names, "circus"):
        return
    while path not in sys.modules:
        if not path or _is_module(path):
            return  # whoever imports it now gets the present code
        path = path.rpartition(".")[0]
    importlib.invalidate_caches()
    _guarded(lambda: importlib.reload(sys.modules[path]), path, dotted)


def add_import_paths(pythonpath: str) -> None:
    """Make the directories of a watcher's PYTHONPATH importable here too, for its hooks; permanent, as in 0.19."""
    for directory in pythonpath.split(":"):
        if directory and directory not in sys.path and os.path.isdir(directory):
            site.addsitedir(directory)
            importlib.invalidate_caches()


def _is_module(name: str) -> bool:
    if name in sys.modules:
        return True
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, AttributeError, ValueError):
        return False


def _import(name: str, dotted: str) -> Any:
    return _guarded(lambda: importlib.import_module(name), name, dotted)


def _guarded(imported: Callable[[], Any], name: str, dotted: str) -> Any:
    try:
        return imported()
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise ImportError(f"cannot find {dotted!r}: there is no module {error.name!r} (PYTHONPATH?)") from error
        raise ImportError(f"cannot import {dotted!r}: {name!r} needs the module {error.name!r}") from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # other people's code, which may even call sys.exit at import
        raise ImportError(f"cannot import {dotted!r}: {name!r} raised {type(error).__name__}: {error}") from error


def missing_module(dotted: str) -> str | None:
    """The module that a dotted name needs and that is not there, as far as that is seen without running code of others.

    That is the first part of the name, looked for in the current directory too, where a process of Python's `-m` looks.
    """
    module = dotted.strip().replace(":", ".").rpartition(".")[0]
    wanted = module if module.split(".")[0] == "circus" else module.split(".")[0]
    try:
        if importlib.util.find_spec(wanted) is not None:
            return None
        from importlib.machinery import PathFinder

        return None if PathFinder.find_spec(wanted, [os.getcwd()]) is not None else wanted
    except (ImportError, ValueError, OSError):
        return wanted


def missing_name(dotted: str) -> str | None:
    """Which part of a dotted name is nowhere in the module before it, in a sentence, without running code of others.

    Only the sources are looked through, for the word; where there is none to read, or names may come from elsewhere,
    nothing is said.
    """
    from importlib.machinery import PathFinder

    first, *rest = dotted.strip().replace(":", ".").split(".")
    found = importlib.util.find_spec(first) or PathFinder.find_spec(first, [os.getcwd()])
    for name in rest:
        locations = found.submodule_search_locations if found is not None else None
        deeper = PathFinder.find_spec(name, list(locations)) if locations else None
        if deeper is None:
            return None if found is None else _unmentioned(name, found.origin)
        found = deeper
    return None


def _unmentioned(name: str, file: str | None) -> str | None:
    if file is None or not file.endswith(".py"):
        return None
    try:
        with open(file, encoding="utf-8", errors="replace") as opened:
            source = opened.read()
    except OSError:
        return None
    if re.search(rf"\b{re.escape(name)}\b|\bimport \*|__getattr__|\bglobals\(|\bexec\(", source) is not None:
        return None
    return f"there is nothing called {name!r} in {file}"


def _walk(found: Any, names: list[str], dotted: str) -> Any:
    for name in names:
        try:
            found = getattr(found, name)
        except AttributeError:
            owner = getattr(found, "__name__", type(found).__name__)
            raise ImportError(f"cannot find {dotted!r}: {owner!r} has no {name!r}") from None
    return found
