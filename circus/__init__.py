"""Circus: a process and socket supervisor that shows what its processes do.

What is costly to import is imported on first use, because circusctl passes through here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "1.0.0.dev0"

if TYPE_CHECKING:
    import logging

    from circus.api import get_arbiter as get_arbiter

    logger: logging.Logger

__all__ = ["__version__", "get_arbiter", "logger"]


def __getattr__(name: str) -> Any:
    """`get_arbiter` and `logger` (silent until the program that embeds us configures logging)."""
    if name == "get_arbiter":
        from circus.api import get_arbiter

        return get_arbiter
    if name == "logger":
        import logging

        logger = globals()["logger"] = logging.getLogger("circus")
        logger.addHandler(logging.NullHandler())
        return logger
    raise AttributeError(f"module 'circus' has no attribute {name!r}")
