"""What the whole daemon should run: everything that one configuration says, after expansion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from circus.exc import Mistake
from circus.spec.access import AccessSpec
from circus.spec.exporters import ExporterSpec
from circus.spec.plugins import PluginSpec
from circus.spec.sockets import SocketSpec
from circus.spec.watcher import Orphans, WatcherSpec

DEFAULT_ENDPOINT = "tcp://127.0.0.1:5555"
DEFAULT_PUBSUB_ENDPOINT = "tcp://127.0.0.1:5556"
DEFAULT_STATS_ENDPOINT = "tcp://127.0.0.1:5557"
DEFAULT_MULTICAST_ENDPOINT = "udp://237.219.251.97:12027"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArbiterSpec:
    """One daemon. `asked` names the endpoint options that somebody really wrote, so that a default address that is
    taken can be told from one that was asked for. `omitted` are the sections left out because their values
    contradict each other or cannot be had on this machine. `config_hash` is of the text of all files read.
    """

    endpoint: str = DEFAULT_ENDPOINT
    pubsub_endpoint: str = DEFAULT_PUBSUB_ENDPOINT
    stats_endpoint: str = DEFAULT_STATS_ENDPOINT
    asked: frozenset[str] = frozenset()
    endpoint_owner: str | None = None
    endpoint_mode: int | None = None
    endpoint_group: str | None = None
    curve_secret_key_file: str | None = None
    allow_insecure: bool = False
    multicast_endpoint: str = ""
    check_delay: float = 5.0
    warmup_delay: float = 0.0
    shutdown_timeout: float = 0.0
    orphans: Orphans = "ignore"
    state_file: str | None = None
    statsd: bool = False
    umask: int | None = None
    httpd: bool = False
    httpd_host: str = "localhost"
    httpd_port: int = 8080
    debug: bool = False
    debug_gc: bool = False
    pidfile: str | None = None
    loglevel: str | None = None
    logoutput: str | None = None
    loggerconfig: str | None = None
    fqdn_prefix: str | None = None
    proc_name: str = "circusd"
    journal_size: int = 10_000
    sample_interval: float = 1.0
    slow_interval: float = 15.0
    env: Mapping[str, str] = field(default_factory=dict)
    watchers: tuple[WatcherSpec, ...] = ()
    sockets: tuple[SocketSpec, ...] = ()
    plugins: tuple[PluginSpec, ...] = ()
    exporters: tuple[ExporterSpec, ...] = ()
    alerts: tuple[ExporterSpec, ...] = ()
    notify: tuple[ExporterSpec, ...] = ()
    access: tuple[AccessSpec, ...] = ()
    omitted: tuple[Mistake, ...] = ()
    warnings: tuple[Mistake, ...] = ()
    config_file: str | None = None
    config_hash: str = ""
