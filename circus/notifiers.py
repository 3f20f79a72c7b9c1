"""How those who are told of alerts do: what was delivered and given up, and what is being tried.

Pure: what time it is comes in. Invariant: their number is bounded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from circus.exc import CircusError, MessageError
from circus.wire.alerts import Delivery, DeliveryState, Notifier, Retrying

MOST: Final = 1_000
NAME: Final = re.compile(r"[\w.:-]{1,100}")


class Notifiers:
    """By their names, in the order in which they were heard of."""

    def __init__(self) -> None:
        self._by_name: dict[str, Notifier] = {}

    def all(self) -> list[Notifier]:
        """How each does."""
        return list(self._by_name.values())

    def take_over(self, notifiers: Iterable[Notifier]) -> None:
        """Go on where another ended."""
        self._by_name = {each.name: each for each in notifiers}

    def ended(self, data: Delivery, now: float, *, ok: bool) -> DeliveryState:
        """A delivery is over; the state of each alert in it.

        Raises:
            MessageError: the numbers make no sense.
            CircusError: there is no room for one more.
        """
        notifier = self._find(data)
        error = data.error or data.reason
        if ok:
            notifier.delivered += data.count
        else:
            notifier.failed += data.count
            notifier.last_error = error
        notifier.attempts, notifier.next_time = 0, None
        notifier.waiting, notifier.last_time = data.waiting, now
        return DeliveryState(ok=ok, time=now, attempts=data.attempts, error=error)

    def retrying(self, data: Retrying, now: float) -> DeliveryState:
        """An attempt failed, and another will be made; errors as those of `ended`."""
        notifier = self._find(data)
        notifier.attempts, notifier.next_time = data.attempts, data.next
        notifier.last_error = data.error or data.reason
        notifier.waiting, notifier.last_time = data.waiting, now
        return DeliveryState(ok=False, time=now, attempts=data.attempts, error=notifier.last_error, next=data.next)

    def _find(self, data: Delivery | Retrying) -> Notifier:
        if not NAME.fullmatch(data.notify):
            raise MessageError("message invalid 'notify' isn't a name of up to 100 letters, digits, -, _, . and :")
        if data.count < 0 or data.attempts < 0:
            raise MessageError("message invalid 'data': count and attempts are numbers from 0 on")
        found = self._by_name.get(data.notify)
        if found is None:
            if len(self._by_name) >= MOST:
                raise CircusError(f"there are {len(self._by_name)} notifiers, and no room for {data.notify}")
            kind = data.type if len(data.type) <= 200 else f"{data.type[:200]}…"
            found = self._by_name[data.notify] = Notifier(name=data.notify, type=kind)
        return found
