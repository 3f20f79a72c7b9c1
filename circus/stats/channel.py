"""The stats channel: samples of this release and stats of circus 0.19, for those who subscribed to them.

Owns the XPUB and when a pass over the processes runs; refuses to know how processes are read. Every `interval` one pass
samples the watchers that somebody wants to hear of and publishes what is subscribed, in slices that a timer resumes, so
that everything else in the loop comes first. Invariant: while nobody listens there is no timer, no reading and no
encoding.
"""

from __future__ import annotations

import asyncio
import logging
import resource
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec
import zmq

from circus.events.counters import LAG_BOUNDS, PASS_BOUNDS, new_histogram, observe
from circus.handover import SamplesRecord
from circus.runtime.listener import Listener
from circus.runtime.subscriptions import Subscriptions
from circus.runtime.zmq_socket import PublishingSocket, publishing_socket
from circus.stats import aggregate, backlog
from circus.stats.sampler import Member, Sampler
from circus.stats.service import Extend, Infos, StatsService
from circus.stats.wanted import Wanted
from circus.wire import topics
from circus.wire.samples import DaemonSample, WatcherSample

if TYPE_CHECKING:
    from circus.ports import Clock, SocketLike

logger = logging.getLogger(__name__)

# A timer that is due at once: whatever is readable and every timer that was due earlier comes before it.
PAUSE_SECONDS: Final = 0.0
QUEUE: Final = 16_384
"""Messages that a subscriber may be behind: three passes over 5,000 processes, one message for each. It is set before
anybody can connect and never again: libzmq tells a new limit also to connections that have just been closed, which it has
freed by then, and that ended circusd. Who does not read at all is let go by the heartbeats."""
_LAST_SAMPLES_MS: Final = 20
_DAEMON: Final = "circusd"
_OWN_STEM: Final = b"stat.circus"
_SOCKETS_STEM: Final = b"stat.sockets"

encode = msgspec.json.Encoder().encode


