"""How a hook is written: `package.module.name`, or `package.module.name, true` to ignore its failures."""

from __future__ import annotations

from circus.spec.scalars import to_bool
from circus.spec.watcher import HookSpec

HOOK = "a dotted name, and perhaps a boolean after a comma"
"""What is expected of such a text."""


def parse_hook(text: str) -> HookSpec:
    """Read a hook from the text of an option; ValueError when the flag is not a boolean or the name is missing."""
    target, comma, flag = (part.strip() for part in text.partition(","))
    if not target:
        raise ValueError("a hook needs a dotted name")
    return HookSpec(target=target, ignore_failure=to_bool(flag) if comma else False)


def hook_text(hook: HookSpec) -> str:
    """Write a hook the way `parse_hook` reads it; a callable is written as where it was defined."""
    target = hook.target
    if not isinstance(target, str):
        target = f"{getattr(target, '__module__', '?')}.{getattr(target, '__qualname__', type(target).__qualname__)}"
    return f"{target},true" if hook.ignore_failure else target
