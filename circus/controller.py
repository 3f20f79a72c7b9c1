"""The control channel: requests in, commands executed, replies out.

Owns the ROUTER, who may ask for what, and what becomes of errors; refuses to know what any command does. This is where
exceptions end: they become replies, with the story in the log. Invariant: every request gets exactly one reply, unless
it said that it wants none, what is sent again is not done again, and nothing that arrives can stop the loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import zmq
from msgspec.structs import replace

from circus.answered import Answered
from circus.commands import get_commands
from circus.commands.base import Command
from circus.core.access import Access, Groups, Peer, refusal, suffices
from circus.events.allowance import Allowance
from circus.events.cause import TRACEPARENT
from circus.events.counters import COMMAND_BOUNDS, new_histogram, observe, trace_of
from circus.exc import BAD_MSG_DATA_ERROR, COMMAND_ERROR, CircusError, NotPermitted, Overtaken
from circus.handover import ControlRecord
from circus.jobs import Begun, CommandObserver, Job, cause_of, errno_of, text_of, warnings_of
from circus.runtime.answering import AnsweringSocket
from circus.runtime.listener import Listener, listen
from circus.runtime.peers import access as made_access
from circus.runtime.peers import groups_of, peer_of
from circus.runtime.zmq_socket import answering_socket
from circus.wire import messages
from circus.wire.messages import BadRequest, Request, UnknownCommand
from circus.wire.samples import Histogram
from circus.wire.snapshot import COMMAND_ERRORS, REQUEST_ERRORS

if TYPE_CHECKING:
    from circus.ports import ArbiterLike

logger = logging.getLogger("circus")

UNKNOWN = "unknown"
"""What requests are counted under that name no command, or nothing."""

_COUNTS = ("command_counts", "command_errors", "command_error_kinds", "command_seconds")
_LAST_REPLIES_MS = 200

# Anybody who gets as far as the socket can be refused as often as they like; the journal is for everybody.
_REFUSALS_A_SECOND = 5
_REFUSALS_AT_ONCE = 100


class Controller:
    """Serve the control channel, on a listener or, without one, on an endpoint that is bound at `start`. What is done every
    `check_delay` seconds, and discovery, are the arbiter's.

    `on_command` is called with `command.started` and `command.finished` and their data, in the context of the command
    (its cause is `CURRENT`), for commands that can change something, and for all that are refused to somebody, as far as
    these are not too many.

    Attributes:
        access: who may do what; asked for each message.
        commands: the commands by name, as they were known at the start.
        command_counts: requests by command; what named no command counts as `unknown`.
        command_errors: those of them that failed.
        command_error_kinds: the same by kind of error.
        command_seconds: how long they took, work included.
    """

    def __init__(  # noqa: PLR0917 - 0.19's signature
        self,
        endpoint: str,
        multicast_endpoint: str | None,
        context: zmq.Context[zmq.Socket[bytes]],
        loop: asyncio.AbstractEventLoop,
        arbiter: ArbiterLike,
        check_delay: float = 1.0,
        endpoint_owner: str | None = None,
        *,
        listener: Listener | None = None,
        on_command: CommandObserver | None = None,
        access: Access | None = None,
    ) -> None:
        self.endpoint, self.multicast_endpoint, self.endpoint_owner = endpoint, multicast_endpoint, endpoint_owner
        self.context, self.loop, self.check_delay, self.arbiter = context, loop, check_delay, arbiter
        local_owner = endpoint_owner if self.endpoint_owner_mode else None
        self.access = made_access((), local_owner) if access is None else access
        # All of them now: one that is imported when it is asked for cannot be answered where descriptors are short.
        self.commands = get_commands()
        names = [*sorted(self.commands), UNKNOWN]
        self.command_counts, self.command_errors = dict.fromkeys(names, 0), dict.fromkeys(names, 0)
        self.command_error_kinds = {name: dict.fromkeys(COMMAND_ERRORS.values(), 0) for name in self.commands}
        self.command_error_kinds[UNKNOWN] = dict.fromkeys(REQUEST_ERRORS.values(), 0)
        self.command_seconds: dict[str, Histogram] = {name: new_histogram(COMMAND_BOUNDS) for name in self.commands}
        self._listener = listener
        self._own_listener: Listener | None = None
        self._on_command, self._drops_before = on_command, 0
        self._socket: AnsweringSocket | None = None
        self._local = self.endpoint.startswith("ipc://")
        self._jobs: set[Job] = set()
        self._answered = Answered()
        self._refusals = Allowance(_REFUSALS_A_SECOND, _REFUSALS_AT_ONCE, loop.time)

    @property
    def in_flight(self) -> int:
        """Commands whose work is not done yet."""
        return len(self._jobs)

    @property
    def drops(self) -> int:
        """Replies that could not be handed over, because the client had gone or read nothing."""
        return self._drops_before + (0 if self._socket is None else self._socket.drops)

    @property
    def started(self) -> bool:
        """Between `start` and `stop`."""
        return self._socket is not None

    @property
    def endpoint_owner_mode(self) -> bool:
        """Whether the endpoint is a unix socket that belongs to another user."""
        return self.endpoint_owner is not None and self.endpoint.startswith("ipc://")

    def start(self) -> None:
        """Begin to answer; EndpointError when there was no listener yet, and none can be had."""
        if self._listener is None:
            self._listener = self._own_listener = listen(self.endpoint, owner=self.endpoint_owner, option="endpoint")
        self.serve(self.context)

    def serve(self, context: zmq.Context[zmq.Socket[bytes]]) -> None:
        """Answer by a socket of this context; again after `suspend`."""
        assert self._listener is not None
        self.context = context
        self._answered.serve(self.loop.time())
        socket = answering_socket(context)
        try:
            self._listener.attach(socket)
        except BaseException:
            socket.close(0)
            raise
        self._socket = AnsweringSocket(socket, self._receive, loop=self.loop)

    def suspend(self) -> None:
        """Close the socket until `serve`, without an end to anything; replies that are out get a moment to leave."""
        if self._socket is not None:
            self._drops_before = self.drops
            self._socket.close(_LAST_REPLIES_MS)
            self._socket = None

    def drain(self) -> None:
        """Take all requests that are there now."""
        if self._socket is not None:
            self._socket.drain()

    def in_progress(self, but: str) -> list[str]:
        """The commands whose work is not done yet, but for those of one name."""
        return [job.command.name for job in self._jobs if job.command.name != but]

    def handed(self) -> ControlRecord:
        """What is counted and answered, to be handed over."""
        counts = {name: getattr(self, name) for name in (*_COUNTS, "drops")}
        return ControlRecord(**counts, answered=self._answered.handed())

    def take_over(self, record: ControlRecord) -> None:
        """Go on from there."""
        for name in _COUNTS:
            getattr(self, name).update(getattr(record, name))
        self._drops_before = record.drops
        self._answered.take_over(record.answered)

    def stop(self) -> None:
        """End: who waits for `quit` is told that it is done, who waits for anything else that it was cancelled."""
        for job in list(self._jobs):
            # A context cannot be entered twice; it is in use only if the command itself led here.
            with contextlib.suppress(RuntimeError):
                job.context.run(self._end, job)
            if job.task is not None:
                job.task.cancel()
        if self._socket is not None:
            self._socket.close(_LAST_REPLIES_MS)
            self._socket = None
        if self._own_listener is not None:
            self._own_listener.close()
            self._listener = self._own_listener = None

    def _end(self, job: Job) -> None:
        if job.command.name == "quit":
            self._succeed(job, None)
        else:
            self._fail(job, "cancelled: circusd is stopping", COMMAND_ERROR)

    # From frames to a job

    def _receive(self, frames: list[zmq.Frame]) -> None:
        parts = [frame.bytes for frame in frames]
        self._take(parts[:1], parts[1:], peer_of(frames[-1], local=self._local, curve=self.access.curve))

    def dispatch(self, job: tuple[bytes | None, bytes | str]) -> None:
        """Run a request as if a client had sent it: (the client, the JSON). Without a client there is no reply."""
        client, text = job
        self._take([] if client is None else [client], [text.encode() if isinstance(text, str) else text], None)

    def _take(self, route: list[bytes], parts: list[bytes], sender: Peer | None) -> None:
        try:
            route += messages.envelope(parts)
            request = messages.parse_request(messages.payload(parts))
        except BadRequest as bad:
            self._refuse(route, bad, bad.id, bad.errno, cast=bad.cast)
            return
        command = self.commands.get(request.command)
        if command is None:
            unknown = UnknownCommand(request.command)
            self._refuse(route, unknown, request.id, unknown.errno, cast=request.cast)
            return
        if sender is not None and sender.key is not None:
            sender = replace(sender, name=self.access.named(sender))
        job = Job(command, request, route, cause_of(command, request, sender), self.loop.time())
        refused = None if sender is None else self._not_permitted(sender, command, request)
        if refused is None and (settled := self._answered.settled(job, self._jobs)) is not None:
            self._send(route, settled)
            return
        self._jobs.add(job)
        if refused is not None:
            job.recorded = self._refusals.take(1)
            if job.recorded:
                logger.warning("%s", refused)
        job.context.run(self._execute, job, refused)

    def _not_permitted(self, sender: Peer, command: Command, request: Request) -> NotPermitted | None:
        needed = command.role_for(request.properties)
        groups: Groups = partial(groups_of, sender.pid, sender.uid)
        role = self.access.role(sender, groups)
        return None if suffices(role, needed) else NotPermitted(refusal(command.name, sender, role, needed))

    def _refuse(self, route: list[bytes], error: CircusError, request_id: Any, errno: int, *, cast: bool) -> None:
        self.command_counts[UNKNOWN] += 1
        self._count_error(UNKNOWN, REQUEST_ERRORS[errno])
        logger.debug("refused a request: %s", error)
        if not cast:
            self._send(route, messages.error_reply(str(error), errno, request_id, time.time()))

    # From a job to its end; all of it runs in the context of the job

    def _execute(self, job: Job, refused: CircusError | None) -> None:
        result: Any = None
        try:
            self._observe("command.started", job)
            if refused is None:
                job.command.validate(job.request.properties)
                # Who waits is told what of it is overtaken, and of which watcher.
                if self.arbiter.quitting and job.command.overtaken_by_quit and not job.waits:
                    refused = Overtaken(f"cancelled: quit overtook {job.command.name}")
            if refused is None:
                result = job.command.execute(self.arbiter, job.request.properties)
        except Exception as error:  # the dispatcher's catch-all: whatever a command raises is its answer
            self._fail_with(job, error)  # kept in no variable: it and this frame, and so the request, would stay
            return
        if refused is not None:
            self._fail_with(job, refused)
            return
        if not isinstance(result, Awaitable):
            self._succeed(job, result)
            return
        if not job.waits:
            self._reply(job, result.told if isinstance(result, Begun) else None)
        job.task = self.loop.create_task(self._finish(job, result), context=job.context)

    async def _finish(self, job: Job, work: Awaitable[Any]) -> None:
        try:
            result = await work
        except asyncio.CancelledError:
            if job not in self._jobs:  # by `stop`, which has answered
                raise
            self._fail(job, f"cancelled: {job.command.name} was given up", COMMAND_ERROR)
        except Overtaken as error:
            self._fail(job, str(error), COMMAND_ERROR)
        except Exception as error:  # the dispatcher's catch-all, for work that takes time
            if job.command.always_waits:
                self._fail_with(job, error)
            else:
                story = None if isinstance(error, CircusError) else error  # the sentence of ours says it all
                logger.error("command %r failed: %s", job.command.name, text_of(error), exc_info=story)  # noqa: TRY400 - no stack for a sentence
                self._fail(job, text_of(error), BAD_MSG_DATA_ERROR, warnings_of(error))
        else:
            self._succeed(job, result)

    def _fail_with(self, job: Job, error: Exception) -> None:
        if not isinstance(error, OSError | CircusError):
            logger.error("command %r failed", job.command.name, exc_info=error)
        self._fail(job, text_of(error), errno_of(error), warnings_of(error))

    def _fail(self, job: Job, reason: str, errno: int, warnings: Sequence[str] = ()) -> None:
        if not job.replied:
            self._answer(job, messages.error_reply(reason, errno, job.request.id, time.time(), warnings))
        self._done(job, errno, reason)

    def _succeed(self, job: Job, result: Any) -> None:
        problem = self._reply(job, result)
        self._done(job, None if problem is None else COMMAND_ERROR, problem)

    def _reply(self, job: Job, result: Any) -> str | None:
        """Send the reply unless one was sent; the sentence of the error when the result has no form on the wire."""
        if job.replied:
            return None
        try:
            problem, body = None, messages.ok_reply(result, job.request.id, time.time())
        except ValueError as error:
            problem = str(error)
            logger.error("command %r: %s", job.command.name, problem)  # noqa: TRY400 - the sentence is the story
            body = messages.error_reply(problem, COMMAND_ERROR, job.request.id, time.time())
        self._answer(job, body)
        return problem

    def _answer(self, job: Job, body: bytes) -> None:
        job.replied = True
        self._answered.keep(job, body, self.loop.time())
        self._send(job.route, body)

    def _done(self, job: Job, errno: int | None, reason: str | None) -> None:
        self._jobs.discard(job)
        name, seconds = job.command.name, self.loop.time() - job.started
        self.command_counts[name] += 1
        if errno is not None:
            self._count_error(name, COMMAND_ERRORS.get(errno, "command"))
        observe(self.command_seconds[name], seconds, trace_of(TRACEPARENT.get()), time.time())
        try:
            told = None if reason is None else messages.shortened(reason)
            self._observe("command.finished", job, seconds=seconds, ok=errno is None, errno=errno, reason=told)
        except Exception:  # the reply is out; what keeps the books must not take the loop with it
            logger.exception("cannot record the end of command %r", name)

    def _count_error(self, name: str, kind: str) -> None:
        self.command_errors[name] += 1
        self.command_error_kinds[name][kind] += 1

    def _observe(self, record: str, job: Job, **ending: Any) -> None:
        if self._on_command is None or not job.recorded:
            return
        if ending:
            ending["queue_seconds"] = max(job.waited, default=None)
        self._on_command(record, job.told() | ending)

    def _send(self, route: list[bytes], body: bytes) -> None:
        if route and body and self._socket is not None and not self._socket.send([*route, body]):
            logger.debug("a client did not wait for its reply")
