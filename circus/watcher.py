"""A watcher of circus 0.19: one program, any number of processes of it, with the constructor and the names of 0.19.

The face that commands, hooks and embedding programs see; what is asked of it is the business of `operations`, the work
the driver's. Invariant: it can be made anywhere; what needs the loop waits until an arbiter has taken it in.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from typing import Any

from circus.config.resolve import add_import_paths
from circus.driver import Services
from circus.hooks import resolve_hooks
from circus.operations import Operations
from circus.process import Process
from circus.spec.convert import options_dict
from circus.spec.watcher import WatcherSpec
from circus.stream.redirector import Redirector

logger = logging.getLogger("circus")


class Watcher(Operations):
    """Processes of one program.

    The options are those of an ini file; `hooks` maps names to `(callable or dotted name, ignore failures)`, streams
    are mappings with `class` or `stream`, and what is no option is kept as free-form. `prereload_fn` is called with
    the watcher before each reload.

    Raises:
        ConfigError: an option is wrong.
        HookError: a hook cannot be had.
    """

    loop: Any = None

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
        Operations.__init__(watcher, spec)
        return watcher

    @classmethod
    def load_from_config(cls, config: Mapping[str, Any]) -> Watcher:
        """A watcher of options in a mapping; `$NAME` in the values of `env` is replaced."""
        from circus.config.options import replaced_env

        options = dict(config)
        if options.get("env"):
            options["env"] = replaced_env(options["env"], os.environ)
        return cls(name=options.pop("name", ""), cmd=options.pop("cmd", ""), **options)

    def attach(self, services: Services) -> None:
        """Work for an arbiter from now on; the errors are those of the driver."""
        super().attach(services)
        self._launcher.process_class, self._launcher.watcher = self._process_class, self

    @property
    def _process_class(self) -> type[Process]:
        """What its processes are made of; subclasses may say something else."""
        return Process

    @property
    def _redirector_class(self) -> type[Redirector]:
        """What carries the output of its processes; subclasses may say something else."""
        return Redirector

    @property
    def env(self) -> dict[str, str]:
        """The environment of the processes to come; a hook may change it."""
        return self._launcher.env if self.attached else dict(self.spec.env or {})

    def __getattr__(self, name: str) -> Any:
        """Options are readable as attributes, as in circus 0.19 (`watcher.cmd`, `watcher.graceful_timeout`)."""
        if name in WatcherSpec.__dataclass_fields__:
            return getattr(self.spec, name)
        raise AttributeError(f"a watcher has no attribute {name!r}")

    def options(self) -> dict[str, Any]:
        """All options in force, under the names of the ini file."""
        return {**options_dict(self.spec, cwd=_directory()), "numprocesses": self.numprocesses}


def _directory() -> str | None:
    """Where circusd runs, and with it the processes of a watcher without a working_dir; None when that was removed."""
    try:
        return os.getcwd()
    except OSError:
        return None
