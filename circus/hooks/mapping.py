"""A dict that a hook has read from an object of the loop.

Owns the way back of what the hook stores; refuses to know threads (`carry` does the crossing). Invariant: the copy
changes only after the original did, so an original that refuses leaves both as they were.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

Carry = Callable[[str, Callable[[], Any]], Any]


class CarriedDict(dict[Any, Any]):
    """A copy of a mapping of the loop; what is stored into it is stored into the mapping too, in the loop."""

    def __init__(self, carry: Carry, source: Mapping[Any, Any], copy: Mapping[Any, Any]) -> None:
        super().__init__(copy)
        self._carry = carry
        self._source = source

    def __setitem__(self, key: Any, value: Any) -> None:
        self._change(lambda source: source.__setitem__(key, value))
        super().__setitem__(key, value)

    def __delitem__(self, key: Any) -> None:
        self._change(lambda source: source.pop(key, None))
        super().__delitem__(key)

    def update(self, *args: Any, **kwargs: Any) -> None:
        """As of dict."""
        for key, value in dict(*args, **kwargs).items():
            self[key] = value

    def setdefault(self, key: Any, default: Any = None) -> Any:
        """As of dict."""
        if key not in self:
            self[key] = default
        return self[key]

    def pop(self, key: Any, *default: Any) -> Any:
        """As of dict."""
        if key in self:
            self._change(lambda source: source.pop(key, None))
        return super().pop(key, *default)

    def popitem(self) -> tuple[Any, Any]:
        """As of dict."""
        if not self:
            return super().popitem()  # raises what dict raises
        key = next(reversed(self))
        return key, self.pop(key)

    def __ior__(self, other: Any) -> CarriedDict:  # type: ignore[misc]  # the overloads of dict are wider
        self.update(other)
        return self

    def __reduce__(self) -> tuple[type[dict[Any, Any]], tuple[dict[Any, Any]]]:
        return dict, (dict(self),)  # copies and pickles are plain

    def clear(self) -> None:
        """As of dict."""
        self._change(lambda source: source.clear())
        super().clear()

    def _change(self, change: Callable[[MutableMapping[Any, Any]], Any]) -> None:
        source = self._source
        if not isinstance(source, MutableMapping):
            raise TypeError("this mapping cannot be changed")
        self._carry("changing a mapping", lambda: change(source))
