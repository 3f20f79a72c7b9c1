"""Who may do what: the three roles, and a section `[access:NAME]` as it was written.

Owns the order of the roles. Looks up no name; what a section means for somebody who asks is decided in `core.access`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Role = Literal["read", "operate", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)
"""From the least to the most: each includes those before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessSpec:
    """Whoever is one of these users, is in one of these groups, or has one of these CURVE keys has the role."""

    name: str
    role: Role = "read"
    uid: tuple[int | str, ...] = ()
    gid: tuple[int | str, ...] = ()
    curve_key: tuple[str, ...] = ()
