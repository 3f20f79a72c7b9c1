"""The options of Circus: one row each, and nothing about an option anywhere else.

Owns name, kind, both defaults, the effect of a live change and the sentence of documentation of every option. Reading
an ini file, the commands get, options and set, the diff of two configurations and the reference page all read these
rows. Knows no file and no daemon. Invariant: an option is its row; the fields of the specs carry the same names, and a
test compares the defaults.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType

import msgspec

from circus.spec import kinds
from circus.spec.access import ROLES
from circus.spec.kinds import Kind
from circus.spec.streams import StreamSpec


class Effect(IntEnum):
    """What a live change makes happen; of several changes the largest counts."""

    NOTHING = 0  # used from the next time that it matters
    RESIZE = 1  # processes are started or stopped until their number fits
    REOPEN = 2  # the stream or socket is closed and opened anew
    SIGNAL = 3  # a reload of a watcher with send_hup: each process gets SIGHUP
    RELOAD = 4  # graceful reload of the watcher
    RESTART = 5  # in force after a restart of circusd


class Option(msgspec.Struct, frozen=True, kw_only=True):
    """One option. `ini` is the default in a file, `api` in Python and on the wire; `shown` is its key in the reply of
    `options`, if it has one there; `new` marks what circus 0.19 did not have.
    """

    name: str
    kind: Kind
    ini: object
    api: object
    effect: Effect
    doc: str
    shown: str | None = None
    new: bool = False


class Family(msgspec.Struct, frozen=True, kw_only=True):
    """Options that share a prefix; `field` is where a watcher keeps them."""

    prefix: str
    field: str
    word: str
    effect: Effect
    doc: str
    new: bool = False


_SAME = object()


def _row(
    name: str,
    kind: Kind,
    ini: object,
    doc: str,
    effect: Effect = Effect.NOTHING,
    *,
    api: object = _SAME,
    shown: str | None = None,
    new: bool = False,
) -> Option:
    return Option(
        name=name, kind=kind, ini=ini, api=ini if api is _SAME else api, effect=effect, doc=doc, shown=shown, new=new
    )


def _table(*rows: Option) -> Mapping[str, Option]:
    return MappingProxyType({row.name: row for row in rows})


def _shown(*rows: Option) -> tuple[Option, ...]:
    """The rows that `options` shows under their own names."""
    return tuple(
        Option(
            name=row.name, kind=row.kind, ini=row.ini, api=row.api, effect=row.effect, doc=row.doc,
            shown=row.shown or row.name, new=row.new,
        )
        for row in rows
    )  # fmt: skip


_NOTHING, _RESIZE, _REOPEN, _RELOAD, _RESTART = (
    Effect.NOTHING, Effect.RESIZE, Effect.REOPEN, Effect.RELOAD, Effect.RESTART,
)  # fmt: skip

# fmt: off
CIRCUS: Mapping[str, Option] = _table(
    _row("check_delay", kinds.number(), 5.0, "Seconds between two safety sweeps; deaths are noticed at once without it, and 0 or less switches it off.", api=1.0),
    _row("endpoint", kinds.ENDPOINT, "tcp://127.0.0.1:5555", "Where commands are taken; `auto` is a unix socket in a private directory.", _RESTART),
    _row("endpoint_owner", kinds.OPTIONAL_TEXT, None, "User who owns the endpoints that are unix sockets; he may use every command, but for what would make him somebody else.", _RESTART),
    _row("endpoint_mode", kinds.MODE, None, "Mode of the endpoints that are unix sockets: 0600, or 0660 with `endpoint_group`, unless given; what who gets in may do is said by `[access:NAME]`.", _RESTART, new=True),
    _row("endpoint_group", kinds.OPTIONAL_TEXT, None, "Group of the endpoints that are unix sockets.", _RESTART, new=True),
    _row("curve_secret_key_file", kinds.OPTIONAL_TEXT, None, "File with the CURVE keys of circusd, made by `circusctl keygen`: on tcp all three channels then take only clients whose key is in an `[access:NAME]`; relative to the file that names it.", _RESTART, new=True),
    _row("allow_insecure", kinds.BOOLEAN, False, "Take commands from everybody on the network: without it a control endpoint that others than this machine can reach needs CURVE.", _RESTART, new=True),
    _row("pubsub_endpoint", kinds.ENDPOINT, "tcp://127.0.0.1:5556", "Where events are published; may be `auto`.", _RESTART),
    _row("stats_endpoint", kinds.ENDPOINT, "tcp://127.0.0.1:5557", "Where samples are published; may be `auto`.", _RESTART),
    _row("statsd", kinds.BOOLEAN, False, "Taken for the sake of old files: circusd always publishes statistics.", _RESTART),
    _row("multicast_endpoint", kinds.MULTICAST, "", "UDP group that answers discovery with the control endpoint; off unless given.", _RESTART),
    _row("umask", kinds.MASK, None, "File mode mask of circusd, in octal.", _RESTART),
    _row("warmup_delay", kinds.SECONDS, 0.0, "Seconds between the starts of two watchers."),
    _row("shutdown_timeout", kinds.SECONDS, 0.0, "Seconds after which the end of circusd, however it was asked for, waits for nothing any more: whatever is left of the processes gets SIGKILL, and no hook is waited for; 0 leaves each watcher its `graceful_timeout`.", new=True),
    _row("orphans", kinds.choice("ignore", "kill", "adopt"), "ignore", "What becomes of workers that outlive a circusd which was killed, when it is started again: they are left alone, ended first or taken over; other than ignore keeps a state file, and is for Linux.", new=True),
    _row("state_file", kinds.OPTIONAL_TEXT, None, "The file in which workers are remembered for `orphans`; `workers` in the private directory of this configuration unless given, relative to the file that names it.", _RESTART, new=True),
    _row("journal_size", kinds.integer(1, 10_000_000), 10_000, "How many lifecycle records are kept for `events` and for exporters that missed some.", new=True),
    _row("sample_interval", kinds.number(above=0, high=86400), 1.0, "Seconds between two samples of CPU and memory.", new=True),
    _row("slow_interval", kinds.number(above=0, high=86400), 15.0, "Seconds between two samples of what costs more to read: file descriptors, I/O, children.", new=True),
    _row("httpd", kinds.BOOLEAN, False, "Run the web console of the package circusweb, where that is installed.", _RESTART),
    _row("httpd_host", kinds.TEXT, "localhost", "Host of the web console.", _RESTART),
    _row("httpd_port", kinds.PORT, 8080, "Port of the web console.", _RESTART),
    _row("debug", kinds.BOOLEAN, False, "Send the output of plugins to the output of circusd, at log level debug."),
    _row("debug_gc", kinds.BOOLEAN, False, "Let Python's garbage collector report what it finds on standard error, and keep it.", _RESTART),
    _row("pidfile", kinds.OPTIONAL_TEXT, None, "File that holds the pid of circusd.", _RESTART),
    _row("loglevel", kinds.OPTIONAL_TEXT, None, "critical, error, warning, info or debug; info unless given."),
    _row("logoutput", kinds.OPTIONAL_TEXT, None, "`-` for standard error, syslog://HOST:PORT?FACILITY, or a file.", _RESTART),
    _row("loggerconfig", kinds.LOGGER_FILE, None, "File for Python's logging, ending in .ini, .json or .yaml; `default` for none.", _RESTART),
    _row("fqdn_prefix", kinds.OPTIONAL_TEXT, None, "Stands before the host name, with an @, in `arbiter.fqdn`, which hooks may read; used nowhere else.", _RESTART),
    _row("include", kinds.TEXT, "", "Patterns of further files, relative to the main file; what is defined first wins."),
    _row("include_dir", kinds.TEXT, "", "Directories of which every file `*.ini` is included."),
)

WATCHER: Mapping[str, Option] = _table(
    *_shown(
        _row("cmd", kinds.TEXT, "", "Program to run, split into words as a shell does.", _RELOAD),
        _row("args", kinds.ARGS, "", "Arguments, split and appended to `cmd`; a list is taken word by word.", _RELOAD, api=None),
        _row("numprocesses", kinds.PROCESSES, 1, "Number of processes.", _RESIZE),
        _row("warmup_delay", kinds.SECONDS, 0.0, "Seconds between two spawns of this watcher."),
        _row("respawn", kinds.BOOLEAN, True, "Replace processes that end; without it the watcher stops when the last one is gone.", _RESIZE),
        _row("singleton", kinds.BOOLEAN, False, "At most one process."),
        _row("priority", kinds.INTEGER, 0, "Watchers with a higher one start first and stop last."),
        _row("shell", kinds.BOOLEAN, False, "Run `cmd` and `args` as one text by /bin/sh -c.", _RELOAD),
        _row("shell_args", kinds.OPTIONAL_TEXT, None, "Arguments for that text: $0, $1 and so on.", _RELOAD),
        _row("executable", kinds.OPTIONAL_TEXT, None, "Program file to execute instead of the first word of `cmd`.", _RELOAD),
        _row("working_dir", kinds.OPTIONAL_TEXT, None, "Directory the processes start in; that of circusd unless given.", _RELOAD),
        _row("uid", kinds.USER, None, "User, by name or id.", _RELOAD),
        _row("gid", kinds.USER, None, "Group, by name or id; the primary group of the user unless given.", _RELOAD),
        _row("copy_env", kinds.BOOLEAN, False, "Start from the environment of circusd, not from an empty one.", _RELOAD),
        _row("env", kinds.TEXT_MAP, {}, "Environment; in a file written as `[env]` and `[env:NAME]` sections.", _RELOAD, api=None),
        _row("stop_signal", kinds.SIGNAL, 15, "Signal that asks a process to end."),
        _row("stop_children", kinds.BOOLEAN, False, "The same as `kill_scope = tree`, unless that is given."),
        _row("graceful_timeout", kinds.SECONDS, 30.0, "Seconds between the stop signal and SIGKILL."),
        _row("send_hup", kinds.BOOLEAN, False, "A graceful reload sends SIGHUP instead of replacing processes."),
        _row("max_retry", kinds.integer(-1), 5, "Failures to spawn in a row before the watcher is given up; -1 never gives up."),
        _row("on_failure", kinds.choice("ignore", "exit"), "ignore", "What circusd does when the watcher is given up, or (without `respawn`) its last process is gone and one has failed: exit ends everything with the status of that process.", new=True),
        _row("max_age", kinds.COUNT, 0, "Seconds after which a process is replaced; 0 never.", _RELOAD),
        _row("max_age_variance", kinds.COUNT, 30, "Up to this many seconds are added to `max_age`, drawn once for each process.", _RELOAD),
        _row("memory_limit", kinds.SIZE, 0, "Bytes (512M, 2G) above which a process is replaced, one of the watcher at a time; 0 never.", new=True),
        _row("memory_limit_of", kinds.choice("rss", "uss", "tree"), "rss", "What is measured: memory in RAM, memory that nobody else uses, or the RAM of the process with all its descendants.", new=True),
        _row("memory_limit_after", kinds.SECONDS, 10.0, "For how many seconds the limit has to be passed.", new=True),
        _row("use_sockets", kinds.BOOLEAN, False, "Hand the sockets of Circus to the processes.", _RELOAD),
        _row("on_demand", kinds.BOOLEAN, False, "Start when one of the sockets is first connected to."),
        _row("close_child_stdin", kinds.BOOLEAN, True, "Standard input is /dev/null.", _RELOAD),
        _row("close_child_stdout", kinds.BOOLEAN, False, "Standard output is /dev/null.", _RELOAD),
        _row("close_child_stderr", kinds.BOOLEAN, False, "Standard error is /dev/null.", _RELOAD),
        _row("capture", kinds.BOOLEAN, False, "Read output that has no stream too and pass it on to that of circusd, so that `tail` knows its last lines.", _RELOAD, new=True),
        _row("kill_scope", kinds.choice("main", "group", "tree"), None, "What a stop reaches: the process (main, unless given), its process group, or all its descendants (tree), which are waited for.", new=True),
        _row("orphans", kinds.choice("ignore", "kill", "adopt"), None, "What becomes of its processes when circusd was killed and is started again; as in `[circus]` unless given.", new=True),
        _row("parent_death_signal", kinds.SIGNAL, None, "Signal that the kernel sends to a process when circusd ends, however it ends; none unless given, on Linux only.", _RELOAD, new=True),
        _row("backoff", kinds.SECONDS, 0.5, "Seconds before the next start of a process that keeps dying; doubles each time.", new=True),
        _row("backoff_max", kinds.SECONDS, 5.0, "Longest pause between two starts.", new=True),
        _row("backoff_jitter", kinds.number(0, unit="", high=1), 0.1, "Share of the pause that is random.", new=True),
        _row("stable_after", kinds.SECONDS, 10.0, "Seconds of life after which the pauses begin anew.", new=True),
        _row("hook_timeout", kinds.number(above=0), 60.0, "Seconds a hook may take.", new=True),
        _row("propagate_trace", kinds.BOOLEAN, False, "Tell each process which trace its start belongs to, by TRACEPARENT, and who it is, by OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES.", _RELOAD, new=True),
        _row("metrics_memory", kinds.BOOLEAN, False, "Also read unique, proportional and swapped memory, which costs more.", new=True),
    ),
    _row("autostart", kinds.BOOLEAN, True, "Start together with circusd."),
    _row("copy_path", kinds.BOOLEAN, False, "Set PYTHONPATH to the import path of circusd; needs `copy_env`.", _RELOAD),
    _row("virtualenv", kinds.OPTIONAL_TEXT, None, "Virtual environment whose programs and packages come first; needs `copy_env`.", _RELOAD),
    _row("virtualenv_py_ver", kinds.OPTIONAL_TEXT, None, "Python version of that environment, such as 3.12; circusd's unless given.", _RELOAD),
    _row("stdin_socket", kinds.OPTIONAL_TEXT, None, "Socket of Circus that becomes standard input.", _RELOAD),
)

SOCKET: Mapping[str, Option] = _table(
    _row("host", kinds.TEXT, "localhost", "Host name or address to bind.", _REOPEN),
    _row("port", kinds.PORT, 8080, "Port to bind; 0 takes a free one.", _REOPEN),
    _row("family", kinds.TEXT, "AF_INET", "AF_INET, AF_INET6 or AF_UNIX.", _REOPEN),
    _row("type", kinds.TEXT, "SOCK_STREAM", "SOCK_STREAM, SOCK_DGRAM, SOCK_RAW, SOCK_RDM or SOCK_SEQPACKET.", _REOPEN),
    _row("proto", kinds.OPTIONAL_TEXT, None, "Protocol, by name.", _REOPEN),
    _row("path", kinds.OPTIONAL_TEXT, None, "Path of a unix socket; implies AF_UNIX.", _REOPEN),
    _row("replace", kinds.BOOLEAN, False, "Remove what is at `path` first."),
    _row("umask", kinds.MASK, None, "Octal mask for the mode of a unix socket."),
    _row("backlog", kinds.integer(0, 2**31 - 1), 2048, "Length of the queue of connections."),
    _row("interface", kinds.OPTIONAL_TEXT, None, "Network interface to bind to."),
    _row("so_reuseport", kinds.BOOLEAN, False, "Give each process a socket of its own on the same port.", _REOPEN),
    _row("blocking", kinds.BOOLEAN, False, "Hand out the socket in blocking mode.", _REOPEN),
)

STREAM: Mapping[str, Option] = _table(
    _row("class", kinds.TEXT, None, "A built-in stream or a dotted name; FileStream when only `filename` is given.", _REOPEN),
    _row("filename", kinds.TEXT, None, "File to write to; `{wid}` in it gives each worker a file of its own.", _REOPEN),
    _row("max_bytes", kinds.COUNT, 0, "Size at which the file is rotated; 0 never.", _REOPEN),
    _row("backup_count", kinds.COUNT, 0, "How many old files are kept.", _REOPEN),
    _row("time_format", kinds.TEXT, None, "Format of the time put before each line.", _REOPEN),
    _row("rotate_when", kinds.choice("S", "M", "H", "D", "MIDNIGHT", "W0", "W1", "W2", "W3", "W4", "W5", "W6"), None, "Unit of `rotate_interval`.", _REOPEN),
    _row("rotate_interval", kinds.integer(1), 1, "How many units until the file is rotated.", _REOPEN),
    _row("utc", kinds.BOOLEAN, False, "Rotate by UTC.", _REOPEN),
    _row("color", kinds.choice("red", "green", "yellow", "blue", "magenta", "cyan", "white"), None, "Colour of the lines; a random one unless given.", _REOPEN),
)

ACCESS: Mapping[str, Option] = _table(
    _row("role", kinds.choice(*ROLES), None, "What they may do: `read` looks, `operate` starts, stops and signals what is configured, `admin` does everything.", new=True),
    _row("uid", kinds.USERS, (), "Users, by name or id, who have the role over unix sockets.", new=True),
    _row("gid", kinds.USERS, (), "Groups, by name or id, whose members have it.", new=True),
    _row("curve_key", kinds.CURVE_KEYS, (), "Public CURVE keys whose owners have it over tcp.", new=True),
)

# Which built-in class takes which of these.
_FILE = frozenset({"class", "filename", "time_format"})
STREAM_CLASSES: Mapping[str, frozenset[str]] = MappingProxyType({
    "FileStream": _FILE | {"max_bytes", "backup_count"},
    "WatchedFileStream": _FILE,
    "TimedRotatingFileStream": _FILE | {"backup_count", "rotate_when", "rotate_interval", "utc"},
    "StdoutStream": frozenset({"class"}),
    "FancyStdoutStream": frozenset({"class", "color", "time_format"}),
    "QueueStream": frozenset({"class"}),
})

# What each [exporter:NAME] section takes; read by the exporter, which gets them as text.
EXPORTERS: Mapping[str, Mapping[str, Option]] = MappingProxyType({
    "prometheus": _table(
        _row("host", kinds.HOST, "127.0.0.1", "Where to listen; metrics tell much about a machine, so open it to others with `web_config`.", new=True),
        _row("port", kinds.PORT, 9464, "The port; 0 takes any free one and logs it, and one that is taken is tried again every second.", new=True),
        _row("processes", kinds.choice("auto", "full", "cpu_mem", "off"), "auto", "How much to show of each process: `full`, `cpu_mem` (five series), `off`, or `auto`: `full` for up to 500 processes, `cpu_mem` for more.", new=True),
        _row("max_series", kinds.integer(2000), 100_000, "Series that a page may have; beyond it less is told, first of processes, then of watchers, and `circus_exporter_left_out` says so.", new=True),
        _row("web_config", kinds.OPTIONAL_TEXT, None, "File with certificates and passwords, as Prometheus' own exporters take it; relative to the file that names it.", new=True),
    ),
    # The defaults stand in words: a variable of OpenTelemetry comes between the section and the default.
    "otlp": _table(
        _row("endpoint", kinds.HTTP_URL, None, "Where the collector takes OTLP, without the path of a signal; http://localhost:4318 unless given, with grpc port 4317 (`OTEL_EXPORTER_OTLP_ENDPOINT`).", new=True),
        _row("protocol", kinds.choice("http/protobuf", "grpc"), None, "`http/protobuf` unless given, or `grpc`, which needs `circus[otlp-grpc]` (`OTEL_EXPORTER_OTLP_PROTOCOL`).", new=True),
        _row("headers", kinds.OPTIONAL_TEXT, None, "key=value,key=value to send with each request, values percent-encoded (`OTEL_EXPORTER_OTLP_HEADERS`).", new=True),
        _row("timeout", kinds.number(above=0), None, "Seconds that one request may take; 10 unless given (`OTEL_EXPORTER_OTLP_TIMEOUT`).", new=True),
        _row("compression", kinds.choice("none", "gzip"), None, "`none` unless given, or `gzip` (`OTEL_EXPORTER_OTLP_COMPRESSION`).", new=True),
        _row("certificate", kinds.OPTIONAL_TEXT, None, "File of the authorities that may vouch for the collector; those of the system unless given (`OTEL_EXPORTER_OTLP_CERTIFICATE`).", new=True),
        _row("client_certificate", kinds.OPTIONAL_TEXT, None, "File with our own certificate, for a collector that asks for one (`OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE`).", new=True),
        _row("client_key", kinds.OPTIONAL_TEXT, None, "File with its key (`OTEL_EXPORTER_OTLP_CLIENT_KEY`).", new=True),
        _row("traces", kinds.BOOLEAN, True, "Whether to send traces.", new=True),
        _row("metrics", kinds.BOOLEAN, True, "Whether to send metrics of watchers.", new=True),
        _row("metrics_interval", kinds.number(above=0), None, "Seconds between two requests with metrics; 60 unless given (`OTEL_METRIC_EXPORT_INTERVAL`).", new=True),
        _row("max_queue", kinds.integer(1), None, "Spans that may wait for the collector, the oldest go first; 20000 unless given (`OTEL_BSP_MAX_QUEUE_SIZE`).", new=True),
        _row("service_name", kinds.OPTIONAL_TEXT, None, "`service.name` of the daemon; `circus` unless given (`OTEL_SERVICE_NAME`).", new=True),
        _row("resource", kinds.OPTIONAL_TEXT, None, "key=value,key=value that describe this daemon (`OTEL_RESOURCE_ATTRIBUTES`).", new=True),
    ),
})

FAMILIES: tuple[Family, ...] = (
    Family(prefix="rlimit_", field="rlimits", word="integer", effect=_RELOAD, doc="Resource limit, soft and hard; empty for none. NAME as in `rlimit_nofile`."),
    Family(prefix="stdout_stream.", field="stdout_stream", word="text", effect=_REOPEN, doc="Where standard output goes; see the stream options."),
    Family(prefix="stderr_stream.", field="stderr_stream", word="text", effect=_REOPEN, doc="Where standard error goes; see the stream options."),
    Family(prefix="hooks.", field="hooks", word="dotted name", effect=_NOTHING, doc="Function called at that moment; `, true` after it ignores its failures."),
    Family(prefix="labels.", field="options", word="text", effect=_NOTHING, doc="Label of the watcher in metrics.", new=True),
)
# fmt: on


def family_of(name: str) -> Family | None:
    """The family an option name belongs to, by its prefix."""
    return next((family for family in FAMILIES if name.startswith(family.prefix)), None)


def stream_conf(stream: StreamSpec | None, *, empty: object) -> object:
    """A stream as `options` shows it; an object given by the API shows as the name of its class."""
    if stream is None:
        return empty
    conf = dict(stream.options)
    if stream.cls is not None:
        conf["class"] = stream.cls
    if stream.stream is not None:
        conf["stream"] = type(stream.stream).__qualname__
    return conf
