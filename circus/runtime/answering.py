"""The socket that answers: replies out, and a limit on those that nobody fetches.

libzmq limits how many messages wait for a peer, not how large they are: a thousand replies of a megabyte, for a client
that asks and never reads, are a gigabyte. Owns the count of bytes that wait. Invariant: for one peer there wait at most
`MOST_BYTES` in large replies (or one, whatever its size), and small ones up to libzmq's limit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import zmq

from circus.runtime.zmq_socket import LoopSocket, MessageHandler

LARGE_BYTES: Final = 16 * 1024
MOST_BYTES: Final = 16 * 1024 * 1024


class AnsweringSocket(LoopSocket):
    """A ROUTER in the loop, see `answering_socket`; a reply that would be too much for its peer is a drop."""

    def __init__(
        self, socket: zmq.Socket[bytes], on_message: MessageHandler, *, loop: asyncio.AbstractEventLoop
    ) -> None:
        super().__init__(socket, on_message, loop=loop)
        # By the identity of the peer: how to know of each reply whether it still waits, and its size.
        self._waiting: dict[bytes, list[tuple[zmq.MessageTracker, int]]] = {}

    def send(self, frames: Sequence[bytes | zmq.Frame]) -> bool:
        """Hand a reply to libzmq; its first frame is the identity of the peer."""
        *route, body = frames
        size = len(body)
        if size < LARGE_BYTES or self.closed:
            return super().send(frames)
        peer = route[0] if isinstance(route[0], bytes) else route[0].bytes
        waiting = self._still_waiting(peer)
        if waiting and sum(each for _, each in waiting) + size > MOST_BYTES:
            self.drops += 1
            return False
        # Uncopied, so that pyzmq tells when libzmq is done with it: it is with the kernel then, or the peer is gone.
        frame = zmq.Frame(body, copy=False, track=True, copy_threshold=0)
        assert frame.tracker is not None
        if not super().send([*route, frame]):
            return False
        self._waiting.setdefault(peer, []).append((frame.tracker, size))
        return True

    def _still_waiting(self, peer: bytes) -> list[tuple[zmq.MessageTracker, int]]:
        self._waiting = {
            each: left for each, replies in self._waiting.items() if (left := [it for it in replies if not it[0].done])
        }
        return self._waiting.get(peer, [])
