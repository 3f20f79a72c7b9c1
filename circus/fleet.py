"""All watchers of an arbiter, and what is done to several of them: start, stop, restart, reload, in their order.

Inside one watcher its own queue rules; here a wave of starts goes from watcher to watcher. Invariant: a stop overtakes a
wave: a watcher that was told to stop after the wave began is not started by it, and a quit ends every wave; a watcher
that is forgotten has no processes and gets none any more.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from circus.events.cause import WAITS
from circus.exc import AlreadyExist, CircusError, Overtaken
from circus.watcher import Watcher

if TYPE_CHECKING:
    from circus.ports import WatcherLike

logger = logging.getLogger("circus")

Forgotten = tuple[bool, CircusError | None]
"""Whether a watcher was there until it was forgotten, and what outlived SIGKILL."""


class Fleet:
    """The watchers by their lower-case names.

    Attributes:
        warmup_delay: seconds to wait after each watcher of a wave.
        quitting: nothing is started any more.
    """

    def __init__(self, warmup_delay: float) -> None:
        self.warmup_delay = warmup_delay
        self.quitting = False
        self._watchers: dict[str, Watcher] = {}
        self._wave = asyncio.Lock()
        self.exclusive = asyncio.Lock()
        """Held by whoever changes which watchers there are, from the configuration."""
        self._stops = 0
        self._awaited: dict[Watcher, list[asyncio.Future[None]]] = {}

    def __len__(self) -> int:
        return len(self._watchers)

    def __iter__(self) -> Iterator[Watcher]:
        return iter(self._watchers.values())

    @property
    def busy(self) -> str | None:
        """What goes on over several watchers; None when nothing does."""
        if self.exclusive.locked():
            return "a change of the configuration, or a restart of everything, is in progress"
        return "a start or reload of several watchers is in progress" if self._wave.locked() else None

    def begin(self) -> None:
        """Be ready for a life in the running loop; an arbiter may have another one before, in another loop."""
        self.quitting = False
        self._wave, self.exclusive = asyncio.Lock(), asyncio.Lock()

    def add(self, watcher: Watcher) -> None:
        """Take a watcher in; its name is free."""
        if self.find(watcher.name) not in (None, watcher):
            raise AlreadyExist(f"{watcher.name!r} already exist")
        self._watchers[watcher.name.lower()] = watcher

    def get(self, name: str) -> Watcher:
        """The watcher of that name, compared without case; KeyError when there is none."""
        return self._watchers[name.lower()]

    async def extend_stats(self, name: str, pid: int, stats: dict[str, Any]) -> None:
        """Let a watcher's hook extended_stats add to what is known of a process; HookError when it fails."""
        watcher = self._watchers.get(name.lower())
        if watcher is not None:
            await watcher.extend_stats(pid, stats)

    def find(self, name: str) -> Watcher | None:
        """The watcher of that name, None when there is none."""
        return self._watchers.get(name.lower())

    def by_priority(self) -> list[Watcher]:
        """The highest priority first, else in the order they were added."""
        return sorted(self._watchers.values(), key=lambda watcher: -watcher.priority)

    def clear(self) -> None:
        """Close and forget all; they have been stopped."""
        for watcher in self._watchers.values():
            watcher.close()
        self._watchers.clear()
        for watcher in list(self._awaited):
            self._tell_gone(watcher)

    def forget(self, watcher: Watcher) -> None:
        """Forget a watcher that works for nobody."""
        del self._watchers[watcher.name.lower()]

    def remove(self, watcher: Watcher, by: str, *, stop: bool) -> Awaitable[Forgotten]:
        """Forget a watcher, when it is stopped if it shall be; otherwise its processes are left to themselves.

        That begins at once; its name is taken until it is done.
        """
        watcher.retired = by
        if stop:
            return self._forget(watcher, watcher.stop())
        watcher.abandon()
        return self._forget(watcher, None)

    async def _forget(self, watcher: Watcher, stopped: Awaitable[None] | None) -> Forgotten:
        failed: CircusError | None = None
        try:
            if stopped is not None:
                await stopped
        except Overtaken:
            raise
        except CircusError as error:
            failed = error  # it is down all the same
        watcher.close()
        found = self.find(watcher.name) is watcher
        if found:
            del self._watchers[watcher.name.lower()]
        self._tell_gone(watcher)
        return found, failed

    def _tell_gone(self, watcher: Watcher) -> None:
        for future in self._awaited.pop(watcher, ()):
            if not future.done():
                future.set_result(None)

    async def gone(self, watcher: Watcher) -> None:
        """Wait until a watcher that is being removed is forgotten."""
        if self.find(watcher.name) is not watcher:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._awaited.setdefault(watcher, []).append(future)
        await future

    async def dissolve(self) -> None:
        """Stop all and forget them. Nothing can be asked of them meanwhile but to stop: what they would start now
        nobody would know any more.

        Raises:
            Overtaken: by a quit.
        """
        async with self.turn(self.exclusive):
            down: set[Watcher] = set()
            # While some are being stopped others may be added, and be removed again before they are down.
            while not self.quitting and not down.issuperset(self):
                waiting = list(self)
                for watcher in waiting:
                    watcher.retired = watcher.retired or "restart of everything"
                with contextlib.suppress(CircusError):  # who outlived SIGKILL is told of in the log
                    await self.stop()
                down.update(watcher for watcher in waiting if watcher.lifecycle.idle)
                if not down.issuperset(waiting):  # so many stops wait for it that it would not take another
                    await asyncio.sleep(0.1)
            if self.quitting:
                raise Overtaken("cancelled: quit overtook restart")
            self.clear()

    def _chosen(self, watchers: Sequence[WatcherLike] | None) -> list[Watcher]:
        if watchers is None:
            return self.by_priority()
        names = {watcher.name for watcher in watchers}
        return [watcher for watcher in self.by_priority() if watcher.name in names]

    async def start(
        self, watchers: Sequence[WatcherLike] | None = None, *, without: Collection[Watcher] = ()
    ) -> Mapping[str, str]:
        """Start these, or all with autostart but for some, each when the one before it is up; tells who is not, and why.

        Of all, exporters come first whatever their priority: what shows how the others come up must not wait for them.

        Raises:
            Overtaken: a stop of all watchers or a quit ended the wave.
        """
        if watchers is None:
            chosen = [each for each in self.by_priority() if each.autostart and each not in without]
            chosen.sort(key=lambda watcher: watcher.spec.role != "exporter")
        else:
            chosen = self._chosen(watchers)
        return await self._go_through(chosen, "start", lambda watcher: watcher.start())

    async def reload(self, *, graceful: bool, sequential: bool) -> Mapping[str, str]:
        """Reload every watcher that is not stopped; tells as `start`.

        Raises:
            Overtaken: as `start`.
            CircusError: in the end; some could not be reloaded, and run on as they were.
        """
        up = [watcher for watcher in self.by_priority() if not watcher.is_stopped()]
        return await self._go_through(up, "reload", lambda watcher: watcher.reload(graceful, sequential))

    @asynccontextmanager
    async def turn(self, lock: asyncio.Lock) -> AsyncIterator[None]:
        """Hold a lock; the command that waits for it has waited so long."""
        loop, waits = asyncio.get_running_loop(), WAITS.get()
        began = loop.time()
        async with lock:
            if waits is not None:
                waits.append(loop.time() - began)
            yield

    async def _go_through(
        self, watchers: Sequence[Watcher], what: str, operation: Callable[[Watcher], Awaitable[object]]
    ) -> Mapping[str, str]:
        failed: dict[str, str] = {}
        errors: list[str] = []
        stops, told_to_stop = self._stops, {watcher: watcher.stops for watcher in watchers}
        async with self.turn(self._wave):
            for watcher in watchers:
                if self.quitting:
                    raise Overtaken(f"cancelled: quit overtook {what}")
                if self._stops != stops:
                    raise Overtaken(f"cancelled: stop overtook {what}")
                if watcher.stops != told_to_stop[watcher] or self.find(watcher.name) is not watcher:
                    continue
                try:
                    await operation(watcher)
                except Overtaken as error:
                    logger.info("%s", error)
                except CircusError as error:  # the others have their turn all the same
                    logger.error("%s", error)  # noqa: TRY400 - the sentence says it all
                    errors.append(str(error))
                else:
                    if (why := watcher.shortfall) is not None:
                        failed[watcher.name] = why
                if self.warmup_delay > 0:
                    await asyncio.sleep(self.warmup_delay)
        if errors:
            raise CircusError("\n".join(errors))
        return failed

    async def stop(self, watchers: Sequence[WatcherLike] | None = None) -> None:
        """Stop these, or all, at once; those with the lowest priority get their signals first.

        Raises:
            CircusError: when all are done, if something outlived SIGKILL.
        """
        if watchers is None:
            self._stops += 1
        stops = (watcher.stop() for watcher in reversed(self._chosen(watchers)))
        ends = await asyncio.gather(*stops, return_exceptions=True)
        failed = [str(end) for end in ends if isinstance(end, CircusError) and not isinstance(end, Overtaken)]
        if failed:
            raise CircusError("; ".join(failed))
