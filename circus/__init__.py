"""Circus: a process and socket supervisor that shows what its processes do."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

__version__ = "1.0.0.dev0"

logger = logging.getLogger("circus")
logger.addHandler(logging.NullHandler())

if TYPE_CHECKING:
    from circus.api import get_arbiter as get_arbiter

__all__ = ["__version__", "get_arbiter", "logger"]


def __getattr__(name: str) -> Any:
    """Import `get_arbiter` on first use, so that `import circus` stays cheap."""
    if name == "get_arbiter":
        from circus.api import get_arbiter

        return get_arbiter
    raise AttributeError(f"module 'circus' has no attribute {name!r}")
