"""Clients of the control channel: one that blocks and one for asyncio.

Owns request and reply over one DEALER; refuses to know what commands exist. An error reply is returned, not raised;
CallError means that there was no usable answer. Invariants: a call ends within its timeout, whatever else arrives; a
request whose connection was lost is sent again so that it cannot be done twice (`circus.resending`).
circusctl imports this on every start and often needs no libzmq (`circus.direct`), so that is imported on first use.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from circus.exc import CallError, EndpointError
from circus.keys import Keys, keys_of
from circus.resending import Ties, again
from circus.tunnel import tunnel
from circus.wire import endpoints
from circus.wire.endpoints import DEFAULT_CONTROL

if TYPE_CHECKING:
    import asyncio

    import zmq
    from zmq.asyncio import Context as AsyncContext

RECONNECT_MILLISECONDS = 10
RECONNECT_MOST_MILLISECONDS = 500


def make_message(command: str, /, **props: Any) -> dict[str, Any]:
    """A request; `call` gives it its id."""
    return {"command": command, "properties": props}


def cast_message(command: str, /, **props: Any) -> dict[str, Any]:
    """A request that nobody wants answered, not even by an error."""
    return {"command": command, "msg_type": "cast", "properties": props}


def make_json(command: str, /, **props: Any) -> bytes:
    """A request as it goes over the wire."""
    return json.dumps(make_message(command, **props)).encode()


DEFAULT_ENDPOINT_DEALER = DEFAULT_CONTROL
"""Its name in circus 0.19."""


class CircusClient:
    """Ask circusd, and block until it answers.

    `timeout` is the number of seconds for a whole call. With `ssh_server` (`user@host:port`) the connection goes
    through an ssh tunnel. `keys` are for a circusd that asks for them, those of the process unless given.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]] | None = None,
        endpoint: str = DEFAULT_CONTROL,
        timeout: float = 5.0,
        ssh_server: str | None = None,
        ssh_keyfile: str | None = None,
        *,
        keys: Keys | None = None,
    ) -> None:
        import zmq

        self.endpoint = endpoint
        self.timeout = timeout
        self._own_context = context is None
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context() if context is None else context
        self.socket: zmq.Socket[bytes] = self.context.socket(zmq.DEALER)
        prepare(self.socket)
        self._ties = Ties(self.socket)
        try:
            connect(self.socket, endpoint, ssh_server, ssh_keyfile, keys=keys)
        except BaseException:
            self.stop()
            raise
        self._poller = zmq.Poller()
        self._poller.register(self.socket, zmq.POLLIN)
        self._poller.register(self._ties.socket, zmq.POLLIN)

    def send_message(self, command: str, /, **props: Any) -> dict[str, Any]:
        """Run a command with these properties and return its reply."""
        return self.call(make_message(command, **props))

    def call(self, cmd: Mapping[str, Any]) -> dict[str, Any]:
        """Send a request and return its reply; replies to other requests, which came too late, are passed over."""
        import zmq

        request_id, body = numbered(cmd)
        sent = time.monotonic()
        deadline = sent + (self.timeout if 0 <= self.timeout < 1e6 else 1e6)  # -1 is for ever, as of old
        try:
            self._ties.forget()
            self.socket.send(body)
            while (left := deadline - time.monotonic()) > 0 and (ready := self._poller.poll(int(left * 1000) + 1)):
                if (self.socket, zmq.POLLIN) in ready:
                    reply = answer_to(request_id, self.socket.recv_multipart())
                    if reply is not None:
                        return reply
                elif self._ties.anew(self._ties.socket.recv_multipart()):
                    self.socket.send(again(body, time.monotonic() - sent))
        except zmq.ZMQError as error:
            raise CallError(str(error)) from error
        raise CallError("Timed out.")

    def stop(self, linger: int = 0) -> None:
        """Close the connection; what was sent last has that many milliseconds to leave."""
        self._ties.close()
        self.socket.close(linger)
        if self._own_context:
            self.context.term()

    def __enter__(self) -> CircusClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class _Waiting(NamedTuple):
    """A call on its way: its reply, its request, and when that was sent first (monotonic)."""

    reply: asyncio.Future[dict[str, Any]]
    body: bytes
    sent: float


