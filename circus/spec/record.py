"""A spec as plain values, and again as a spec: for a daemon that hands over what it runs.

Owns the form; refuses to know what becomes of it. Every container says what it is, so that nothing in free-form options
can be taken for a spec. Invariant: what `dump` gives, `load` of the same release makes equal; an older or newer release
passes over fields that it does not know and uses the default where one is missing.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any, Final

from circus.exc import CircusError, Mistake
from circus.spec.access import AccessSpec
from circus.spec.arbiter import ArbiterSpec
from circus.spec.exporters import ExporterSpec
from circus.spec.plugins import PluginSpec
from circus.spec.sockets import SocketSpec
from circus.spec.streams import StreamSpec
from circus.spec.watcher import HookSpec, WatcherSpec

_SPECS: Final[dict[str, Any]] = {
    each.__name__: each
    for each in (
        AccessSpec,
        ArbiterSpec,
        ExporterSpec,
        HookSpec,
        PluginSpec,
        SocketSpec,
        StreamSpec,
        WatcherSpec,
    )
}
_PLAIN: Final = (str, bytes, int, float, bool, type(None))


def dump(value: Any) -> Any:
    """Plain values; CircusError for what exists in this program only, such as a function."""
    if isinstance(value, Mistake):
        return "mistake", tuple(value)
    if isinstance(value, tuple):
        return "tuple", [dump(each) for each in value]
    if isinstance(value, list):
        return "list", [dump(each) for each in value]
    if isinstance(value, frozenset | set):
        return "set", [dump(each) for each in value]
    if is_dataclass(value) and type(value).__name__ in _SPECS:
        return type(value).__name__, {each.name: dump(getattr(value, each.name)) for each in fields(value)}
    if hasattr(value, "keys"):
        return "dict", [(dump(key), dump(value[key])) for key in value.keys()]  # noqa: SIM118 -- a Mapping of any kind
    if type(value) in _PLAIN:
        return value
    raise CircusError(f"{value!r} exists in this program only")


def load(value: Any) -> Any:
    """What `dump` was given."""
    if type(value) in _PLAIN:
        return value
    kind, content = value
    match kind:
        case "mistake":
            return Mistake(*content)
        case "tuple":
            return tuple(map(load, content))
        case "list":
            return list(map(load, content))
        case "set":
            return frozenset(map(load, content))
        case "dict":
            return {load(key): load(each) for key, each in content}
        case _:
            spec = _SPECS[kind]
            known = {each.name for each in fields(spec)}
            return spec(**{name: load(each) for name, each in content.items() if name in known})
