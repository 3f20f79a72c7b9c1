"""The three doors of the daemon: control, events and stats, bound before anything is started.

Decides which addresses are used (asked for, default, `auto`) and owns the zmq context. Invariant: an endpoint that
somebody asked for is bound or the start fails; a default one of the stats channel may be replaced by a socket of ours.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

import zmq
from msgspec.structs import replace

from circus.config.access import EXPOSED
from circus.config.platform import reaches_network
from circus.core.access import Access, Rule
from circus.exc import EndpointError, EndpointInUse
from circus.handover import ChannelsRecord
from circus.keys import Keys, Pair, read_pair
from circus.runtime.doorkeeper import Doorkeeper
from circus.runtime.listener import Listener, listen
from circus.runtime.peers import access
from circus.runtime.private_directory import private_directory, remove_private_directory
from circus.spec.arbiter import ArbiterSpec
from circus.wire.endpoints import auto_endpoints

if TYPE_CHECKING:
    from circus.runtime.curve import Authenticator

logger = logging.getLogger("circus")

AUTO = "auto"
OWN_PROGRAMS = "circusd"
OPTIONS = ("endpoint", "pubsub_endpoint", "stats_endpoint")


def mode_of(spec: ArbiterSpec) -> int:
    """The mode of unix sockets: for their owner alone, or what was asked for."""
    if spec.endpoint_mode is not None:
        return spec.endpoint_mode
    return 0o600 if spec.endpoint_group is None else 0o660


class Channels:
    """Listeners and context of one arbiter.

    Args:
        spec: which addresses were configured, and which of them somebody wrote.
        environ: for the place of automatic addresses.
        context: a zmq context that is somebody else's, to use instead of one of ours.

    Attributes:
        keys: with which the programs of our own, plugins and exporters, are let in; None where nobody asks for keys.
    """

    def __init__(
        self, spec: ArbiterSpec, environ: Mapping[str, str], context: zmq.Context[zmq.Socket[bytes]] | None = None
    ) -> None:
        self._spec, self._environ, self._own_context = spec, environ, context is None
        self._listeners: dict[str, Listener] = {}
        self._lost: set[str] = set()
        self._directory: str | None = None
        self._authenticator: Authenticator | None = None
        self._doorkeeper: Doorkeeper | None = None
        self.keys: Keys | None = None
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context() if context is None else context

    def __getitem__(self, option: str) -> Listener:
        return self._listeners[option]

    def bind(self, handed: ChannelsRecord | None = None) -> None:
        """Listen on all three: on sockets that were handed over, if there are.

        Raises:
            EndpointError: an address cannot be had; what was bound before is closed again.
        """
        try:
            if self._spec.curve_secret_key_file is not None:
                self._ask_for_keys(self._spec.curve_secret_key_file, handed)
            if handed is not None:
                self._directory = handed.directory
                for record in handed.listeners:
                    self._listeners[record.option] = self._guarded(Listener.taken_over(record))
                return
            for option in OPTIONS:
                self._listeners[option] = self._bind(option, getattr(self._spec, option))
        except BaseException:
            self.close()
            raise

    def _bind(self, option: str, endpoint: str) -> Listener:
        if endpoint == AUTO:
            endpoint = self._automatic(option)
        else:
            self._look_at(option, endpoint)
        if option == "stats_endpoint" and option not in self._spec.asked:
            try:
                return self._listen(option, endpoint)
            except EndpointInUse as error:
                endpoint = self._automatic(option, apart=str(os.getpid()))
                logger.warning("%s; the stats channel is at %s instead", error, endpoint)
        return self._listen(option, endpoint)

    def handed(self) -> ChannelsRecord:
        """All of it, to be handed over."""
        keys, guard = self.keys, self._authenticator
        return ChannelsRecord(
            listeners=[listener.handed(option) for option, listener in self._listeners.items()],
            directory=self._directory,
            keys=None if keys is None or guard is None else (*guard.pair, keys.public, keys.secret),
        )

    def suspend(self) -> None:
        """Let libzmq go, with its threads; the sockets are listened on as before, and who connects waits."""
        if self._doorkeeper is not None:
            self._doorkeeper.close()
        if self._authenticator is not None:
            self._authenticator.close()
        self.context.destroy(linger=0)

    def resume(self) -> None:
        """The opposite: a new context, in which sockets can be attached to the listeners again."""
        self.context = zmq.Context()
        if self._authenticator is not None:
            self._authenticator.serve(self.context)

    def _ask_for_keys(self, path: str, handed: ChannelsRecord | None) -> None:
        from circus.runtime.curve import Authenticator, checked  # only where it is wanted

        if handed is not None and handed.keys is not None:
            pair, own = Pair(*handed.keys[:2]), Pair(*handed.keys[2:])
        else:
            pair, own = checked(read_pair(path), path), Pair(*(key.decode() for key in zmq.curve_keypair()))
        self._authenticator = Authenticator(self.context, asyncio.get_running_loop(), pair, access(()))
        self.keys = Keys(pair.public, own.public, own.secret)

    def access(self, spec: ArbiterSpec) -> Access:
        """Who may do what by this configuration; from now on also who may connect.

        Raises:
            EndpointError: a user or group is not there.
        """
        local = self["endpoint"].path is not None or self["endpoint"].endpoint.startswith("ipc://")
        rules = access(
            spec.access, spec.endpoint_owner if local else None, curve=self._authenticator is not None and not local
        )
        if self._authenticator is not None and self.keys is not None:
            ours = Rule(name=OWN_PROGRAMS, role="admin", keys=frozenset({self.keys.public}))
            self._authenticator.access = rules = replace(rules, rules=(*rules.rules, ours))
        return rules

    def _listen(self, option: str, endpoint: str) -> Listener:
        listener = self._made(option, endpoint)
        if endpoint.startswith("tcp://") and endpoint.endswith((":0", ":*")):
            logger.info("%s = %s: the port that was taken makes it %s", option, endpoint, listener.endpoint)
        return self._guarded(listener)

    def _guarded(self, listener: Listener) -> Listener:
        if self._authenticator is not None and listener.endpoint.startswith("tcp://"):
            listener.guard = self._authenticator.guard
        if listener.path is not None:
            if self._doorkeeper is None:
                self._doorkeeper = Doorkeeper(asyncio.get_running_loop())
            listener.watched = self._doorkeeper.watch
        return listener

    def _made(self, option: str, endpoint: str) -> Listener:
        spec = self._spec
        return listen(endpoint, mode=mode_of(spec), owner=spec.endpoint_owner, group=spec.endpoint_group, option=option)

    def restore(self) -> None:
        """Bind unix sockets anew that somebody has removed, as happens to a runtime directory when its user logs out."""
        for option, listener in self._listeners.items():
            if not listener.is_lost:
                continue
            try:
                if self._directory is not None:
                    self._make_private(self._directory)
                listener.replace(self._made(option, listener.endpoint))
            except EndpointError as error:
                level = logging.DEBUG if option in self._lost else logging.ERROR
                self._lost.add(option)
                logger.log(level, "%s was removed, and cannot be bound anew: %s", listener.endpoint, error)
            else:
                self._lost.discard(option)
                logger.warning("%s was removed by somebody, and is there again", listener.endpoint)

    def _look_at(self, option: str, endpoint: str) -> None:
        """Refuse to take commands from the network unless told to; warn about what others can reach besides us."""
        if self._authenticator is not None:
            return
        if option != "endpoint":
            if reaches_network(endpoint):
                logger.warning("%s = %s: others than this machine can listen to it", option, endpoint)
        elif reaches_network(endpoint):
            if not self._spec.allow_insecure:
                raise EndpointError(f"{option} = {endpoint}: {EXPOSED}")
            logger.warning(
                "%s = %s: everybody who reaches it can give commands as uid %d", option, endpoint, os.geteuid()
            )
        elif endpoint.startswith("tcp://"):
            logger.warning(
                "%s = %s: everybody on this machine can give commands as uid %d; endpoint = auto is for that user alone",
                option,
                endpoint,
                os.geteuid(),
            )

    def _automatic(self, option: str, apart: str = "") -> str:
        # A program without a configuration file is told apart by its pid.
        file = os.path.abspath(self._spec.config_file or f"/arbiter-{os.getpid()}.py")
        endpoint = auto_endpoints(file, self._environ, os.geteuid())[option]
        if apart:
            stem, _, name = endpoint.rpartition("/")
            endpoint = f"{stem}/{apart}-{name}"
        self._directory = endpoint.removeprefix("ipc://").rpartition("/")[0]
        self._make_private(self._directory)
        return endpoint

    def _make_private(self, directory: str) -> None:
        private_directory(
            directory, passable=self._spec.endpoint_owner is not None or bool(mode_of(self._spec) & 0o077)
        )

    def close(self) -> None:
        """Stop listening and remove what was made."""
        if self._doorkeeper is not None:
            self._doorkeeper.close()
            self._doorkeeper = None
        for listener in self._listeners.values():
            listener.close()
        self._listeners.clear()
        if self._directory is not None:
            remove_private_directory(self._directory)
            self._directory = None
        if self._authenticator is not None:
            self._authenticator.close()
            self._authenticator = None
        if self._own_context:
            self.context.destroy(linger=0)
