"""A watcher of circus 0.19: one program, any number of processes of it, with the constructor and the names of 0.19.

The face that commands, hooks and embedding programs see; what is asked of it is the business of `operations`, the work
the driver's. Invariant: it can be made anywhere; what needs the loop waits until an arbiter has taken it in.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from circus.config.resolve import add_import_paths
from circus.hooks import resolve_hooks
from circus.hooks.mapping import CarriedDict
from circus.meddling import Meddling
from circus.process import Process
from circus.services import Services
from circus.sockets import CircusSocket
from circus.spec.convert import options_dict
from circus.spec.diff import flat, watcher_changes
from circus.spec.fields import WATCHER, Effect
from circus.spec.watcher import WatcherSpec
from circus.stream.redirector import Redirector

if TYPE_CHECKING:
    from circus.ports import HookCallable

logger = logging.getLogger("circus")

_OURS = {"name", "numprocesses", "options", "role", "origin", "stdin_data"}
_ASSIGNED = WatcherSpec.__dataclass_fields__.keys() - _OURS
"""Options that may be set as attributes; the number of processes is a property of its own."""

_NEVER_VETO = ("before_stop", "after_stop", "before_signal", "after_signal", "extended_stats")


class Watcher(Meddling):
    """Processes of one program.

    The options are those of an ini file; `hooks` maps names to `(callable or dotted name, ignore failures)`, streams
    are mappings with `class` or `stream`, and what is no option is kept as free-form. `prereload_fn` is called with
    the watcher before each reload.

    Raises:
        ConfigError: an option is wrong.
        HookError: a hook cannot be had.
    """

    loop: Any = None
    _more_optnames: tuple[str, ...] = ()

    def __init__(  # noqa: PLR0917 - 0.19's signature
        self,
        name: str,
        cmd: str,
        args: str | list[str] | tuple[str, ...] | None = None,
        numprocesses: int = 1,
        warmup_delay: float = 0.0,
        working_dir: str | None = None,
        shell: bool = False,
        shell_args: str | None = None,
        uid: int | str | None = None,
        max_retry: int = 5,
        gid: int | str | None = None,
        send_hup: bool = False,
        stop_signal: int = 15,
        stop_children: bool = False,
        env: Mapping[str, str] | None = None,
        graceful_timeout: float = 30.0,
        prereload_fn: Callable[[Watcher], object] | None = None,
        rlimits: Mapping[str, int | None] | None = None,
        executable: str | None = None,
        stdout_stream: Mapping[str, Any] | None = None,
        stderr_stream: Mapping[str, Any] | None = None,
        priority: int = 0,
        loop: Any = None,
        singleton: bool = False,
        use_sockets: bool = False,
        copy_env: bool = False,
        copy_path: bool = False,
        max_age: int = 0,
        max_age_variance: int = 30,
        hooks: Mapping[str, Any] | None = None,
        respawn: bool = True,
        autostart: bool = True,
        on_demand: bool = False,
        virtualenv: str | None = None,
        stdin_socket: str | None = None,
        close_child_stdin: bool = True,
        close_child_stdout: bool = False,
        close_child_stderr: bool = False,
        virtualenv_py_ver: str | None = None,
        **options: Any,
    ) -> None:
        # Every parameter but these is an option of the same name, and there is no table to forget one in.
        given = {key: value for key, value in locals().items() if key in WatcherSpec.__dataclass_fields__}
        given = {key: value for key, value in given.items() if key not in ("name", "cmd", "options")}
        from circus.config.options import watcher_spec

        spec = watcher_spec(name, cmd, given | options)
        add_import_paths((spec.env or {}).get("PYTHONPATH", ""))
        resolve_hooks(spec.hooks)
        super().__init__(spec)
        self.prereload_fn = prereload_fn
        self.loop = loop

    @classmethod
    def from_spec(cls, spec: WatcherSpec) -> Watcher:
        """A watcher of a configuration."""
        watcher = cls.__new__(cls)
        Meddling.__init__(watcher, spec)
        return watcher

    @classmethod
    def load_from_config(cls, config: Mapping[str, Any]) -> Watcher:
        """A watcher of options in a mapping; `$NAME` in the values of `env` is replaced."""
        from circus.config.options import replaced_env

        options = dict(config)
        if options.get("env") and isinstance(options["env"], Mapping):
            options["env"] = replaced_env(options["env"], os.environ)
        return cls(name=options.pop("name", ""), cmd=options.pop("cmd", ""), **options)

    def attach(self, services: Services) -> None:
        """Work for an arbiter from now on; the errors are those of the driver."""
        super().attach(services)
        self._launcher.process_class, self._launcher.watcher = self._process_class, self
        self._launcher.outputs.redirector_class = self._redirector_class

    @property
    def _process_class(self) -> type[Process]:
        """What its processes are made of; subclasses may say something else."""
        return Process

    @property
    def _redirector_class(self) -> type[Redirector]:
        """What carries the output of its processes; subclasses may say something else."""
        return Redirector

    @property
    def stream_redirector(self) -> Redirector | None:
        """What carries the output of its processes now; None when none is captured, or nothing runs."""
        return self._launcher.outputs.redirector if self.attached else None

    @property
    def env(self) -> dict[str, str]:
        """The environment of the processes to come; a hook may change it."""
        if self.attached:
            return self._launcher.env
        copied = dict(os.environ) if self.spec.copy_env else {}

        def store(env: dict[str, str]) -> None:
            mine = self.spec.env or {}
            self._put("env", {name: env[name] for name in env if name in mine or env[name] != copied.get(name)})

        return _stored({**copied, **(self.spec.env or {})}, store)

    @property
    def _options(self) -> dict[str, Any]:
        """The free-form options, in which hooks of 0.19 find what their section says besides."""

        def store(options: dict[str, Any]) -> None:
            self.spec = replace(self.spec, options=options)
            self.lifecycle.replace_spec(self.spec)

        return _stored(self.spec.options, store)

    @property
    def working_dir(self) -> str | None:
        """Where its processes start; the directory of this program where nothing is said."""
        return self.spec.working_dir or _directory()

    def __getattr__(self, name: str) -> Any:
        """Options are readable as attributes, as in circus 0.19 (`watcher.cmd`, `watcher.graceful_timeout`)."""
        if name in WatcherSpec.__dataclass_fields__:
            value = getattr(self.spec, name)
            return list(value) if isinstance(value, tuple) else value
        if name in ("stdout_stream_conf", "stderr_stream_conf"):
            return options_dict(self.spec)[name]
        raise AttributeError(f"a watcher has no attribute {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        """What is set as an attribute is an option, in force for what comes."""
        if name not in _ASSIGNED:
            super().__setattr__(name, value)
            return
        if "spec" not in vars(self):
            return  # a subclass before the constructor, which would set it anew
        self._put(name, value)

    def _put(self, name: str, value: Any) -> None:
        from circus.config.options import changed_spec

        spec = changed_spec(self.spec, name, value)
        resolve_hooks(spec.hooks if name == "hooks" else {})
        self.assign(spec)

    def set_opt(self, key: str, val: Any) -> int:
        """Set an option for what comes, and say what to do about what runs: see `do_action`. `set` does both.

        ConfigError when the value does not fit.
        """
        from circus.config.options import changed_spec

        before, spec = self.spec, changed_spec(self.spec, key, val)
        if key == "numprocesses":
            self.numprocesses = spec.numprocesses
            self.notify_event("updated", {})
            return 0
        self.assign(spec, (key,))
        # What it would take to change it, whether or not it has changed.
        usual = [WATCHER[key].effect] if key in WATCHER else []
        if max([*usual, *(option.effect for option in watcher_changes(before, spec))], default=0) >= Effect.SIGNAL:
            return 1
        return -1 if key == "graceful_timeout" or key in spec.options else 0

    @property
    def optnames(self) -> tuple[str, ...]:
        """The names of all options in force, free-form ones too. A subclass may add attributes of its own to them."""
        return tuple(sorted({*self._more_optnames, *dict(self.options())}))

    @optnames.setter
    def optnames(self, names: Iterable[str]) -> None:
        self._more_optnames = tuple(names)

    @property
    def hooks(self) -> dict[str, HookCallable]:
        """The hooks by name, as they were found; one that is stored there is called from then on."""
        specs, found = self.spec.hooks, resolve_hooks(self.spec.hooks)

        def store(hooks: dict[str, Any]) -> None:
            self._put("hooks", {name: specs[name] if hook is found.get(name) else hook for name, hook in hooks.items()})

        return _stored(found, store)

    @property
    def ignore_hook_failure(self) -> list[str]:
        """The hooks whose failures count as a yes, or do not count at all."""
        asked_for = [name for name, hook in self.spec.hooks.items() if hook.ignore_failure]
        return [*_NEVER_VETO, *(name for name in asked_for if name not in _NEVER_VETO)]

    @property
    def pids(self) -> list[int]:
        """The pids of its processes."""
        return list(self.processes)

    @property
    def pending_socket_event(self) -> bool:
        """It waits until somebody connects to one of its sockets."""
        return self.spec.on_demand and self.is_stopped()

    @property
    def sockets(self) -> Mapping[str, CircusSocket]:
        """The sockets of its arbiter by name."""
        return self._services.sockets if self.attached else {}

    @property
    def arbiter(self) -> Any:
        """The arbiter that took it in, None before."""
        return self._services.arbiter if self.attached else None

    @property
    def evpub_socket(self) -> Any:
        """Where events of its arbiter go out, None before it has one."""
        return self.arbiter.evpub_socket if self.attached else None

    def initialize(self, evpub_socket: Any, sockets: Any, arbiter: Any) -> None:
        """Nothing: an arbiter attaches its watchers itself."""

    def options(self, *_: Any) -> list[tuple[str, Any]]:
        """All options in force with their values, by the names of an ini file, sorted."""
        found = {**options_dict(self.spec, cwd=_directory()), "numprocesses": self.numprocesses}
        more = (name for name in self._more_optnames if name not in found and hasattr(self, name))
        return sorted((found | {name: getattr(self, name) for name in more}).items())

    def all_options(self) -> dict[str, Any]:
        """These, and everything else that is set on it, by the names of an ini file."""
        return flat(self.spec) | dict(self.options())

    def process_info(self, pid: int, extended: bool = False) -> Any:
        """What a process uses, with what the hook extended_stats adds; KeyError when it is none of ours."""
        found = self.processes[int(pid)].info()
        hook = self.hooks.get("extended_stats") if extended else None
        if hook is not None:
            hook(self, self.arbiter, "extended_stats", pid=pid, stats=found)
        return found

    def info(self, extended: bool = False) -> dict[int, Any]:
        """The same for all its processes by pid."""
        return {pid: self.process_info(pid, extended) for pid in list(self.processes)}

    def call_hook(self, hook_name: str, **kwargs: Any) -> bool:
        """Call a hook here and now, in this thread, and publish how it went; True when there is none of that name.

        The hooks of the lifecycle do not pass here: they are called in a thread of their own.
        """
        hook = self.hooks.get(hook_name)
        if hook is None:
            return True
        try:
            answer = bool(hook(watcher=self, arbiter=self.arbiter, hook_name=hook_name, **kwargs))
        except Exception as error:
            logger.exception("hook %s of %r failed", hook_name, self.name)
            self.notify_event("hook_failure", {"name": hook_name, "error": str(error)})
            return hook_name in self.ignore_hook_failure
        self.notify_event("hook_success", {"name": hook_name})
        return answer


def _stored(values: Mapping[str, Any], store: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """A dict that hands all of itself to `store` when something in it is changed; it stays as it was if that raises."""
    source = dict(values)

    def change(_: str, how: Callable[[], Any]) -> None:
        before = dict(source)
        try:
            how()
            store(dict(source))
        except BaseException:
            source.clear()
            source.update(before)
            raise

    return CarriedDict(change, source, values)


def _directory() -> str | None:
    """Where circusd runs, and with it the processes of a watcher without a working_dir; None when that was removed."""
    try:
        return os.getcwd()
    except OSError:
        return None