class AsyncCircusClient:
    """Ask circusd from asyncio code. Calls may overlap; each ends within `timeout` seconds."""

    def __init__(
        self,
        context: AsyncContext | None = None,
        endpoint: str = DEFAULT_CONTROL,
        timeout: float = 5.0,
        ssh_server: str | None = None,
        ssh_keyfile: str | None = None,
        *,
        keys: Keys | None = None,
    ) -> None:
        import zmq
        from zmq.asyncio import Context

        self.endpoint = endpoint
        self.timeout = timeout
        self._own_context = context is None
        self.context = Context() if context is None else context
        self.socket = self.context.socket(zmq.DEALER)
        prepare(self.socket)
        self._ties = Ties(self.socket)
        self._waiting: dict[str, _Waiting] = {}
        self._readers: list[asyncio.Task[None]] = []
        try:
            connect(self.socket, endpoint, ssh_server, ssh_keyfile, keys=keys)
        except BaseException:
            self.stop()
            raise

    async def send_message(self, command: str, /, **props: Any) -> dict[str, Any]:
        """Run a command with these properties and return its reply."""
        return await self.call(make_message(command, **props))

    async def call(self, cmd: Mapping[str, Any]) -> dict[str, Any]:
        """Send a request and return its reply."""
        import asyncio

        import zmq

        request_id, body = numbered(cmd)
        waiting = _Waiting(asyncio.get_running_loop().create_future(), body, time.monotonic())
        self._waiting[request_id] = waiting
        try:
            async with asyncio.timeout(self.timeout):
                await self.socket.send(body)
                if not self._readers or any(reader.done() for reader in self._readers):
                    self._forget_readers()
                    self._readers = [asyncio.create_task(each) for each in (self._read(), self._send_again())]
                return await waiting.reply
        except TimeoutError:
            raise CallError("Timed out.") from None
        except zmq.ZMQError as error:
            raise CallError(str(error)) from error
        finally:
            del self._waiting[request_id]
            if not self._waiting:
                # Forgotten at once: until the loop has run they are not done, and the next call must not rely on them.
                self._forget_readers()

    async def _read(self) -> None:
        """Hand each reply to the call that waits for it; lives only while some call does."""
        while True:
            frames = await self.socket.recv_multipart()
            for request_id, waiting in self._waiting.items():
                reply = answer_to(request_id, frames)
                if reply is not None and not waiting.reply.done():
                    waiting.reply.set_result(reply)

    async def _send_again(self) -> None:
        """Repeat all that waits whenever the connection was lost and is there again; lives as long as `_read`."""
        while True:
            if self._ties.anew(await self._ties.socket.recv_multipart()):
                for waiting in list(self._waiting.values()):
                    await self.socket.send(again(waiting.body, time.monotonic() - waiting.sent))

    def _forget_readers(self) -> None:
        for reader in self._readers:
            reader.cancel()
        self._readers = []

    def stop(self) -> None:
        """Close the connection; calls that still wait end with CallError."""
        self._forget_readers()
        for waiting in self._waiting.values():
            if not waiting.reply.done():
                waiting.reply.set_exception(CallError("the client was stopped"))
        self._ties.close()
        self.socket.close(0)
        if self._own_context:
            self.context.term()


def prepare(socket: zmq.Socket[Any] | Any) -> None:
    """Options of every socket that connects to circusd: nothing waits for a dead daemon, a new one is found fast."""
    import zmq

    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT_MILLISECONDS)
    socket.setsockopt(zmq.RECONNECT_IVL_MAX, RECONNECT_MOST_MILLISECONDS)


