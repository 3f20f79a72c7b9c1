"""Hooks: user code that a watcher asks before and tells after what it does.

`runner` calls hooks in threads and brings their answers into the loop; `facade` is what a hook sees of its watcher
and of the arbiter.
"""

from __future__ import annotations

from circus.hooks.runner import HookResult, HookRunner, resolve_hooks

__all__ = ["HookResult", "HookRunner", "resolve_hooks"]
