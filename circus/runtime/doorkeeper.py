"""Who keeps the doors: unix sockets are closed to newcomers while few descriptors are left.

libzmq accepts clients in a thread of its own, and ends the program when a unix socket has no descriptor for one more.
Owns watching who comes in and when to close and open; how a door is closed is the waiting room's affair. Invariant:
who is connected stays connected, and who comes meanwhile waits in a backlog and gets in later.
"""

from __future__ import annotations

import asyncio
import logging

import zmq

from circus.runtime.fds import ROOM
from circus.runtime.listener import Listener
from circus.runtime.waiting_room import WaitingRoom
from circus.runtime.zmq_socket import TELL_SECONDS, LoopSocket

logger = logging.getLogger("circus")

LOOK_AGAIN_SECONDS = 0.2


class Doorkeeper:
    """Watches the listeners it is given, from their first client on; `close` lets go of them."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._doors: list[Listener] = []
        self._rooms: list[WaitingRoom] = []
        self._monitors: list[LoopSocket] = []
        self._timer: asyncio.TimerHandle | None = None
        self._told = float("-inf")

    def watch(self, listener: Listener, zmq_socket: zmq.Socket[bytes]) -> None:
        """Be told by a zmq socket of the clients that it accepts on this listener."""
        monitor = zmq_socket.get_monitor_socket(zmq.EVENT_ACCEPTED)
        self._monitors.append(LoopSocket(monitor, self._came, loop=self._loop))
        self._doors.append(listener)

    def _came(self, _: list[zmq.Frame]) -> None:
        if self._timer is not None or not ROOM.is_nearly_full():
            return
        now = self._loop.time()
        level = logging.WARNING if now - self._told >= TELL_SECONDS else logging.DEBUG
        self._told = now if level == logging.WARNING else self._told
        logger.log(
            level,
            "%d file descriptors are left, so no further clients are let in for now; raise the hard limit (ulimit -Hn, "
            "or LimitNOFILE in systemd) if these are not too many",
            ROOM.left(),
        )
        for door in self._doors:
            try:
                if door.path is not None:
                    self._rooms.append(WaitingRoom(door.path))
            except OSError as error:
                logger.warning("%s cannot be closed to newcomers: %s", door.endpoint, error)
        self._timer = self._loop.call_later(LOOK_AGAIN_SECONDS, self._look_again)

    def _look_again(self) -> None:
        if not ROOM.has_room_for_clients():
            self._timer = self._loop.call_later(LOOK_AGAIN_SECONDS, self._look_again)
            return
        self._timer = None
        logger.debug("file descriptors are free again, and clients are let in")
        self._let_in()

    def _let_in(self) -> None:
        for room in self._rooms:
            room.close()
        self._rooms.clear()

    def close(self) -> None:
        """Watch nothing any more. Closing twice is harmless."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._let_in()
        for monitor in self._monitors:
            monitor.close()
        self._monitors.clear()
        self._doors.clear()
