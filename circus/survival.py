"""What survived the circusd before, and what of this one is to survive.

Puts the state file, its lock and the ledger together for one arbiter. Invariants: where every policy is `ignore` no
directory is made and no file looked at; where the machine cannot do what a policy asks for, one line says so and the
policy is `ignore`; what was found of the one before is recovered before anything else is opened.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping

from circus.channels import mode_of
from circus.exc import CircusError
from circus.handover import LedgerRecord
from circus.ledger import Ledger, policy_of
from circus.orphans.taking import Found
from circus.population import watcher_specs
from circus.runtime import identity
from circus.runtime.private_directory import private_directory, remove_private_directory
from circus.runtime.statefile import StateFile
from circus.sockets import CircusSockets
from circus.spec.arbiter import ArbiterSpec
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
        self, spec: Callable[[], ArbiterSpec], environ: Mapping[str, str], boot: str, sockets: CircusSockets
    ) -> None:
        self._spec, self._environ, self._sockets = spec, environ, sockets
        self._directory: str | None = None
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
        wanted = {policy_of(each, spec.orphans) for each in specs} - {"ignore"}
        if not wanted:
            return
        why = self._unable()
        if why is not None:
            logger.error("orphans = %s: %s; workers that outlive circusd are left alone", max(wanted), why)
            self.ledger.give_up()
            return
        from circus.orphans.claiming import Alive, claim  # only where somebody asks for it
        from circus.orphans.recovery import recover

        try:
            file = await claim(self._path(), self._open)
        except Alive:
            raise
        except CircusError as error:
            logger.error("orphans: %s; workers are not remembered, and those of a circusd before are left alone", error)  # noqa: TRY400 - a fact
            self.ledger.give_up()
            return
        try:
            self.found = await recover(
                file,
                specs={each.name: each for each in specs},
                policy=self.ledger.policy,
                sockets=[each.name for each in spec.sockets if not each.so_reuseport],
                fits=lambda _name, _fd: None,
            )
        except BaseException:
            file.close(remove=False)
            raise
        self.ledger.hold(file)

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
            passable = spec.endpoint_owner is not None or bool(mode_of(spec) & 0o077)
            private_directory(self._directory, passable=passable)
        return StateFile.claim(path)

    def _inodes(self) -> dict[str, int]:
        # With so_reuseport each process has a socket of its own, and ours is none.
        return {name: os.fstat(sock.fileno()).st_ino for name, sock in self._sockets.items() if not sock.so_reuseport}

    def close(self) -> None:
        """Let go of the file, which stays where processes live on."""
        self.found.close()
        self.ledger.close()
        if self._directory is not None:
            remove_private_directory(self._directory)
            self._directory = None
