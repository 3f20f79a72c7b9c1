"""Plugins: the base class for those of others, and circus-plugin, which runs one."""

from __future__ import annotations

from circus.plugins.base import CircusPlugin
from circus.plugins.runner import get_plugin_cmd, main

__all__ = ["CircusPlugin", "get_plugin_cmd", "main"]
