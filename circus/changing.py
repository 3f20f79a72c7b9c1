"""Performs what changes a watcher under its processes: other options, and a farewell that leaves them running.

The driver below performs everything else. Invariant: what can fail is done in `prepare`, before anything is decided; to
put it in force cannot fail any more.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias, cast

from circus.config.resolve import add_import_paths
from circus.core import effects as do
from circus.driver import Driver
from circus.events.cause import CURRENT, cause_of
from circus.exc import CircusError
from circus.hooks import resolve_hooks
from circus.launcher import Recipe
from circus.process import Process
from circus.services import Services
from circus.spec.watcher import WatcherSpec

if TYPE_CHECKING:
    from circus.ports import HookCallable

Made: TypeAlias = "tuple[Recipe, Mapping[str, HookCallable]]"
"""What was made ready for other options."""


class Changing(Driver):
    """A driver whose spec can be changed."""

    def __init__(self, spec: WatcherSpec) -> None:
        super().__init__(spec)
        self._left: dict[int, Process] = {}
        """Processes that run on without us, whose output is still ours to carry."""

    def attach(self, services: Services) -> None:
        """Work for an arbiter from now on."""
        super().attach(services)
        if self.spec.memory_limit:
            services.wake_guard()

    def prepare(self, spec: WatcherSpec, anew: Collection[str] = ()) -> Made:
        """Make everything ready for other options; hooks named in `anew` are imported again.

        Raises:
            CircusError: they cannot be had, and why; nothing has changed then.
        """
        coming = self.lifecycle.coming
        try:
            recipe = self._launcher.recipe(spec, None if coming is None else cast("Made", coming.made)[0])
        except (ValueError, OSError) as error:
            raise CircusError(str(error)) from None
        add_import_paths(recipe.builder.env.get("PYTHONPATH", ""))
        return recipe, resolve_hooks(spec.hooks, anew=anew)

    def _do_respecify(self, effect: do.Respecify) -> None:
        spec, (recipe, hooks) = effect.spec, effect.made
        self.spec = spec
        self._launcher.respecify(recipe)
        self._hooks.change(spec.hooks, hooks, spec.hook_timeout)
        self._services.sampler.add_watcher(self.name, memory=spec.metrics_memory)
        if spec.memory_limit:
            self._services.wake_guard()

    def _do_failed(self, effect: do.Failed) -> None:
        # A context of its own: what follows is caused by the failure, and not by what is going on here.
        contextvars.copy_context().run(self._fail, effect)

    def _fail(self, effect: do.Failed) -> None:
        CURRENT.set(cause_of(effect.origin))
        self._services.arbiter.fail(self.name, effect.status)

    def _do_abandon(self, effect: do.Abandon) -> None:
        self._services.ledger.forget(effect.pid)
        process = self._let_go(effect.wid, effect.pid)
        if process is None:
            return
        self._left[process.pid] = process
        if process.redirected:
            self._services.carried[process.pid] = self.name

        def ended(pid: int, _: Any) -> None:
            self._left.pop(pid, None)
            self._services.carried.pop(pid, None)
            self._launcher.release(process)
            self._close_streams()

        self._services.reaper.report_to(process.pid, ended)

    def _close_streams(self) -> None:
        if not self._left:
            self._launcher.close_streams()

    PERFORMERS: ClassVar[Mapping[type, Callable[[Any, Any], None]]] = {
        **Driver.PERFORMERS,
        do.Abandon: _do_abandon,
        do.Respecify: _do_respecify,
        do.Failed: _do_failed,
    }