class StatsChannel:
    """Publishes on `listener`, which stays the caller's, and answers for commands (`ports.StatsLike`).

    `endpoint` and `pubsub_endpoint` are told to subscribers, so that this one address leads to all channels. `sockets`
    are the sockets of the daemon, `queue_depth` what waits to be done in it, `drops` messages that other channels had
    to drop, by channel. `extend` runs the hook extended_stats of a watcher on the info of a pid.
    """

    def __init__(
        self,
        listener: Listener,
        context: zmq.Context[zmq.Socket[bytes]],
        *,
        loop: asyncio.AbstractEventLoop,
        clock: Clock,
        sampler: Sampler,
        boot: str,
        version: str,
        started: float,
        endpoint: str,
        pubsub_endpoint: str,
        interval: float,
        sockets: Callable[[], Iterable[SocketLike]] = list,
        queue_depth: Callable[[], int] = int,
        drops: Callable[[], Mapping[str, int]] = dict,
        extend: Extend | None = None,
    ) -> None:
        self.service = StatsService(sampler, interval=interval, loop=loop, extend=extend)
        self.passes = self.skipped = 0
        self.pass_seconds = 0.0
        self.loop_lag = new_histogram(LAG_BOUNDS)
        self.pass_duration = new_histogram(PASS_BOUNDS)
        self.subscriptions = Subscriptions(self._subscribed)
        self._sampler = sampler
        self._clock = clock
        self._loop = loop
        self._interval = interval
        self._boot = boot
        self._version = version
        self._started = started
        self._endpoints = (endpoint, pubsub_endpoint, listener.endpoint)
        self._sockets = sockets
        self._queue_depth = queue_depth
        self._drops = drops
        self._seqs: dict[bytes, int] = {}
        self._wanted: dict[str, Wanted] = {}
        self._active, self._next = False, 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._began = float("-inf")
        self._pass: Iterator[None] | None = None
        self._resume: asyncio.TimerHandle | None = None
        self._listener, self._drops_before = listener, 0
        self.serve(context)

    def serve(self, context: zmq.Context[zmq.Socket[bytes]]) -> None:
        """Publish by sockets of this context; again after `suspend`."""
        raw = publishing_socket(context, queue=QUEUE)
        try:
            self._listener.attach(raw)
        except BaseException:
            raw.close(0)
            raise
        self._socket = PublishingSocket(raw, self.subscriptions, loop=self._loop, channel="stats")

    async def infos(self, watcher: str, extended: bool = False) -> Infos:
        """The info of each live process of a watcher by pid; reads anew what is older than one interval."""
        return await self.service.infos(watcher, extended)

    async def all_infos(self) -> dict[str, Infos]:
        """The same for all watchers by name."""
        return await self.service.all_infos()

    async def daemon_info(self) -> dict[str, Any]:
        """The info of the daemon itself."""
        return await self.service.daemon_info()

    def change_interval(self, interval: float) -> None:
        """Sample at another pace; the next pass comes no later than one new interval from now."""
        self._interval = interval
        self.service.change_interval(interval)
        if self._timer is not None:
            self._timer.cancel()
            self._next = min(self._next, self._loop.time() + interval)
            self._timer = self._loop.call_at(self._next, self._tick)

    def handed(self) -> SamplesRecord:
        """What is counted, to be handed over."""
        return SamplesRecord(seqs=self._seqs, passes=self.passes, skipped=self.skipped, loop_lag=self.loop_lag,
                             pass_duration=self.pass_duration, drops=self.drops, errors=self._sampler.errors)  # fmt: skip

    def take_over(self, record: SamplesRecord) -> None:
        """Go on counting from there."""
        self._seqs, self.passes, self.skipped = record.seqs, record.passes, record.skipped
        self.loop_lag, self.pass_duration, self._drops_before = record.loop_lag, record.pass_duration, record.drops
        self._sampler.errors |= record.errors

    def close(self) -> None:
        """Stop sampling and publishing. Closing twice is harmless."""
        self._sleep()
        self._socket.close()
        self.service.close()

    # -- when ---------------------------------------------------------------------------------------------------------

    def _subscribed(self, prefix: bytes, begun: bool) -> None:
        del prefix, begun
        self._wanted.clear()
        anybody = self.subscriptions.wants_below(b"sample.") or self.subscriptions.wants_below(b"stat.")
        if anybody and not self._active:
            self._active = True
            self.service.begin_use()
            # At once, but for somebody who comes and goes all the time.
            self._next = max(self._loop.time(), self._began + self._interval)
            self._timer = self._loop.call_at(self._next, self._tick)
        elif not anybody:
            self._sleep()

    def _sleep(self) -> None:
        """Nobody listens any more."""
        if not self._active:
            return
        self._active = False
        for handle in (self._timer, self._resume):
            if handle is not None:
                handle.cancel()
        self._timer = self._resume = self._pass = None
        self.service.end_use()

    @property
    def drops(self) -> int:
        """Messages that libzmq did not take."""
        return self._drops_before + self._socket.drops

    def suspend(self) -> None:
        """Close the socket, and let the last samples leave, until `serve`."""
        self._socket.close(_LAST_SAMPLES_MS)
        self._drops_before, self._socket.drops = self.drops, 0
        self.subscriptions.clear()

    def _tick(self) -> None:
        """Time for a pass. One that still runs is left to end, and the new one is skipped."""
        late = max(self._loop.time() - self._next, 0.0)
        observe(self.loop_lag, late)
        missed = int(late / self._interval)
        self.skipped += missed
        self._next += self._interval * (missed + 1)
        self._timer = self._loop.call_at(self._next, self._tick)
        if self._pass is not None:
            self.skipped += 1
            return
        self._began = self._loop.time()
        self._pass = self._steps()
        self._advance()

    def _advance(self) -> None:
        """One slice of the pass that runs."""
        self._resume = None
        if self._pass is None:
            return
        self._sampler.slice.begin()
        try:
            next(self._pass)
        except StopIteration:
            self._pass = None
        except Exception:  # the next pass must come, whatever a process or a subscriber did to this one
            logger.exception("a pass over the processes failed")
            self._sampler.errors["other"] += 1
            self._pass = None
        else:
            self._resume = self._loop.call_later(PAUSE_SECONDS, self._advance)

    # -- what ---------------------------------------------------------------------------------------------------------

    def _steps(self) -> Iterator[None]:
        """One pass: read what is wanted, then publish it."""
        sampler, began, now = self._sampler, self._clock.monotonic(), self._clock.time()
        names = sampler.watchers()
        wanted = [(name, what) for name in names if (what := self._of(name))]
        members = [member for name, _ in wanted for member in sampler.members(name)]
        yield from sampler.sweep(members, slow=sampler.slow_share(self._interval))
        for name, what in wanted:
            yield from self._publish(name, what, now)
            if sampler.slice.over():
                yield
        self.passes += 1
        self.pass_seconds = self._clock.monotonic() - began
        observe(self.pass_duration, self.pass_seconds)
        self._publish_own(now)
        if self.subscriptions.wants_below(_SOCKETS_STEM):
            self._publish_sockets()
        if len(self._wanted) > 2 * len(names):
            self._wanted.clear()  # of watchers that are gone

    def _of(self, watcher: str) -> Wanted:
        found = self._wanted.get(watcher)
        if found is None:
            found = self._wanted[watcher] = Wanted(self.subscriptions, watcher)
        return found

    def _publish(self, name: str, what: Wanted, now: float) -> Iterator[None]:
        members = [member for member in self._sampler.members(name) if member.sample.state is not None]
        if what.sample is not None:
            sample = WatcherSample(
                boot=self._boot,
                seq=self._seq(what.sample),
                time=now,
                interval_seconds=self._interval,
                watcher=name,
                totals=self._sampler.totals(name),
                processes=[member.sample for member in members],
            )
            self._socket.send((what.sample, encode(sample)))
        if not what.pids:
            return
        averages = aggregate.Averages()
        for member in members:
            topic = what.stem + str(member.sample.pid).encode()
            if what.stat is None and not self.subscriptions.wants(topic):
                continue  # somebody asked for other pids by name
            if not member.gone:
                averages.add(self._publish_info(topic, member, None))
            if self._sampler.slice.over():
                yield
        if what.stat is not None:
            self._socket.send((what.stat, encode(averages.told())))

    def _publish_info(self, topic: bytes, member: Member, name: str | None) -> dict[str, Any]:
        info = self.service.info(member)
        info["subtopic"] = member.sample.pid
        info["name"] = name
        self._socket.send((topic, encode(info)))
        return info

    def _publish_own(self, now: float) -> None:
        """`sample.-`, and what 0.19 told about its own processes, of which one is left."""
        own, subscriptions = self.service.own, self.subscriptions
        topic, stats = topics.sample_topic(None), subscriptions.wants_below(_OWN_STEM)
        telling = subscriptions.wants(topic)
        if telling or stats:
            for _ in self._sampler.sweep([own]):
                pass
        if telling:
            self._socket.send((topic, encode(self._daemon_sample(topic, now))))
        if stats:
            info = self._publish_info(_OWN_STEM + b".%d" % own.sample.pid, own, _DAEMON)
            self._socket.send((_OWN_STEM, encode(aggregate.averages([info]))))

    def _daemon_sample(self, topic: bytes, now: float) -> DaemonSample:
        own = self.service.own
        used = resource.getrusage(resource.RUSAGE_SELF)
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return DaemonSample(
            boot=self._boot,
            seq=self._seq(topic),
            time=now,
            interval_seconds=self._interval,
            pid=own.sample.pid,
            version=self._version,
            started=self._started,
            endpoint=self._endpoints[0],
            pubsub_endpoint=self._endpoints[1],
            stats_endpoint=self._endpoints[2],
            cpu_user_seconds=used.ru_utime,
            cpu_system_seconds=used.ru_stime,
            resident_bytes=own.sample.resident_bytes or 0,
            open_fds=own.reader.open_fds(),
            max_fds=None if limit < 0 else limit,
            processes=len(self._sampler),
            pass_seconds=self.pass_seconds,
            pass_duration=self.pass_duration,
            loop_lag=self.loop_lag,
            passes=self.passes,
            skipped=self.skipped,
            errors=self._sampler.errors,
            queue_depth=self._queue_depth(),
            subscribers=self.subscriptions.counts(),
            drops={"stats": self.drops, **self._drops()},
            machine_memory_bytes=self.service.machine_memory,
            send_hwm=QUEUE,
        )

    def _publish_sockets(self) -> None:
        rows = backlog.waiting(self._sockets())
        if not rows:
            return
        for row in rows:
            self._socket.send((b"%s.%d" % (_SOCKETS_STEM, row["fd"]), encode(row)))
        whole = {"addresses": [row["address"] for row in rows], "reads": sum(row["reads"] for row in rows)}
        self._socket.send((_SOCKETS_STEM, encode(whole)))

    def _seq(self, topic: bytes) -> int:
        seq = self._seqs[topic] = self._seqs.get(topic, 0) + 1
        return seq
