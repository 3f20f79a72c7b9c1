"""What a watcher should run: one frozen record per watcher, no I/O, no defaults hidden elsewhere.

The field names are the option names of the ini file. A spec never changes; a live change makes a new one
with `dataclasses.replace`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from circus.spec.streams import StreamSpec

HOOK_NAMES = (
    "before_start",
    "after_start",
    "before_spawn",
    "after_spawn",
    "before_stop",
    "after_stop",
    "before_signal",
    "after_signal",
    "before_reap",
    "after_reap",
    "extended_stats",
)

KillScope = Literal["main", "group", "tree"]
Orphans = Literal["ignore", "kill", "adopt"]
OnFailure = Literal["ignore", "exit"]
MemoryMeasure = Literal["rss", "uss", "tree"]
Role = Literal["worker", "plugin", "exporter"]
Origin = Literal["ini", "api"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HookSpec:
    """A hook: where it is (`package.module.name`, or a callable from the API) and whether its failures count."""

    target: str | Callable[..., Any]
    ignore_failure: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WatcherSpec:
    """One watcher. Durations in seconds, sizes in bytes, signals as numbers.

    `args` is a string (split like a shell does) or a tuple (taken word by word). `env` holds only what the
    configuration gives; os.environ is merged at spawn when `copy_env`. `rlimits` maps lower-case names without
    `rlimit_` to a limit, None meaning infinity. `options` keeps free-form keys, of a file as text.
    """

    name: str
    cmd: str = ""
    args: str | tuple[str, ...] | None = None
    numprocesses: int = 1
    warmup_delay: float = 0.0
    autostart: bool = True
    respawn: bool = True
    singleton: bool = False
    priority: int = 0
    shell: bool = False
    shell_args: str | None = None
    executable: str | None = None
    working_dir: str | None = None
    uid: int | str | None = None
    gid: int | str | None = None
    copy_env: bool = False
    copy_path: bool = False
    env: Mapping[str, str] | None = None
    virtualenv: str | None = None
    virtualenv_py_ver: str | None = None
    rlimits: Mapping[str, int | None] = field(default_factory=dict)
    stop_signal: int = 15  # SIGTERM
    stop_children: bool = False
    kill_scope: KillScope | None = None  # see `scope`
    orphans: Orphans | None = None  # as [circus] says
    parent_death_signal: int | None = None
    graceful_timeout: float = 30.0
    send_hup: bool = False
    max_retry: int = 5
    on_failure: OnFailure = "ignore"
    backoff: float = 0.5
    backoff_max: float = 5.0
    backoff_jitter: float = 0.1
    stable_after: float = 10.0
    memory_limit: int = 0
    memory_limit_of: MemoryMeasure = "rss"
    memory_limit_after: float = 10.0
    max_age: int = 0
    max_age_variance: int = 30
    use_sockets: bool = False
    on_demand: bool = False
    stdin_socket: str | None = None
    close_child_stdin: bool = True
    close_child_stdout: bool = False
    close_child_stderr: bool = False
    stdout_stream: StreamSpec | None = None
    stderr_stream: StreamSpec | None = None
    capture: bool = False
    hooks: Mapping[str, HookSpec] = field(default_factory=dict)
    hook_timeout: float = 60.0
    propagate_trace: bool = False  # TRACEPARENT and who it is in the environment of each process
    metrics_memory: bool = False  # read USS, PSS and swap on the slow tier
    options: Mapping[str, Any] = field(default_factory=dict)
    role: Role = "worker"
    origin: Origin = "api"  # where it was written: a configuration file, or the API or the command `add`
    stdin_data: bytes | None = None  # given to each process on its standard input; internal watchers only

    @property
    def scope(self) -> KillScope:
        """What a stop reaches: as written, else the tree with `stop_children`, else the process alone."""
        return self.kill_scope or ("tree" if self.stop_children else "main")