class _OfProcess:
    keys: ClassVar[Keys | None] = None


def use_keys(keys: Keys | None) -> None:
    """From now on connect with these keys where none are given, rather than with those that the environment names."""
    _OfProcess.keys = keys


def own_keys() -> Keys | None:
    """The keys with which this process connects when it is told none."""
    return _OfProcess.keys or keys_of(os.environ)


def protect(socket: Any, endpoint: str, keys: Keys | None = None) -> None:
    """Let a socket that is about to connect use CURVE, if there are keys and the endpoint is tcp.

    Raises:
        KeyFileError: the environment names keys that cannot be had.
    """
    if not endpoint.startswith("tcp://"):
        return  # over unix sockets the kernel tells who asks
    keys = keys or own_keys()
    if keys is not None:
        import zmq

        socket.setsockopt(zmq.CURVE_SERVERKEY, keys.server.encode())
        socket.setsockopt(zmq.CURVE_PUBLICKEY, keys.public.encode())
        socket.setsockopt(zmq.CURVE_SECRETKEY, keys.secret.encode())


def connect(
    socket: Any,
    endpoint: str,
    ssh_server: str | None = None,
    ssh_keyfile: str | None = None,
    *,
    keys: Keys | None = None,
) -> None:
    """Connect, if asked through an ssh tunnel; CallError says what is wrong with the endpoint or the tunnel."""
    import zmq

    protect(socket, endpoint, keys)
    near = endpoint if ssh_server is None else tunnel(endpoint, ssh_server, ssh_keyfile)
    try:
        socket.connect(near)
    except zmq.ZMQError as error:
        raise CallError(f"cannot connect to {endpoint!r}: {_complaint(endpoint) or error}") from error


def _complaint(endpoint: str) -> str | None:
    try:
        endpoints.parse(endpoint)
    except EndpointError as error:
        return str(error)
    return None


def numbered(cmd: Mapping[str, Any]) -> tuple[str, bytes]:
    """(a new id, the request as bytes with it); the request itself is left as it was."""
    if isinstance(cmd, str):
        # What circus 0.19 answers to a text, which some clients of still older releases send.
        raise DeprecationWarning("call() takes a mapping")
    request_id = os.urandom(16).hex()
    try:
        return request_id, json.dumps({**cmd, "id": request_id}).encode()
    except (TypeError, ValueError) as error:
        raise CallError(f"the request has no JSON form: {error}") from error


def answer_to(request_id: str, frames: list[bytes]) -> dict[str, Any] | None:
    """The reply in a message, None when it is somebody else's."""
    try:
        reply = json.loads(frames[-1])
    except ValueError:
        return None
    if not isinstance(reply, dict) or reply.get("id") != request_id:
        return None
    return reply


def running_daemons(environ: Mapping[str, str] = os.environ, uid: int | None = None) -> list[str]:
    """The automatic control endpoints of this user where somebody listens."""
    directory = endpoints.instances_dir(environ, os.geteuid() if uid is None else uid)
    try:
        names = sorted(os.listdir(directory))
    except OSError:
        return []
    paths = [f"{directory}/{name}/{endpoints.CONTROL_SOCKET}" for name in names]
    return [f"ipc://{path}" for path in paths if _listens(path)]


def find_endpoint(environ: Mapping[str, str] = os.environ, uid: int | None = None, *, here: bool = True) -> str:
    """The control endpoint for who names none: CIRCUSCTL_ENDPOINT, else the only running daemon, else tcp 5555.

    What runs on this machine is no answer unless it is `here` that is meant.
    """
    asked = here and endpoints.ENV_ENDPOINT not in environ
    return endpoints.find_control(environ, running_daemons(environ, uid) if asked else [])


def _listens(path: str) -> bool:
    import socket

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except BlockingIOError:
            return True  # its backlog is full
        except OSError:
            return False
    return True
