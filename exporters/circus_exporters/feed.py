"""The way from a daemon to the fleet state: find it, subscribe, take a snapshot, follow, notice its end, begin again.

Owns the connections. It refuses to know metrics and HTTP. Invariant: totals come from the daemon's own snapshots and
samples, never from counting messages; so a lost message, a late start and a killed exporter cost no count.

Three sources, each for what it does best:

- Samples (`sample.`) are followed: each one replaces the one before.
- The snapshot (`telemetry`) is asked for when somebody wants to see it, that is once a scrape. It is then exact to the
  last event, costs the daemon nothing while nobody looks, and one question a scrape is cheaper than any rule about
  which record makes which watcher out of date. Scrapes that wait at the same time share one question.
- Records (`lifecycle.`) are followed for what only they tell: what happened, in order. Their `seq` has no holes, so a
  hole means that messages were lost; it is filled from the daemon's journal (`events since=`), or counted as lost when
  the journal has let go of it too. The subscription stands before the snapshot is taken, and a snapshot that knows of
  later records than arrived, a moment afterwards, shows that the last ones were lost.

The daemon is gone when it is silent, or its connections break, and it answers no question either. It is another one
when its `boot` is.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import zmq
import zmq.asyncio

from circus.client import AsyncCircusClient
from circus.exc import CallError, CircusError
from circus.wire import endpoints, samples
from circus.wire.events import Record
from circus.wire.events import decode as decode_record
from circus.wire.snapshot import Telemetry
from circus_exporters.channel import Channel
from circus_exporters.state import FleetState

logger = logging.getLogger("circus_exporters.feed")

RECORDS = b"lifecycle."
SAMPLES = b"sample."
DAEMON_SAMPLE = b"sample.-"
JOURNAL_PAGE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """In seconds. `answer`: what a question may take; `retry`: between two attempts to find a daemon; `silence`:
    without a message, until the daemon is asked whether it lives; `settle`: what a record may take to arrive.
    """

    answer: float = 2.0
    retry: float = 0.5
    silence: float = 3.0
    settle: float = 1.0


class Feed:
    """Keeps a `FleetState` true. `on_attached` is told that a daemon answers, and whether it is another one than
    before; `on_lost` that it does not answer any more.
    """

    def __init__(
        self,
        endpoint: str,
        state: FleetState,
        *,
        on_attached: Callable[[bool], None] = lambda _new: None,
        on_lost: Callable[[], None] = lambda: None,
        timings: Timings | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._state = state
        self._on_attached = on_attached
        self._on_lost = on_lost
        self._timings = timings or Timings()
        self.settled = asyncio.Event()  # the first snapshot and the first sample are there
        self._client: AsyncCircusClient | None = None
        self._asking = asyncio.Lock()
        self._asked_at = 0.0
        self._heard_at = 0.0
        self._wake = asyncio.Event()
        self._suspect = False  # what arrived does not fit to the daemon that we know
        self._disconnected = False
        self._failures = 0
        self._wanted_seq = 0  # records up to this one exist
        self._healing = False
        self._replaying = False
        self._told: str | None = None

    async def run(self) -> None:
        """Follow whatever daemon answers at the endpoint, until cancelled."""
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        try:
            while True:
                with contextlib.ExitStack() as stack:
                    try:
                        other = await self._attach(context, stack)
                    except (CircusError, msgspec.ValidationError) as error:
                        self._tell(error)
                    else:
                        self._told = None
                        self._on_attached(other)
                        try:
                            await self._follow()
                        finally:
                            self._state.detach()
                        self._on_lost()
                        continue
                await asyncio.sleep(self._timings.retry)
        finally:
            context.destroy(linger=0)

    async def refresh(self) -> bool:
        """Take a snapshot that is not older than this call; False when the daemon gave none."""
        came = time.monotonic()
        if not self._state.attached() or self._disconnected:
            return False
        try:
            async with self._asking:
                if self._asked_at < came:
                    await self._take_snapshot()
        except (CircusError, msgspec.ValidationError) as error:
            logger.warning("no snapshot from the daemon at %s: %s", self._endpoint, error)
            self._look_into()
            return False
        return self._state.attached()

    async def ask(self, command: str, **properties: Any) -> dict[str, Any]:
        """The answer to a command. Raises CallError when none came, CircusError when it was refused."""
        return await self._ask(command, **properties)

    # Finding a daemon

    async def _attach(self, context: zmq.Context[zmq.Socket[bytes]], stack: contextlib.ExitStack) -> bool:
        """Connect everything, subscriptions first; True when it is another daemon than before."""
        self._client = AsyncCircusClient(zmq.asyncio.Context(context), self._endpoint, self._timings.answer)
        stack.callback(self._disconnect)
        options = (await self._ask("globaloptions")).get("options", {})
        channels = ((options.get("pubsub_endpoint"), RECORDS, self._on_record),
                    (options.get("stats_endpoint"), SAMPLES, self._on_sample))  # fmt: skip
        for told, prefix, handler in channels:
            if told:
                address = endpoints.reachable(told, self._endpoint)
                channel = Channel(context, address, prefix, handler, self._on_disconnect)
                stack.callback(channel.close)
        telemetry = await self._telemetry()
        self._suspect = self._healing = self._disconnected = False
        self._failures = 0
        self._heard_at = time.monotonic()
        self._wake.clear()
        other = self._state.attach(telemetry, self._heard_at, sampled=bool(options.get("stats_endpoint")))
        self._wanted_seq = telemetry.seq
        if self._state.last_seq == 0 and telemetry.seq > 0:  # somebody wants what was before: it is in the journal
            self._healing = self._replaying = True
            self._wake.set()
        else:
            self._expect(telemetry.seq)
        if not self._state.sampled:
            self.settled.set()
        logger.info("following circusd %s (pid %d) at %s", telemetry.version, telemetry.arbiter.pid, self._endpoint)
        return other

    def _disconnect(self) -> None:
        if self._client is not None:
            self._client.stop()
            self._client = None

    def _tell(self, error: Exception) -> None:
        """One line for each new reason, not one for each attempt."""
        if isinstance(error, CallError):
            told = f"no daemon answers at {self._endpoint}; waiting for one"
        else:
            told = f"cannot follow the daemon at {self._endpoint}: {error}"
        if told != self._told:
            logger.warning("%s", told)
            self._told = told

    # Following it

    async def _follow(self) -> None:
        """Look after what the channels cannot do by themselves; returns when the daemon is gone or another one."""
        while True:
            quiet_for = time.monotonic() - self._heard_at
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(self._timings.silence - quiet_for, 0.0)):
                    await self._wake.wait()
            self._wake.clear()
            try:
                if self._healing:
                    await self._heal()
                if self._suspect or time.monotonic() - self._heard_at >= self._timings.silence:
                    self._suspect = False
                    if not await self._is_the_same():
                        return
                    self._heard_at = time.monotonic()
            except (CircusError, msgspec.ValidationError) as error:
                self._suspect = True
                self._wake.set()
                self._failures += 1
                if self._failures > (0 if self._disconnected else 1):
                    logger.warning("the daemon at %s does not answer any more: %s", self._endpoint, error)
                    return
            else:
                self._failures = 0
                self._disconnected = False

    async def _is_the_same(self) -> bool:
        boot = self._state.boot
        async with self._asking:
            return (await self._take_snapshot()).boot == boot

    def _on_disconnect(self) -> None:
        """A connection broke: the daemon ended, or replaces itself; one question that it does not answer is enough."""
        self._disconnected = True
        self._look_into()

    def _on_sample(self, topic: bytes, body: bytes) -> None:
        now = self._heard_at = time.monotonic()
        try:
            if topic == DAEMON_SAMPLE:
                known = self._state.fold_daemon(samples.decode_daemon(body), now)
            else:
                known = self._state.fold_sample(samples.decode_watcher(body), now)
        except msgspec.DecodeError as error:
            logger.warning("unreadable message on %s: %s", topic.decode(errors="replace"), error)
            return
        if not known:
            self._look_into()
        elif topic == DAEMON_SAMPLE:
            self.settled.set()

    def _on_record(self, topic: bytes, body: bytes) -> None:
        self._heard_at = time.monotonic()
        try:
            record = decode_record(body)
        except msgspec.DecodeError as error:
            logger.warning("unreadable message on %s: %s", topic.decode(errors="replace"), error)
            return
        if record.boot != self._state.boot:
            self._look_into()
            return
        if self._state.fold_record(record) is not None:
            self._miss(record.seq - 1)
        self._wanted_seq = max(self._wanted_seq, record.seq)

    def _look_into(self) -> None:
        self._suspect = True
        self._wake.set()

    # Records that did not come

    def _expect(self, seq: int) -> None:
        """Records up to this one exist; those that have not come a moment later are asked for."""
        if seq > self._state.last_seq:
            asyncio.get_running_loop().call_later(self._timings.settle, self._check, self._state.boot, seq)

    def _check(self, boot: str | None, seq: int) -> None:
        if self._state.attached() and self._state.boot == boot and self._state.last_seq < seq:
            self._miss(seq)

    def _miss(self, last: int) -> None:
        """Records up to `last` are missing; while a gap is being filled, later ones belong to it."""
        self._wanted_seq = max(self._wanted_seq, last)
        if not self._healing:
            self._healing = True
            self._state.event_gaps += last - self._state.last_seq
            self._wake.set()

    async def _heal(self) -> None:
        """Fill the gap from the journal; what it has let go of is counted as lost."""
        state = self._state
        while state.last_seq < self._wanted_seq:
            before = state.last_seq
            async with self._asking:
                answer = await self._ask("events", since=before, limit=JOURNAL_PAGE)
            if answer.get("boot") != state.boot:
                self._look_into()
                return
            records = [msgspec.convert(record, Record) for record in answer["records"]]
            if self._replaying:
                self._replaying = False
                state.begin_records(records[0].seq if records else self._wanted_seq + 1)
            state.lose_records((records[0].seq if records else self._wanted_seq + 1) - 1)
            for record in records:
                state.fold_record(record)
            if state.last_seq == before:  # an answer that leads nowhere must not be asked for again and again
                state.lose_records(self._wanted_seq)
        self._healing = False

    # Questions

    async def _take_snapshot(self) -> Telemetry:
        """Ask and take it. A snapshot of another boot is not taken: all connections begin anew then."""
        asked_at = time.monotonic()
        telemetry = await self._telemetry()
        if telemetry.boot != self._state.boot:
            self._look_into()
        else:
            self._asked_at = asked_at
            self._state.fold_telemetry(telemetry)
            self._expect(telemetry.seq)
        return telemetry

    async def _telemetry(self) -> Telemetry:
        return msgspec.convert(await self._ask("telemetry", detail=False), Telemetry)

    async def _ask(self, command: str, **properties: Any) -> dict[str, Any]:
        client = self._client
        if client is None:
            raise CallError("not connected")
        answer: dict[str, Any] = await client.send_message(command, **properties)
        if answer.get("status") == "error":
            raise CircusError(f"it refused {command!r}: {answer.get('reason')}")
        return answer
