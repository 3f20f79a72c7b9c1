"""What survived the circusd before, and what of this one is to survive.

Puts the state file, its lock and the ledger together for one arbiter. Invariants: where every policy is `ignore` no
directory is made and no file looked at; where the machine cannot do what a policy asks for, one line says so and the
policy is `ignore`; what was found of the one before is recovered before anything else is opened.
"""

from __future__ import annotations

import errno
import logging
import os
import socket
from collections.abc import Callable, Iterable, Mapping

from msgspec.structs import replace

from circus.channels import mode_of
from circus.exc import CircusError, SocketError
from circus.handover import LedgerRecord, SocketRecord
from circus.ledger import Ledger, policy_of
from circus.orphans.taking import Found, Taken
from circus.population import watcher_specs
from circus.runtime import identity
from circus.runtime.private_directory import private_directory, remove_private_directory
from circus.runtime.statefile import StateFile
from circus.sockets import CircusSocket, CircusSockets
from circus.spec.arbiter import ArbiterSpec
from circus.spec.sockets import SocketSpec
from circus.wire import endpoints

logger = logging.getLogger("circus")


class Survival:
    """For one arbiter.

    Args:
        spec: the configuration in force.
        environ: for the place of the state file.
        boot: of the arbiter.
        sockets: all that it owns.

    Attributes:
        found: what was found of the one before, to be taken.
        ledger: takes notes for the next one.
    """

    def __init__(
        self,
        spec: Callable[[], ArbiterSpec],
        environ: Mapping[str, str],
        boot: Callable[[], str],
        sockets: CircusSockets,
    ) -> None:
        self._spec, self._environ, self._sockets = spec, environ, sockets
        self._directory: str | None = None
        self._kept: StateFile | None = None
        self.found = Found()
        self.ledger = Ledger(
            boot=boot,
            config=spec().config_file or "",
            default=lambda: spec().orphans,
            sockets=self._inodes,
            open_file=self._open,
        )

    async def recover(self) -> None:
        """Find what the one before has left, and end those that shall not be taken over.

        Raises:
            CircusError: another circusd with this configuration lives.
        """
        spec = self._spec()
        specs = watcher_specs(
            spec, endpoint=spec.endpoint, pubsub_endpoint=spec.pubsub_endpoint, stats_endpoint=spec.stats_endpoint
        )
        wanted = {spec.orphans, *(policy_of(each, spec.orphans) for each in specs)} - {"ignore"}
        if not wanted and not self._is_there():
            return
        why = self._unable()
        if why is not None:
            logger.error("orphans = %s: %s; workers that outlive circusd are left alone", min(wanted, default=""), why)
            self.ledger.give_up()
            return
        from circus.orphans.claiming import Alive, claim  # only where somebody asks for it
        from circus.orphans.recovery import recover

        try:
            file = await claim(self._path(), self._open)
        except Alive:
            if wanted:
                raise
            return
        except CircusError as error:
            logger.error("orphans: %s; workers are not remembered, and those of a circusd before are left alone", error)  # noqa: TRY400 - a fact
            self.ledger.give_up()
            return
        try:
            self.found = await recover(
                file,
                config=spec.config_file or "",
                specs={each.name: each for each in specs},
                policy=self.ledger.policy,
                sockets=spec.sockets,
            )
        except BaseException:
            file.close(remove=False)
            raise
        if wanted:
            self._hold(file)
        else:
            self._kept = file

    def bind(self, sockets: CircusSockets) -> None:
        """Bind them; a SocketError says who is in the way, if it is somebody who was left alone."""
        for name, sock in sockets.items():
            try:
                if not sock.so_reuseport:
                    sock.bind_and_listen()
            except SocketError as error:
                who = self.found.in_the_way.get(name)
                if who is None or error.os_errno != errno.EADDRINUSE:
                    raise
                raise SocketError(f"{error}: {who}", error.os_errno) from error

    def settle(self) -> None:
        """Everything is open: who was left alone is nobody's business any more, and a file that nobody wants is not kept."""
        for survivor in self.found.spared:
            self.ledger.forget(survivor.worker.pid)
        self.found.spared.clear()
        self.found.in_the_way.clear()
        if self._kept is not None:
            self._kept.close(remove=True)
            self._kept = None

    def take_sockets(self, specs: Iterable[SocketSpec]) -> dict[str, CircusSocket]:
        """The sockets that workers have kept, by name; they are ours from now on."""
        taken: dict[str, CircusSocket] = {}
        for spec in specs if self.found.sockets else ():
            fd = self.found.sockets.pop(spec.name, None)
            if fd is not None:
                taken[spec.name] = _socket(spec, fd)
        return taken

    def take_workers(self) -> dict[str, list[Taken]]:
        """Those that are to be taken over, by the names of their watchers; they are the caller's from now on."""
        by_name: dict[str, list[Taken]] = {}
        for taken in self.found.taken:
            by_name.setdefault(taken.survivor.recipe.watcher, []).append(taken)
        self.found.taken.clear()
        return by_name

    async def end(self, taken: Taken) -> None:
        """End one that could not be taken over after all."""
        from circus.orphans.recovery import end_after_all

        await end_after_all(taken)
        self.ledger.discard(taken.survivor.worker.pid)

    def _hold(self, file: StateFile) -> None:
        """In one step from the notes of the one before to ours, so that no worker is in neither. Those who were left alone
        are in them until everything is open: the next one may be told otherwise if this one does not get there.
        """
        found = self.found
        noted = [
            (replace(each.worker, boot=each.worker.boot or found.boot), each.recipe)
            for each in (*(taken.survivor for taken in found.taken), *found.spared)
        ]
        theirs = {name for each in found.spared for name in each.recipe.sockets} & found.inodes.keys()
        inodes = {name: found.inodes[name] for name in theirs}
        self.ledger.hold(file, noted, inodes | {name: os.fstat(fd).st_ino for name, fd in found.sockets.items()})

    def handed(self) -> LedgerRecord | None:
        """What is noted, to be handed over."""
        return self.ledger.handed()

    def take_over(self, record: LedgerRecord | None) -> None:
        """Go on with the notes of the program before us, which was the same daemon."""
        if record is None:
            return
        if self._spec().state_file is None:
            self._directory = os.path.dirname(record.path)
        self.ledger.take_over(record)

    def _unable(self) -> str | None:
        if self._spec().config_file is None and self._spec().state_file is None:
            return "there is no configuration file by which a later circusd would find them; a state_file would do"
        return identity.usable()

    def _is_there(self) -> bool:
        """Whether there is a file, of a time when somebody wanted something else than `ignore`."""
        try:
            return os.path.exists(self._path())
        except CircusError:
            return False

    def _path(self) -> str:
        spec = self._spec()
        if spec.state_file is not None:
            return spec.state_file
        if spec.config_file is None:
            raise CircusError("there is neither a configuration file nor a state_file")
        return endpoints.state_file(spec.config_file, self._environ, os.geteuid())

    def _open(self) -> StateFile:
        spec, path = self._spec(), self._path()
        if spec.state_file is None:
            self._directory = os.path.dirname(path)
            self._make_directory(self._directory)
        return StateFile.claim(path)

    def restore(self) -> None:
        """See to it that the state file is where it belongs."""
        try:
            if self._directory is not None:
                self._make_directory(self._directory)
        except CircusError as error:
            logger.debug("orphans: %s", error)
        else:
            self.ledger.restore()

    def _make_directory(self, path: str) -> None:
        spec = self._spec()
        private_directory(path, passable=spec.endpoint_owner is not None or bool(mode_of(spec) & 0o077))

    def _inodes(self) -> dict[str, int]:
        return {
            name: 0 if sock.so_reuseport else os.fstat(sock.fileno()).st_ino for name, sock in self._sockets.items()
        }

    def close(self) -> None:
        """Let go of the file, which stays where processes live on."""
        self.found.close()
        self.ledger.close()
        if self._kept is not None:
            self._kept.close(remove=False)
            self._kept = None
        if self._directory is not None:
            remove_private_directory(self._directory)
            self._directory = None


def _socket(spec: SocketSpec, fd: int) -> CircusSocket:
    with socket.socket(fileno=os.dup(fd)) as there:
        address = there.getsockname()
    host, port = ("", 0) if spec.path is not None else address[:2]
    bound = None
    if spec.path is not None:
        status = os.lstat(spec.path)
        bound = status.st_dev, status.st_ino
    taken = CircusSocket.taken_over(spec, SocketRecord(name=spec.name, fd=fd, host=host, port=port, bound=bound))
    # Whether it blocks is the same for all who have it, and a worker may have chosen: only the queue is as it shall be now.
    if taken.type in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET):
        taken.listen(spec.backlog)
    return taken
