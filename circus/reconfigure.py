"""What there is, changed while the daemon runs: one watcher more or less, or a configuration that was read again.

What a configuration changes is decided in `planning`; what happens inside a watcher is the watcher's. Invariants: a name
is free again when its watcher is gone with all that it had, never before; a configuration that cannot be had is refused
before anything is touched.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec

from circus.commands.values import shortfalls
from circus.core.origin import Origin
from circus.events.cause import cause_of, current_origin
from circus.exc import AlreadyExist, CircusError, ConfigError, Mistake, Overtaken
from circus.fleet import Forgotten
from circus.jobs import Begun
from circus.logs import LOG_LEVELS
from circus.returning import Returning
from circus.rules import configured_by
from circus.spec.arbiter import ArbiterSpec
from circus.spec.diff import Change, watcher_changes
from circus.spec.fields import Effect
from circus.spec.watcher import WatcherSpec
from circus.watcher import Watcher
from circus.wire.changes import told_changes, told_sections

if TYPE_CHECKING:
    from circus.planning import Plan, Step
    from circus.ports import WatcherLike
    from circus.rebinding import Rebinding

logger = logging.getLogger("circus")


class Reconfiguration(Returning):
    """An assembly whose watchers come and go."""

    # -- one watcher ------------------------------------------------------------------------------------------------

    def add(self, spec: WatcherSpec, *, start: bool = False) -> Awaitable[dict[str, Any] | None]:
        """Add a watcher, and start it if told so; answers with the pids `started` and `kept` then, and with `failed`, by
        its name why, when it did not come up.

        Raises:
            AlreadyExist: at once; there is one of that name, compared without case.
            CircusError: at once, when it cannot be had.
        """
        there = self.fleet.find(spec.name)
        if there is None:
            return _started(self.take_in(Watcher.from_spec(spec)), start=start)
        if there.retired is None:
            raise AlreadyExist(f"{spec.name!r} already exist")
        return self._add_later(there, spec, start=start)

    async def _add_later(self, there: Watcher, spec: WatcherSpec, *, start: bool) -> dict[str, Any] | None:
        await self.fleet.gone(there)
        return await self.add(spec, start=start)

    def take_in(self, watcher: Watcher) -> Watcher:
        """Have a watcher that was made; its name is free.

        Raises:
            CircusError: it cannot be had.
        """
        self._attach(watcher)
        self._admit(watcher)
        watcher.notify_event("add", {})
        return watcher

    def _attach(self, watcher: Watcher) -> None:
        try:
            watcher.attach(self._services)
            watcher.prepare(watcher.spec)
        except Exception as error:  # streams and hooks are other people's code; whatever it was, the answer says so
            watcher.close()
            if self.fleet.find(watcher.name) is None:
                self.bus.forget(watcher.name)
            raise error if isinstance(error, CircusError) else CircusError(f"{watcher.name}: {error}") from error

    def _admit(self, watcher: Watcher) -> None:
        self.fleet.add(watcher)
        nothing = WatcherSpec(name=watcher.name)
        self._told("watcher.added", watcher, options=told_changes(watcher_changes(nothing, watcher.spec)))

    def remove(self, watcher: WatcherLike, *, stop: bool = True) -> Awaitable[None]:
        """Forget a watcher: when it is stopped, or at once with its processes left to themselves."""
        found = self.fleet.get(watcher.name)
        found.notify_event("remove", {})
        return self._removed(found, self.fleet.remove(found, "rm", stop=stop), stop=stop)

    async def _removed(self, watcher: Watcher, work: Awaitable[Forgotten], *, stop: bool) -> None:
        found, failed = await work
        if not found:
            return
        nothing = WatcherSpec(name=watcher.name)
        options = told_changes(watcher_changes(watcher.spec, nothing))
        self._told("watcher.removed", watcher, stopped=stop, options=options)
        self.bus.forget(watcher.name)
        if failed is not None:
            raise failed

    def _told(self, record: str, watcher: Watcher, origin: Origin | None = None, **data: Any) -> None:
        origin = origin or current_origin()
        _, origin.trace = self.bus.record(record, watcher.name, cause_of(origin), data, trace=origin.trace)

    # -- a configuration --------------------------------------------------------------------------------------------

    def plan(self) -> dict[str, Any]:
        """What `reload_from_config` would do now; nothing is done.

        Raises:
            ConfigError: the file has mistakes.
        """
        found = self._planned(self._load())
        return {**found.told(), "refused": list(found.refusals), "by_hand": told_sections(found.by_hand)}

    def reload_from_config(
        self,
        config_file: str | None = None,
        inside_circusd: bool = False,  # noqa: ARG002 - 0.19's signature
    ) -> Awaitable[dict[str, Any]]:
        """Read the configuration file again and change what differs; answers with the changes and warnings.

        Raises:
            ConfigError: at once, for a file with mistakes; nothing has changed then.
            CircusError: at once or later, it cannot be had; nothing has changed then. Or what it changed did not start.
            Overtaken: by a quit.
        """
        began = self.clock.monotonic()
        spec = self._read(began, config_file)
        found = self._planned(spec)
        self._check(found, began)
        return Begun(self._reconfigure(spec, began), {"warnings": found.warnings()})

    def _read(self, began: float, config_file: str | None = None) -> ArbiterSpec:
        """The configuration as it is in the file now; a refusal is recorded."""
        try:
            return self._load(config_file)
        except CircusError as error:
            mistakes = error.mistakes if isinstance(error, ConfigError) else (error,)
            self._refuse(None, began, [str(mistake) for mistake in mistakes])
            raise

    def _load(self, config_file: str | None = None) -> ArbiterSpec:
        path = config_file or self.spec.config_file
        if path is None:
            raise CircusError("there is no configuration file that could be read again")
        from circus.config.build import load

        return load(path, anew=True)

    def _planned(self, spec: ArbiterSpec) -> Plan:
        from circus.planning import plan  # most daemons live without a change

        running = [
            replace(watcher.lifecycle.coming_spec, numprocesses=watcher.numprocesses)
            for watcher in self.fleet
            if watcher.retired is None
        ]
        return plan(running, self.spec, spec, self._population)

    def _check(self, found: Plan, began: float) -> None:
        if found.refusals:
            self._refuse(found.spec.config_hash, began, found.refusals)
            raise _wrong(found.refusals, found)

    def _refuse(self, config_hash: str | None, began: float, errors: Sequence[str]) -> None:
        self.refused = self.clock.time()
        for error in errors:
            logger.error("the configuration is refused: %s", error)
        self._tell("config.refused", current_origin(), hash=config_hash, errors=list(errors),
                   seconds=self.clock.monotonic() - began)  # fmt: skip

    def _accept(self, began: float, changes: Sequence[Change], errors: Sequence[str] = ()) -> None:
        logger.info("the configuration was read again, sections that changed: %d", len(changes))
        self._tell("config.applied", current_origin(), hash=self.spec.config_hash,
                   changes=told_sections(changes, options=False), errors=list(errors),
                   seconds=self.clock.monotonic() - began)  # fmt: skip

    async def _reconfigure(self, spec: ArbiterSpec, began: float) -> dict[str, Any]:
        from circus.rebinding import Rebinding

        async with self.fleet.turn(self.fleet.exclusive):
            if self.fleet.quitting:
                raise Overtaken("cancelled: quit overtook reloadconfig")
            before, found = self.spec, self._planned(spec)
            self._check(found, began)
            rebinding = Rebinding(self.sockets, before.sockets, spec.sockets)
            try:
                rebinding.begin(found.sockets)
                fresh, found = self._made_ready(found)
            except Exception as error:  # whatever it was, everything goes on as it did
                rebinding.undo()
                self._refuse(spec.config_hash, began, str(error).split("\n"))
                raise
            self._exchange(rebinding)
            self._put_in_force(found.spec)
            self._make_room(self._population(found.spec))
            for mistake in spec.warnings:
                if mistake not in before.warnings:
                    logger.warning("%s", mistake)
            errors, concerned = await self._carry_out(found.steps, fresh)
            self._accept(began, found.sections(), errors)
            if self.fleet.quitting:
                raise Overtaken("cancelled: quit overtook reloadconfig")
            if errors:
                raise _wrong(errors, found)
            return found.told() | shortfalls(*concerned)

    def _made_ready(self, found: Plan) -> tuple[list[Watcher], Plan]:
        """The watchers to come, made; those that were left out before and cannot be had yet are left out again."""
        fresh: list[Watcher] = []
        errors: list[str] = []
        before = {mistake.section for mistake in self.spec.omitted}
        for step in found.steps:
            try:
                if step.action == "changed" and step.after is not None:
                    self.fleet.get(step.name).prepare(step.after, _hooks_of(step))
                elif step.action == "added" and step.after is not None and self.fleet.find(step.name) is None:
                    watcher = Watcher.from_spec(step.after)
                    self._attach(watcher)
                    fresh.append(watcher)
            except CircusError as error:
                mistake = Mistake(found.spec.config_file, None, f"watcher:{step.name}", None, None, str(error))
                if step.action == "added" and mistake.section in before:
                    logger.error("left out: %s", mistake)  # noqa: TRY400 -- the sentence says it all
                    steps = tuple(each for each in found.steps if each is not step)
                    spec = replace(found.spec, omitted=(*found.spec.omitted, mistake))
                    found = msgspec.structs.replace(found, steps=steps, spec=spec)
                else:
                    errors.append(str(mistake))
        if errors:
            for watcher in fresh:
                watcher.close()
                self.bus.forget(watcher.name)
            raise CircusError("\n".join(errors))
        return fresh, found

    def _exchange(self, rebinding: Rebinding) -> None:
        waiting = [watcher for watcher in self.fleet if watcher in self._gate.waiting]
        for watcher in waiting:
            self._watch_sockets(watcher, False)
        rebinding.commit()
        for watcher in waiting:
            self._watch_sockets(watcher, True)

    def _put_in_force(self, spec: ArbiterSpec) -> None:
        before, self.spec, self.applied, self.refused = self.spec, spec, self.clock.time(), None
        self.fleet.warmup_delay = spec.warmup_delay
        self._sampler.slow_interval = spec.slow_interval
        self.bus.journal.resize(spec.journal_size)
        self.alerting.reconfigured(configured_by(before))
        if spec.sample_interval != before.sample_interval:
            self._stats.change_interval(spec.sample_interval)
        if spec.loglevel != before.loglevel and self._main and spec.loggerconfig in (None, "default"):
            logging.getLogger().setLevel(LOG_LEVELS.get((spec.loglevel or "info").lower(), logging.INFO))
        if spec.access != before.access:
            self._controller.access = self._channels.access(spec)
        if spec.check_delay != before.check_delay:
            self.check_delay = spec.check_delay
            if self._sweep is not None:
                self._sweep.cancel()
            self._sweep_again()

    async def _carry_out(self, steps: Sequence[Step], fresh: Sequence[Watcher]) -> tuple[list[str], list[Watcher]]:
        """Do it, watcher by watcher; what did not go well is told in the end, and keeps nothing else from being done.

        Answers with that, and with the watchers whose processes should be there now.
        """
        errors: list[str] = []
        changed = [step for step in steps if step.action == "changed"]
        changed.sort(key=lambda step: -step.priority)
        removed = [self.fleet.find(step.name) for step in steps if step.action == "removed"]
        gone = [watcher for watcher in removed if watcher is not None]
        for watcher in fresh:
            self._admit(watcher)
        begun = [self._removed(each, self.fleet.remove(each, "reloadconfig", stop=True), stop=True) for each in gone]
        begun += [self._change(step) for step in changed if step.effect < Effect.SIGNAL]
        for work in [asyncio.create_task(each) for each in begun]:
            await _outcome(work, errors)
        for step in changed:
            if step.effect >= Effect.SIGNAL:
                await _outcome(self._change(step), errors)
        made = {watcher.name for watcher in fresh}
        late = [await self._late(step, errors) for step in steps if step.action == "added" and step.name not in made]
        came = [watcher for watcher in (*fresh, *late) if watcher is not None and watcher.autostart]
        await _outcome(self.fleet.start(came), errors)
        replaced = [self.fleet.find(step.name) for step in changed if step.effect >= Effect.SIGNAL]
        return errors, [*came, *(watcher for watcher in replaced if watcher is not None)]

    async def _change(self, step: Step) -> None:
        """What differs between the two, put upon what is in force now: somebody may have used `set` meanwhile."""
        from circus.planning import merged

        watcher = self.fleet.find(step.name)
        if watcher is not None and step.before is not None and step.after is not None:
            spec = merged(watcher.lifecycle.coming_spec, step.before, step.after)
            given_up = watcher.lifecycle.public_state == "fatal"
            await watcher.change(spec, name="reloadconfig", target=step.target, replacing=step.replacing)
            if given_up and step.effect >= Effect.SIGNAL and watcher.autostart:
                await watcher.start()  # with what was wrong perhaps put right

    async def _late(self, step: Step, errors: list[str]) -> Watcher | None:
        """A watcher whose name was taken when the others were made, by one that was on its way out."""
        assert step.after is not None  # it was added
        while (there := self.fleet.find(step.name)) is not None and there.retired is not None:
            await self.fleet.gone(there)
        try:
            if there is not None:  # somebody was faster with `add`, and the file has one of that name
                await _outcome(there.change(step.after, name="reloadconfig", target=step.after.numprocesses), errors)
                return there
            watcher = Watcher.from_spec(step.after)
            self._attach(watcher)
        except CircusError as error:
            errors.append(str(error))
            return None
        self._admit(watcher)
        return watcher


async def _started(watcher: Watcher, *, start: bool) -> dict[str, Any] | None:
    return {**await watcher.start(), **shortfalls(watcher)} if start else None


def _wrong(errors: Sequence[str], found: Plan) -> CircusError:
    error = CircusError("\n".join(errors))
    error.warnings = found.warnings()
    return error


async def _outcome(work: Awaitable[Any], errors: list[str]) -> None:
    try:
        await work
    except Overtaken as error:
        logger.info("%s", error)
    except CircusError as error:
        errors.append(str(error))


def _hooks_of(step: Step) -> list[str]:
    """The hooks of a watcher that change."""
    return [option.name.removeprefix("hooks.") for option in step.options if option.name.startswith("hooks.")]
