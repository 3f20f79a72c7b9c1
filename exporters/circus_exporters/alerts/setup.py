"""Alerts of one exporter, from what the feed hears to whoever is to be told.

Owns how the parts of this package are put together, and who is told of what. Invariants: whatever a notifier does, nobody
here waits for it but its own delivery; nothing is evaluated before it is known what fires already.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

import msgspec

from circus.exc import CallError, CircusError
from circus.spec.alert_fields import ALERT_KINDS, SEVERITIES
from circus.spec.alerts import AlertSpec, NotifySpec
from circus.wire import alerts as wire
from circus.wire.events import Record
from circus.wire.samples import DaemonSample, WatcherSample
from circus.wire.snapshot import Telemetry
from circus_exporters import catalogue_alerts
from circus_exporters.alerts import described
from circus_exporters.alerts.deadman import Deadman
from circus_exporters.alerts.delivery import Delivery
from circus_exporters.alerts.engine import Key
from circus_exporters.alerts.evaluation import Change, Evaluation
from circus_exporters.alerts.messages import Alert, Notice
from circus_exporters.alerts.notifiers import sink_of
from circus_exporters.alerts.reporting import Ask, Reporter
from circus_exporters.alerts.silences import Silences
from circus_exporters.alerts.standing import Stands
from circus_exporters.alerts.untold import Untold
from circus_exporters.state import Alerting, FleetState, Listener

logger = logging.getLogger("circus_exporters.alerts")

TICK_SECONDS: Final = 1.0
SNAPSHOT_SECONDS: Final = 10.0
CLOSE_SECONDS: Final = 3.0
HEARD: Final = 1_000


class AlertExport(Listener):
    """What `[alert:…]` and `[notify:…]` ask for. `ask` sends a command to the daemon, `refresh` brings the state up to
    date and says whether it could. `instance` tells alerts of several machines apart. `killed` says whether the daemon whose
    alerts these are is gone without an end of its own.
    """

    def __init__(
        self,
        state: FleetState,
        rules: Iterable[AlertSpec],
        notifiers: Iterable[NotifySpec],
        ask: Ask,
        refresh: Callable[[], Awaitable[bool]],
        *,
        instance: str | None = None,
        tick: float = TICK_SECONDS,
        killed: Callable[[], bool] = lambda: False,
    ) -> None:
        rules = list(rules)
        self._state = state
        self._ask = ask
        self._refresh = refresh
        self._tick = tick
        self._killed = killed
        self._instance = instance or socket.gethostname()
        self.counts = state.alerting = Alerting()
        self.counts.suppressed = dict.fromkeys(catalogue_alerts.SUPPRESSIONS, 0)
        self.evaluation = Evaluation(rules)
        self.reporter = told = Reporter(ask)
        self.deliveries = {
            spec.name: Delivery(
                spec, sink_of(spec, self._instance), self.counts, told.delivered, on_retry=told.retrying
            )
            for spec in notifiers
        }
        for name, delivery in self.deliveries.items():
            try:
                delivery.sink.check()
            except CircusError as error:
                logger.error("%s", error)  # noqa: TRY400 -- a sentence, no traceback
                self.counts.problems[name] = str(error)
        self._deadmen = [Deadman(rule, self.counts, self._well) for rule in rules if rule.kind == "deadman"]
        self._active: dict[Key, Alert] = {}
        self._muted: set[Key] = set()
        self._silences = Silences()
        self._stands = Stands(self.evaluation.standing)
        self._untold = Untold(self._instance)
        self._heard: deque[Record] = deque(maxlen=HEARD)  # since the daemon was asked what fires
        self._boot: str | None = None
        self._known = False  # whether the daemon has told what fires already
        self._followed = 0  # records up to this one are in what it told
        self._began = 0  # the last record before we began: the journal has them
        self._lost = 0
        self._snapshot_at = 0.0
        often = [rule.above.value / 4 for rule in rules if rule.kind == "silent_output" and rule.above is not None]
        self._snapshot_every = max(min([SNAPSHOT_SECONDS, *often]), tick)
        state.listeners.append(self)

    # What the feed tells

    def on_snapshot(self, telemetry: Telemetry) -> None:
        now = time.monotonic()
        if telemetry.boot != self._boot:
            self._boot, self._known, self._began = telemetry.boot, False, telemetry.seq
            self.reporter.begin()
            self.evaluation.begin(now)
            for alert in list(self._active.values()):
                self._tell_end(alert, now)
            self._active.clear()
            self._muted.clear()
            self._silences.begin(())
            self._untold = Untold(self._instance)
        self._snapshot_at = now
        self.evaluation.snapshot(telemetry, now)

    def on_record(self, record: Record) -> None:
        now = time.monotonic()
        telemetry = self._state.telemetry
        at = now
        if telemetry is not None and record.seq <= telemetry.seq:  # it came late, or from the journal
            at = min(self._snapshot_at - (telemetry.time - record.time), now)
        if record.record.startswith("alert."):
            self._heard.append(record)
            if record.record == wire.TEST:
                if record.seq > self._began:
                    self._test(record)
            elif not self._known:
                self._untold.take(record)
            elif record.seq > self._followed:
                self._follow(record)
            return
        self.evaluation.record(record, at)

    def on_sample(self, sample: WatcherSample, now: float) -> None:
        if self._known:
            self._handle(self.evaluation.sample(sample, now))

    def on_pass(self, sample: DaemonSample, now: float) -> None:
        self.evaluation.passed(sample.interval_seconds, now)

    def _follow(self, record: Record) -> None:
        if record.record in (wire.FIRING, wire.RESOLVED):
            if record.data.get("kind") not in ALERT_KINDS:
                self._pass_on(record)
        else:
            self._silences.follow(record)

    # Its life

    async def run(self) -> None:
        """Watch and deliver until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.reporter.run())
            for delivery in self.deliveries.values():
                group.create_task(delivery.run())
            for deadman in self._deadmen:
                group.create_task(deadman.run())
            group.create_task(self._watch())

    async def close(self) -> None:
        """Deliver what waits, for a moment. What goes on firing is for the successor; when the daemon ends, or was killed
        and we are ended by the next one, there is none that knows of it.
        """
        killed = self._killed()
        if killed or self.evaluation.fleet.stopping or await self.reporter.daemon_ends():
            self.evaluation.fleet.stopping = True
            self._handle(self.evaluation.tick(time.monotonic(), attached=True))
            for alert in self._active.values():  # others had told the daemon of these
                self._tell_end(alert, time.monotonic())
        await asyncio.gather(*(delivery.close(CLOSE_SECONDS) for delivery in self.deliveries.values()))
        if self._state.attached() and not killed:
            await self.reporter.close(CLOSE_SECONDS / 3)

    async def _watch(self) -> None:
        asked = 0.0
        while True:
            await asyncio.sleep(self._tick)
            if self._state.attached():
                # What happened before counts too, so first the journal has to be read.
                read = self._state.last_seq >= self._began
                if read and (not self._known or self._lost != self._state.events_lost):
                    await self._learn()
                now = time.monotonic()
                if self.evaluation.fleet.dirty or now - asked >= self._snapshot_every:
                    asked, self.evaluation.fleet.dirty = now, False
                    self.evaluation.fleet.dirty = not await self._refresh()
            now = time.monotonic()
            if not self._state.sampled:
                self.evaluation.passed(0.0, now)  # nobody expects samples
            if self._known:
                self._handle(self.evaluation.tick(now, attached=self._state.attached()))
                self._unmute()
                self._repeat(now)
                self.reporter.standing(self._stands.news(self._active.values(), now, time.time()))
            self._count()

    async def _learn(self) -> None:
        """What fires and what is silenced, as the daemon knows."""
        self._lost = self._state.events_lost
        self._heard.clear()
        try:
            answer = msgspec.convert(await self._ask("alerts"), wire.AlertsAnswer)
        except CallError:
            return
        except (CircusError, msgspec.ValidationError) as error:
            if not self._known:
                logger.warning("the daemon does not tell which alerts fire, so none is taken for firing: %s", error)
            self._known = True
            return
        if answer.boot != self._boot:
            return
        self._followed = answer.seq
        self._silences.begin(answer.silences)
        for record in self._heard:
            if record.seq > answer.seq:
                (self._silences.follow if self._known else self._follow)(record)
        if not self._known:
            self._known = True
            self._finish()
            for told in answer.alerts:
                self._restore(told)

    # Who is told of what

    def _handle(self, changes: Iterable[Change]) -> None:
        now = time.monotonic()
        for change in changes:
            if change.turn == "firing":
                watcher = self.evaluation.fleet.watchers.get(change.key.watcher or "")
                since = time.time() - (now - change.since)
                alert = described.alert(change, {} if watcher is None else watcher.labels, self._instance, since)
                self._active[change.key] = alert
                self.reporter.change(alert, change)
                self._tell_beginning(alert)
            else:
                gone = self._active.pop(change.key, None)
                if gone is not None:
                    self.reporter.change(gone, change)
                self._tell_end(gone, now)

    def _notified(self, rule: AlertSpec | None) -> list[Delivery]:
        if rule is None or rule.notify is None:
            return list(self.deliveries.values())
        return [self.deliveries[name] for name in rule.notify if name in self.deliveries]

    def _tell_beginning(self, alert: Alert) -> None:
        if self._silences.covers(alert.key, time.time()):
            self._muted.add(alert.key)
            self.counts.suppressed["silence"] += 1
            return
        for delivery in self._notified(self.evaluation.rule(alert.key.rule)):
            if not delivery.knows(alert.key):  # it may have been told before a silence began
                delivery.add([Notice(alert, "firing")])

    def _tell_end(self, alert: Alert | None, now: float) -> None:
        if alert is not None:
            self._muted.discard(alert.key)
            alert.ended = time.time() - (time.monotonic() - now)
            for delivery in self.deliveries.values():  # each knows whether it was told of the beginning
                delivery.add([Notice(alert, "resolved")])

    def _unmute(self) -> None:
        """Silences that are over: what they kept back and still fires is told."""
        for key in [key for key in self._muted if not self._silences.covers(key, time.time())]:
            self._muted.discard(key)
            if key in self._active:
                self._tell_beginning(self._active[key])

    def _repeat(self, now: float) -> None:
        for delivery in self.deliveries.values():
            for key in delivery.due(now):
                alert = self._active.get(key)
                # Alertmanager would take the silence for the end of it.
                quiet = delivery.spec.type != "alertmanager" and self._silences.covers(key, time.time())
                if alert is not None and not quiet:
                    delivery.add([Notice(alert, "firing", repeated=True)])

    def _finish(self) -> None:
        """Alerts that were over when our predecessor left, and of which some notifiers do not know everything."""
        untold, self._untold = self._untold, Untold(self._instance)
        for past in untold.ended():
            alert, rule = past.alert, self.evaluation.rule(past.alert.key.rule)
            for delivery in self._notified(rule):
                name, told = delivery.spec.name, past.told[delivery.spec.name]
                late = time.time() - (alert.ended or 0.0) > delivery.spec.retry_for_seconds
                if told >= 2 or name in past.refused or late:
                    continue
                if told:
                    delivery.believe(alert.key)
                elif rule is not None and not past.silent and name in untold.notifiers:
                    delivery.add([Notice(alert, "firing")])
                delivery.add([Notice(alert, "resolved")])

    def _restore(self, told: wire.Alert) -> None:
        """An alert that our predecessor has told the daemon of: it goes on, and who was not told yet is told."""
        key = Key(told.alert, told.watcher, told.wid)
        alert = described.restored(told, self._instance)
        # One that somebody else told the daemon of he looks after, too.
        known = told.kind not in ALERT_KINDS or self.evaluation.restore(key, time.monotonic())
        for delivery in self._notified(self.evaluation.rule(key.rule)):
            state = told.deliveries.get(delivery.spec.name)
            if state is not None and state.ok:
                delivery.believe(key)
            elif (state is None or state.next is not None) and known and told.silence is None:
                delivery.add([Notice(alert, "firing")])
        if known:
            self._active[key] = alert
            if told.silence is not None:
                self._muted.add(key)
            self.counts.suppressed["dedup"] += any(state.ok for state in told.deliveries.values())
        else:
            self.reporter.is_over(alert, "removed", None, alert.seq)
            self._tell_end(alert, time.monotonic())

    def _pass_on(self, record: Record) -> None:
        """An alert that somebody else told the daemon of, or its end."""
        alert = described.recorded(record, self._instance)
        if record.record == wire.RESOLVED:
            self._tell_end(self._active.pop(alert.key, None), time.monotonic())
        elif alert.key not in self._active:
            self._active[alert.key] = alert
            self._tell_beginning(alert)

    def _test(self, record: Record) -> None:
        """Somebody wants to know whether alerts arrive where this one would."""
        alert = described.test(record, self.evaluation.rule(str(record.data.get("alert"))), self._instance)
        for name in record.data.get("notify", ()):
            if name in self.deliveries:
                self.deliveries[name].add([Notice(alert, "test")])

    def _well(self) -> bool:
        """The daemon answers, is not ending, and its samples are fresh."""
        return self._state.up(time.monotonic()) and not self.evaluation.fleet.stopping

    def _count(self) -> None:
        active: dict[str, int] = dict.fromkeys(SEVERITIES, 0)
        for alert in self._active.values():
            active[alert.severity] = active.get(alert.severity, 0) + 1
        self.counts.active = active
        self.counts.suppressed["startup"] = self.evaluation.early
        self.counts.problems.pop("circusd", None)
        if self.reporter.problem is not None:
            self.counts.problems["circusd"] = self.reporter.problem
