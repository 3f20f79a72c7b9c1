"""What the daemon's imports bring along and it does not use: 6 MB that stay out of its memory.

Owns which modules that are. Two are optional to those who import them, and are not there at that moment. The others are
stood for by something that loads them when somebody wants something of them. Invariant: a hook, or anybody else who
imports one of them later, gets it as it is.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import FunctionType, ModuleType
from typing import Any, Final

_ABSENT: Final = {"asyncio": "ssl", "msgspec": "typing_extensions"}
"""Who can do without what."""

_LATER: Final = (
    "asyncio.sslproto", "inspect", "locale", "msgspec.inspect", "msgspec.toml", "msgspec.yaml", "random",
)  # fmt: skip

_BINDS: Final = ("asyncio", "dataclasses", "msgspec", "zmq")
"""Who has them in a name of its own once it is imported."""

_INSTEAD: Final[dict[tuple[str, str], Any]] = {
    ("inspect", "unwrap"): lambda func: func,
    ("inspect", "isfunction"): lambda func: isinstance(func, FunctionType),
}
"""What asyncio wants for the message about a callback that failed; the loop would end if it did not get it."""


class Later(ModuleType):
    """A module that is loaded when something of it is wanted. What cannot be loaded then is tried again each time."""

    def __getattr__(self, name: str) -> Any:
        if name == "__path__":  # the question whether it is a package
            raise AttributeError(name)
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        try:
            return getattr(import_module(self.__name__), name)
        except (ImportError, OSError):  # no descriptor is left, or Python is no longer where it was
            if (self.__name__, name) in _INSTEAD:
                return _INSTEAD[self.__name__, name]
            raise


def import_lightly() -> None:
    """Import asyncio, dataclasses, msgspec and zmq without it. What somebody has imported already stays as it is."""
    stands = [Later(name) for name in _LATER if name not in sys.modules]
    sys.modules |= {stand.__name__: stand for stand in stands}
    try:
        for module in _BINDS:
            _import_without(module, _ABSENT.get(module))
    finally:
        for stand in stands:
            if sys.modules.get(stand.__name__) is stand:
                del sys.modules[stand.__name__]
                package, _, name = stand.__name__.rpartition(".")
                if package in sys.modules:
                    setattr(sys.modules[package], name, stand)


def _import_without(module: str, burden: str | None) -> None:
    if module in sys.modules:
        return
    if burden is None or burden in sys.modules:
        import_module(module)
        return
    sys.modules[burden] = None  # type: ignore[assignment] # the documented way to make an import fail
    try:
        import_module(module)
    finally:
        del sys.modules[burden]
