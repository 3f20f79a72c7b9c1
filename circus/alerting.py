"""The alerts that fire, the silences over them, and how whoever is told of them can be reached.

Keeps what the exporter found, which may be started anew at any time, and makes records of it. Judges no threshold and
delivers nothing. Invariants: an alert fires once until it is resolved, whatever is told twice; all that is kept is
bounded, and who is refused is told so.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from circus.events.bus import Bus
from circus.events.cause import CURRENT, current_origin
from circus.events.counters import trace_of
from circus.exc import CircusError, MessageError
from circus.handover import AlertsRecord
from circus.notifiers import NAME, Notifiers
from circus.rules import Configured
from circus.runtime.peers import user_of
from circus.silences import Silences
from circus.wire import alerts as wire
from circus.wire.events import Cause, decode
from circus.wire.snapshot import AlertsSnapshot

if TYPE_CHECKING:
    from circus.ports import Clock

logger = logging.getLogger("circus")

MOST_FIRING: Final = 10_000
MOST_BYTES: Final = 16 << 20
"""Of the data of all alerts that fire."""

Key = tuple[str, str | None, int | None]


class _Fire(NamedTuple):
    """An alert with what its end needs to know."""

    alert: wire.Alert
    size: int
    trace: str


class Alerting:
    """For one daemon.

    Args:
        loop: where silences come to their end.
        clock: what time it is.
        bus: where records are made.
        named: the name of a watcher as it is configured; None where there is no such watcher.
        watchers: the names of all watchers.
        configured: what the configuration in force says of alerts.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        clock: Clock,
        bus: Bus,
        *,
        named: Callable[[str], str | None],
        watchers: Callable[[], Iterable[str]],
        configured: Callable[[], Configured],
    ) -> None:
        self._loop, self._clock, self._bus = loop, clock, bus
        self._named, self._watchers, self._configured = named, watchers, configured
        self._firing: dict[Key, _Fire] = {}
        self._by_seq: dict[int, wire.Alert] = {}
        self._bytes = self._refused = 0
        self._active = dict.fromkeys(wire.SEVERITIES, 0)
        self._silences = Silences()
        self._notifiers = Notifiers()
        self._timer: asyncio.TimerHandle | None = None

    # -- asked ------------------------------------------------------------------------------------------------------

    def answer(self) -> wire.AlertsAnswer:
        """All of it, in the order in which it came."""
        return wire.AlertsAnswer(
            boot=self._bus.boot,
            seq=self._bus.seq,
            time=self._clock.time(),
            alerts=[fire.alert for fire in self._firing.values()],
            silences=self._silences.all(),
            notifiers=self._notifiers.all(),
            refused=self._refused,
            configured=list(self._configured().alerts),
        )

    def snapshot(self) -> AlertsSnapshot:
        """The numbers for `telemetry`."""
        return AlertsSnapshot(
            active=dict(self._active),
            silenced=sum(fire.alert.silence is not None for fire in self._firing.values()),
            silences=len(self._silences),
            refused=self._refused,
            delivered={each.name: each.delivered for each in self._notifiers.all()},
            failed={each.name: each.failed for each in self._notifiers.all()},
        )

    # -- told by the exporter ---------------------------------------------------------------------------------------

    def told(self, properties: Mapping[str, Any]) -> wire.Recorded:
        """What the command `record` brings.

        Raises:
            MessageError: it has another shape, or names a watcher that there is not.
            CircusError: there is no room for one more.
        """
        told = _converted(properties, wire.Told, "")
        if told.record not in wire.TOLD:
            raise MessageError(f"message invalid 'record' isn't one of {', '.join(wire.TOLD)}: {_short(told.record)}")
        if told.wid is not None and (told.watcher is None or not 0 < told.wid < 2**31):
            raise MessageError("message invalid 'wid' isn't the number of a worker of 'watcher'")
        size = _size(told.data)
        data = _converted(told.data, wire.data_of(told.record), "data")
        if isinstance(data, wire.Firing):
            return self._fired(told, data, size)
        if isinstance(data, wire.Resolved):
            return self._resolved(told, data)
        if isinstance(data, wire.Standing):
            return self._stand(data)
        return self._delivered(told, data)

    def _fired(self, told: wire.Told, data: wire.Firing, size: int) -> wire.Recorded:
        if not NAME.fullmatch(data.alert):
            raise MessageError("message invalid 'alert' isn't a name of up to 100 letters, digits, -, _, . and :")
        watcher = self._known(told.watcher)
        if told.watcher is not None and watcher is None:
            raise MessageError(f"program {_short(told.watcher)} not found")
        key = (data.alert, watcher, told.wid)
        before = self._firing.get(key)
        if before is not None:  # an exporter that was started anew tells what it sees; it is the same alert
            before.alert.value = data.value
            return self._recorded(before.alert.seq)
        if len(self._firing) >= MOST_FIRING or self._bytes + size > MOST_BYTES:
            self._refuse(data.alert, watcher)
        seq, trace = self._record(told, watcher, wire.as_data(data))
        alert = wire.Alert(
            watcher=watcher, wid=told.wid, fired=self._clock.time(), seq=seq, **msgspec.structs.asdict(data)
        )
        alert.silence = self._silences.covering(alert)
        self._firing[key] = _Fire(alert, size, trace)
        self._by_seq[seq] = alert
        self._bytes += size
        self._active[alert.severity] += 1
        return self._recorded(seq)

    def _refuse(self, alert: str, watcher: str | None) -> None:
        self._refused += 1
        problem = f"{len(self._firing)} alerts fire, and there is no room for {alert} of {watcher or 'circusd'}"
        if self._refused == 1 or self._refused % 1000 == 0:
            logger.error("%s; refused until now: %d", problem, self._refused)
        raise CircusError(problem)

    def _resolved(self, told: wire.Told, data: wire.Resolved) -> wire.Recorded:
        for watcher in dict.fromkeys((self._known(told.watcher), told.watcher)):
            if (data.alert, watcher, told.wid) in self._firing:
                return self._recorded(self._end((data.alert, watcher, told.wid), data, told))
        return self._recorded(None)

    def _end(self, key: Key, data: wire.Resolved, told: wire.Told | None = None) -> int:
        """It does not fire any more; without `told` because of what the daemon is just doing."""
        fire = self._firing.pop(key)
        alert = fire.alert
        self._by_seq.pop(alert.seq, None)
        self._bytes -= fire.size
        self._active[alert.severity] -= 1
        now = self._clock.time()
        known = {"kind": alert.kind, "severity": alert.severity, "since": alert.since, "firing": alert.seq}
        full = {**wire.as_data(data), **known, "seconds": max(now - alert.fired, 0.0)}
        told = told or wire.Told(record=wire.RESOLVED, wid=alert.wid)
        return self._record(told, alert.watcher, full, trace=fire.trace)[0]

    def _stand(self, data: wire.Standing) -> wire.Recorded:
        for each in data.alerts:
            alert = self._by_seq.get(each.seq)
            if alert is not None:
                alert.value, alert.ends = each.value, each.ends
        return self._recorded(None)

    def _delivered(self, told: wire.Told, data: wire.Delivery | wire.Retrying) -> wire.Recorded:
        now, seq = self._clock.time(), None
        if isinstance(data, wire.Retrying):
            state = self._notifiers.retrying(data, now)
        else:
            state = self._notifiers.ended(data, now, ok=told.record == wire.DELIVERED)
            seq, _ = self._record(told, self._known(told.watcher), wire.as_data(data))
        for each in data.alerts:
            alert = self._by_seq.get(each)
            if alert is not None:
                alert.deliveries[data.notify] = state
        return self._recorded(seq)

    # -- told by people ---------------------------------------------------------------------------------------------

    def silence(self, properties: Mapping[str, Any]) -> wire.Silenced:
        """What the command `silence` brings: tell nobody of the alerts that it covers, until its end.

        Raises:
            MessageError: it has another shape, covers nothing that there is, or has no end in the future.
            CircusError: there are too many.
        """
        actor = current_origin().actor or ""
        made = self._silences.add(
            _converted(properties, wire.NewSilence, ""),
            self._clock.time(),
            author=actor,
            user=user_of(actor),
            watchers=self._watchers(),
            alerts=[*self._configured().alerts, *(key[0] for key in self._firing)],
        )
        for fire in self._firing.values():
            if fire.alert.silence is None:
                fire.alert.silence = self._silences.covering(fire.alert)
        seq, _ = self._record(wire.Told(record=wire.SILENCED), None, wire.as_data(made))
        self._wait()
        return wire.Silenced(boot=self._bus.boot, seq=seq, silence=made)

    def unsilence(self, number: int) -> wire.Silenced:
        """Lift a silence; MessageError where there is none of that number."""
        silence, seq = self._lift(number, "command")
        self._wait()
        return wire.Silenced(boot=self._bus.boot, seq=seq, silence=silence)

    def _lift(self, number: int, reason: str, cause: Cause | None = None) -> tuple[wire.Silence, int]:
        silence = self._silences.remove(number)
        for fire in self._firing.values():
            if fire.alert.silence == number:
                fire.alert.silence = self._silences.covering(fire.alert)
        data = {**wire.as_data(silence), "reason": reason}
        return silence, self._record(wire.Told(record=wire.UNSILENCED), None, data, cause=cause)[0]

    def test(self, name: str) -> wire.Tested:
        """Have a test of an alert delivered; answers who will be told, as far as the configuration says.

        Raises:
            MessageError: there is no such alert.
        """
        found = self._configured()
        if name not in found.alerts:
            known = ", ".join(sorted(found.alerts)) or "none in the configuration"
            raise MessageError(f"there is no alert {_short(name)}; there are {known}")
        named = found.alerts[name]
        notify = list(found.notify if named is None else named)
        seq, _ = self._record(wire.Told(record=wire.TEST), None, {"alert": name, "notify": notify})
        return wire.Tested(boot=self._bus.boot, seq=seq, notify=notify)

    # -- by itself --------------------------------------------------------------------------------------------------

    def reconfigured(self, before: Configured) -> None:
        """Another configuration is in force. Where it has no alerts any more nobody else will resolve those of before."""
        if not self._configured().alerts:
            for key in [key for key in self._firing if key[0] in before.alerts]:
                self._end(key, wire.Resolved(alert=key[0], reason="removed"))

    def handed(self) -> AlertsRecord:
        """All of it, to be handed over."""
        return AlertsRecord(
            firing=[(fire.alert, fire.size, fire.trace) for fire in self._firing.values()],
            silences=self._silences.all(), last_silence=self._silences.last,
            notifiers=self._notifiers.all(), refused=self._refused,
        )  # fmt: skip

    def take_over(self, record: AlertsRecord) -> None:
        """Go on where another ended."""
        for alert, size, trace in record.firing:
            self._firing[alert.alert, alert.watcher, alert.wid] = _Fire(alert, size, trace)
            self._by_seq[alert.seq] = alert
            self._bytes += size
            self._active[alert.severity] += 1
        self._silences.take_over(record.silences, record.last_silence)
        self._notifiers.take_over(record.notifiers)
        self._refused = record.refused
        self._wait()

    def close(self) -> None:
        """Wait for nothing any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait(self) -> None:
        """For the end of the silence that ends first."""
        self.close()
        first = self._silences.first_end()
        if first is not None:
            # Not all at once: who sets the clock should see an effect, and a timer takes no ten years.
            self._timer = self._loop.call_later(min(max(first - self._clock.time(), 0.0), 60.0), self._expire)

    def _expire(self) -> None:
        for number in self._silences.over(self._clock.time()):
            self._lift(number, "expired", Cause(kind="timer", name="silence"))
        self._wait()

    def _known(self, watcher: str | None) -> str | None:
        return None if watcher is None else self._named(watcher)

    def _record(
        self, told: wire.Told, watcher: str | None, data: Mapping[str, Any], *, trace: str | None = None,
        cause: Cause | None = None,
    ) -> tuple[int, str]:  # fmt: skip
        """A record because of what the exporter says, else of what is being done right now, unless `cause` is given."""
        if cause is None and told.cause is not None:
            # One that is of another boot, or that nobody kept, says nothing; what it led to is told all the same.
            body = self._bus.journal.find(told.cause)
            if body is not None:
                cause = Cause(kind="record", seq=told.cause)
                trace = trace or trace_of(decode(body).traceparent)
        if cause is None:
            cause = CURRENT.get() or Cause(kind="command", name="api", actor="python")
            trace = trace or current_origin().trace
        made = self._bus.record(told.record, watcher, cause, data, trace=trace, wid=told.wid)
        if watcher is not None and self._known(watcher) is None:
            self._bus.forget(watcher)  # it was removed, and has no counters
        return made

    def _recorded(self, seq: int | None) -> wire.Recorded:
        return wire.Recorded(boot=self._bus.boot, seq=seq)


def _converted(value: Mapping[str, Any], shape: type[Any], where: str) -> Any:
    try:
        return msgspec.convert(value, shape)
    except msgspec.ValidationError as error:
        raise MessageError(f"message invalid{f' {where!r}' if where else ''}: {_short(str(error))}") from None


def _size(data: Mapping[str, Any]) -> int:
    try:
        size = len(msgspec.json.encode(data))
    except (UnicodeEncodeError, RecursionError, TypeError, msgspec.EncodeError):
        raise MessageError("message invalid 'data' has no form in JSON") from None
    if size > wire.MOST_DATA:
        raise MessageError(f"message invalid 'data' has {size} bytes; at most {wire.MOST_DATA} are taken")
    return size


def _short(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:200]}…"
