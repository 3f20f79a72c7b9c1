"""Plain zmq clients for tests: one request at a time, and a recorder of what is published.

Written on bare sockets on purpose, so that a defect of `circus.client` or `circus.consumer` cannot hide one of the
daemon. Invariant: when `Recorder` has been made, its subscription is on the way; `Daemon.events` waits until it is in
force.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any, NamedTuple, Self

import zmq
from zmq.utils.monitor import recv_monitor_message

from tests.helpers.waiting import DEADLINE, Late


class NoAnswer(AssertionError):
    """The daemon did not answer in time."""


class Caller:
    """A DEALER as 0.19's clients have it: one frame out, one frame in, matched by id."""

    def __init__(self, endpoint: str, context: zmq.Context[zmq.Socket[bytes]]) -> None:
        self._socket = context.socket(zmq.DEALER)
        self._socket.setsockopt(zmq.IDENTITY, uuid.uuid4().hex.encode())
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.RECONNECT_IVL, 10)
        self._socket.connect(endpoint)

    def call(self, command: str, *, timeout: float = DEADLINE, **properties: Any) -> dict[str, Any]:
        """The reply to one command, errors included."""
        mine = uuid.uuid4().hex
        self.send_raw(json.dumps({"id": mine, "command": command, "properties": properties}).encode())
        until = time.monotonic() + timeout
        while True:
            reply = self.receive_raw(until - time.monotonic())
            if reply is None:
                raise NoAnswer(f"no answer to {command} {properties} within {timeout} s")
            answer: dict[str, Any] = json.loads(reply)
            if answer.get("id") == mine:
                return answer

    def send(self, command: str, **properties: Any) -> None:
        """Ask, and leave the answer for `receive`."""
        self.send_raw(json.dumps({"id": 1, "command": command, "properties": properties}).encode())

    def receive(self, timeout: float = DEADLINE) -> dict[str, Any]:
        """The next answer to what was sent."""
        reply = self.receive_raw(timeout)
        if reply is None:
            raise NoAnswer(f"no answer within {timeout} s")
        answer: dict[str, Any] = json.loads(reply)
        return answer

    def send_raw(self, *frames: bytes) -> None:
        self._socket.send_multipart(list(frames))

    def receive_raw(self, timeout: float = DEADLINE) -> bytes | None:
        """The next reply (behind an empty frame where the request had one), or None when none came."""
        if not self._socket.poll(max(0, int(timeout * 1000)), zmq.POLLIN):
            return None
        return self._socket.recv_multipart()[-1]

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Message(NamedTuple):
    """One published message; `at` is monotonic time of its arrival."""

    topic: str
    body: dict[str, Any]
    at: float


class Recorder:
    """Everything published below some prefixes, in order, kept by a thread of its own."""

    def __init__(
        self, endpoint: str, prefixes: tuple[str, ...], context: zmq.Context[zmq.Socket[bytes]], name: str = "recorder"
    ) -> None:
        self.messages: list[Message] = []
        self._heard = threading.Condition()
        self._socket = context.socket(zmq.SUB)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.RCVHWM, 0)
        self._socket.setsockopt(zmq.RECONNECT_IVL, 10)
        for prefix in prefixes:
            self._socket.setsockopt(zmq.SUBSCRIBE, prefix.encode())
        monitor = self._socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
        self._socket.connect(endpoint)
        try:
            if not monitor.poll(int(DEADLINE * 1000)):
                self._socket.close()
                raise Late(f"nobody publishes on {endpoint}")
            recv_monitor_message(monitor)
        finally:
            self._socket.disable_monitor()
        self._end = context.socket(zmq.PAIR)
        self._end.bind(f"inproc://{id(self)}")
        self._thread = threading.Thread(target=self._run, args=(context,), name=name, daemon=True)
        self._thread.start()

    def _run(self, context: zmq.Context[zmq.Socket[bytes]]) -> None:
        ended = context.socket(zmq.PAIR)
        ended.connect(f"inproc://{id(self)}")
        poller = zmq.Poller()
        poller.register(self._socket, zmq.POLLIN)
        poller.register(ended, zmq.POLLIN)
        while True:
            ready = dict(poller.poll())
            if ended in ready:
                break
            topic, body = self._socket.recv_multipart()
            message = Message(topic.decode(), json.loads(body), time.monotonic())
            with self._heard:
                self.messages.append(message)
                self._heard.notify_all()
        ended.close()
        self._socket.close()

    def wait_for(
        self, wanted: Callable[[Message], object], deadline: float = DEADLINE, count: int = 1
    ) -> list[Message]:
        """The first `count` messages that are wanted, whether they came already or come in time."""
        until = time.monotonic() + deadline
        with self._heard:
            while True:
                found = [message for message in self.messages if wanted(message)]
                if len(found) >= count:
                    return found[:count]
                if not self._heard.wait(until - time.monotonic()):
                    heard = [message.topic for message in self.messages][-30:]
                    raise Late(f"{len(found)} of {count} wanted messages within {deadline} s; heard last: {heard}")

    def wait_for_topic(self, topic: str, deadline: float = DEADLINE, count: int = 1) -> list[Message]:
        return self.wait_for(lambda message: message.topic == topic, deadline, count)

    def topics(self) -> list[str]:
        with self._heard:
            return [message.topic for message in self.messages]

    def clear(self) -> None:
        with self._heard:
            self.messages.clear()

    def close(self) -> None:
        if self._thread.is_alive():
            self._end.send(b"")
            self._thread.join(DEADLINE)
        self._end.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
