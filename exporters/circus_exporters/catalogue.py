"""Every metric that the exporter can show: name, type, labels, help, source. THE table.

Owns the names, with those of alerts in `catalogue_alerts`. HELP lines, the reference page, tests and dashboards are made from it; nobody else writes a metric
name. It refuses to know where values come from at run time. Invariant: a name, once released, keeps its meaning, and
the labels of a metric are exactly those listed here.

Names follow the conventions of Prometheus: one prefix, base units as suffix, `_total` on counters only, `_info` for
constants of value 1. The worker families reuse the stems of the well-known `process_` metrics because they mean the same.
There is no label for the daemon or the host: `instance` and `job` come with the scrape.
"""

from __future__ import annotations

from typing import Final

from circus.wire import events
from circus_exporters import catalogue_alerts
from circus_exporters.metric import Detail, Metric, MetricType, counter, gauge, histogram, info

SOURCES: Final = {
    "A": "state of the daemon",
    "E": "lifecycle events, counted by the daemon",
    "P": "sample of the system's process table",
    "R": "exact usage at the end of a process",
    "X": "the exporter itself",
}
CPU_MODES: Final = ("user", "system")
FAULT_KINDS: Final = ("minor", "major")
SWITCH_KINDS: Final = ("voluntary", "involuntary")
SAMPLE_ERROR_REASONS: Final = ("vanished", "denied", "other")
COLLECTORS: Final = ("arbiter", "process")
DETAILS: Final = ("full", "cpu_mem", "off")
LEFT_OUT: Final = ("process_detail", "processes", "watcher_histograms", "sockets", "watchers")
CHANNELS: Final = ("stats", "events")
SPAN_DROPS: Final = ("queue_full", "refused", "rejected", "left")
METRIC_EXPORT_OUTCOMES: Final = ("success", "failure")
EVENT_KINDS: Final = ("lifecycle", "watcher", "log", "other")


def _process(
    metric_type: MetricType, name: str, text: str, *labels: str, detail: Detail = "full", **closed: tuple[str, ...]
) -> Metric:
    return Metric(
        name=name, type=metric_type, group="process", source="P", help=f"{text}, as of the last sample.",
        labels=("watcher", "wid", *labels), closed=closed, detail=detail,
    )  # fmt: skip


# The daemon and this exporter

BUILD_INFO = info(
    "target", "A", "circus_build_info", "What the daemon is; always 1.",
    "version", "python_version", "zmq_version", "revision",
)  # fmt: skip
UP = gauge("target", "X", "circus_up", "1 if the daemon answers and its last sample is fresh, else 0.")
START_TIME = gauge("target", "A", "circus_start_time_seconds", "Unix time at which the daemon started.")
COLLECTOR_SUCCESS = gauge(
    "target", "X", "circus_scrape_collector_success", "1 if this part of the scrape has current values.",
    "collector", collector=COLLECTORS,
)  # fmt: skip
COLLECTOR_DURATION = gauge(
    "target", "X", "circus_scrape_collector_duration_seconds", "Time that this part of the scrape took.",
    "collector", collector=COLLECTORS,
)  # fmt: skip
CONFIG_INFO = info("target", "A", "circus_config_info", "Hash of the configuration in force; always 1.", "hash")
CONFIG_OK = gauge(
    "target", "A", "circus_config_last_reload_successful",
    "1 if the last attempt to apply a configuration went through, with nothing left out.",
)  # fmt: skip
CONFIG_TIME = gauge(
    "target", "A", "circus_config_last_reload_success_timestamp_seconds",
    "Unix time at which the configuration in force was applied.",
)  # fmt: skip

# Watchers

WATCHER_INFO = info(
    "watcher", "A", "circus_watcher_info", "What the watcher runs; always 1.",
    "watcher", "executable", "user", "stop_signal", "singleton",
)  # fmt: skip
WATCHER_LABELS = Metric(
    name="circus_watcher_labels_info", type="info", group="watcher", source="A", labels=("watcher",), prefix="label_",
    help="What labels.NAME options say of the watcher, each as label_NAME; always 1, and absent without such options.",
)  # fmt: skip
WATCHER_STATE = gauge(
    "watcher", "A", "circus_watcher_state", "1 for the state that the watcher is in, 0 for all others.",
    "watcher", "state", state=events.WATCHER_STATES,
)  # fmt: skip
WATCHER_DESIRED = gauge(
    "watcher", "A", "circus_watcher_processes_desired", "Processes that the watcher should have.", "watcher",
)  # fmt: skip
WATCHER_PROCESSES = gauge(
    "watcher", "A", "circus_watcher_processes", "Processes that the watcher has, by state.",
    "watcher", "state", state=events.PROCESS_STATES,
)  # fmt: skip
WATCHER_READY = gauge(
    "watcher", "A", "circus_watcher_processes_ready", "Processes that have become ready.", "watcher",
)  # fmt: skip
STARTS = counter(
    "watcher", "E", "circus_watcher_process_starts_total", "Processes started, by what made it necessary.",
    "watcher", "cause", cause=events.START_CAUSES,
)  # fmt: skip
RESTARTS = counter(
    "watcher", "E", "circus_watcher_restarts_total", "Processes started in the place of an earlier one.",
    "watcher", "cause", cause=events.RESTART_CAUSES,
)  # fmt: skip
EXITS = counter(
    "watcher", "E", "circus_watcher_process_exits_total",
    "Processes that ended, each counted once, by who ended it and how it went.",
    "watcher", "initiator", "outcome", initiator=events.INITIATORS, outcome=events.OUTCOMES,
)  # fmt: skip
SIGNAL_EXITS = counter(
    "watcher", "E", "circus_watcher_signal_exits_total", "Processes that a signal ended, by signal.",
    "watcher", "signal", signal=events.CRASH_SIGNALS,
)  # fmt: skip
LAST_EXIT_CODE = gauge(
    "watcher", "E", "circus_watcher_last_exit_code",
    "Exit code of the process that ended last; absent if a signal ended it or none ended yet.", "watcher",
)  # fmt: skip
LAST_EXIT_SIGNAL = gauge(
    "watcher", "E", "circus_watcher_last_exit_signal",
    "Number of the signal that ended the last process; absent if it exited by itself or none ended yet.", "watcher",
)  # fmt: skip
LAST_EXIT_TIME = gauge(
    "watcher", "E", "circus_watcher_last_exit_timestamp_seconds",
    "Unix time at which a process ended last; absent if none ended yet.", "watcher",
)  # fmt: skip
LAST_EXIT_PEAK = gauge(
    "watcher", "R", "circus_watcher_last_exit_peak_resident_memory_bytes",
    "Most memory in RAM that the process that ended last ever had; absent if none ended yet.", "watcher",
)  # fmt: skip
LEFTOVERS = counter("watcher", "E", "circus_watcher_leftovers_total", "Processes left behind by ended ones.", "watcher")
SPAWN_FAILURES = counter(
    "watcher", "E", "circus_watcher_spawn_failures_total",
    "Starts that never became a running process, by how far they came.", "watcher", "stage", stage=events.SPAWN_STAGES,
)  # fmt: skip
CONSECUTIVE_FAILURES = gauge(
    "watcher", "A", "circus_watcher_consecutive_failures",
    "Failures in a row of the slot that has most of them; 0 once it runs steadily.", "watcher",
)  # fmt: skip
BACKOFF = gauge(
    "watcher", "A", "circus_watcher_backoff_seconds",
    "Longest delay that a slot of the watcher has now before its next start.", "watcher",
)  # fmt: skip
START_DURATION = histogram("watcher", "E", "circus_watcher_start_duration_seconds", "Spawn to readiness.", "watcher")
RESPAWN_DURATION = histogram(
    "watcher", "E", "circus_watcher_respawn_duration_seconds",
    "Time from the end of a process that nobody asked for to its replacement, with its delay.", "watcher",
)  # fmt: skip
STOP_DURATION = histogram(
    "watcher", "E", "circus_watcher_stop_duration_seconds", "Time from the stop signal to the end.", "watcher"
)
LIFETIME = histogram("watcher", "E", "circus_watcher_process_lifetime_seconds", "Age of ended processes.", "watcher")
RELOAD_START = gauge(
    "watcher", "A", "circus_watcher_reload_start_timestamp_seconds",
    "Unix time at which the running reload began; absent while none runs.", "watcher",
)  # fmt: skip
RELOADS = counter("watcher", "E", "circus_watcher_reloads_total", "Reloads that came to an end.", "watcher")
RELOAD_FAILURES = counter("watcher", "E", "circus_watcher_reload_failures_total", "Reloads that failed.", "watcher")
RELOAD_DURATION = histogram(
    "watcher", "E", "circus_watcher_reload_duration_seconds", "Time that reloads took.", "watcher"
)
WATCHER_CPU = counter(
    "watcher", "P+R", "circus_watcher_cpu_seconds_total",
    "CPU time of all processes that the watcher ever had, the ended ones included.",
    "watcher", "mode", mode=CPU_MODES,
)  # fmt: skip
MEMORY_LIMIT = gauge(
    "watcher", "A", "circus_watcher_memory_limit_bytes",
    "Memory above which a process is replaced, and which measure of it that is; absent without a limit.",
    "watcher", "measure",
)  # fmt: skip
HOOK_DURATION = histogram(
    "watcher", "E", "circus_watcher_hook_duration_seconds", "Time that hooks took.", "watcher", "hook"
)
HOOK_FAILURES = counter("watcher", "E", "circus_watcher_hook_failures_total", "Hooks that failed.", "watcher", "hook")
STREAM_BYTES = counter(
    "watcher", "A", "circus_watcher_stream_bytes_total", "Bytes read from the output of processes.",
    "watcher", "stream",
)  # fmt: skip
STREAM_LINES = counter(
    "watcher", "A", "circus_watcher_stream_lines_total", "Complete lines read from the output of processes.",
    "watcher", "stream",
)  # fmt: skip
STREAM_DROPS = counter(
    "watcher", "A", "circus_watcher_stream_lines_dropped_total", "Lines of output that were lost.",
    "watcher", "stream",
)  # fmt: skip

# Processes

PROCESS_INFO = _process(
    "info", "circus_process_info", "Which process fills the slot; always 1", "pid", detail="cpu_mem"
)
PROCESS_START_TIME = _process(
    "gauge", "circus_process_start_time_seconds", "Unix time at which the process started", detail="cpu_mem"
)
PROCESS_CPU = _process(
    "counter", "circus_process_cpu_seconds_total", "CPU time of the process", "mode", mode=CPU_MODES, detail="cpu_mem"
)
PROCESS_CPU_WAIT = _process(
    "counter", "circus_process_cpu_wait_seconds_total",
    "Time that the first thread of the process was ready to run and had no CPU",
)  # fmt: skip
PROCESS_RESIDENT = _process(
    "gauge", "circus_process_resident_memory_bytes", "Memory of the process in RAM", detail="cpu_mem"
)
PROCESS_PEAK = _process(
    "gauge", "circus_process_peak_resident_memory_bytes", "Most memory in RAM that the process ever had"
)
PROCESS_VIRTUAL = _process("gauge", "circus_process_virtual_memory_bytes", "Address space of the process")
PROCESS_SHARED = _process(
    "gauge", "circus_process_shared_memory_bytes", "Part of the memory in RAM that other processes may share"
)
PROCESS_PROPORTIONAL = _process(
    "gauge", "circus_process_proportional_memory_bytes",
    "Memory in RAM with shared pages divided by their users (only where metrics_memory is on)",
)  # fmt: skip
PROCESS_UNIQUE = _process(
    "gauge", "circus_process_unique_memory_bytes",
    "Memory in RAM that no other process shares (only where metrics_memory is on)",
)  # fmt: skip
PROCESS_SWAPPED = _process(
    "gauge", "circus_process_swapped_memory_bytes", "Memory of the process in swap (only where metrics_memory is on)"
)
PROCESS_THREADS = _process("gauge", "circus_process_threads", "Threads of the process")
PROCESS_FAULTS = _process(
    "counter", "circus_process_page_faults_total", "Page faults of the process", "kind", kind=FAULT_KINDS
)
PROCESS_OPEN_FDS = _process("gauge", "circus_process_open_fds", "Open file descriptors of the process")
PROCESS_MAX_FDS = _process("gauge", "circus_process_max_fds", "File descriptors that the process may open")
PROCESS_READ = _process("counter", "circus_process_read_bytes_total", "Bytes that the process had read from storage")
PROCESS_WRITE = _process("counter", "circus_process_write_bytes_total", "Bytes that the process had written to storage")
PROCESS_SWITCHES = _process(
    "counter", "circus_process_context_switches_total", "Times that the first thread of the process left a CPU", "kind",
    kind=SWITCH_KINDS,
)  # fmt: skip

# Internals

LOOP_LAG = histogram("internals", "A", "circus_loop_lag_seconds", "How late the daemon's loop ran a periodic timer.")
COMMANDS = counter("internals", "A", "circus_commands_total", "Requests on the control endpoint.", "command")
COMMAND_ERRORS = counter(
    "internals", "A", "circus_command_errors_total", "Requests that were answered with an error, by what was wrong.",
    "command", "error",
)  # fmt: skip
COMMAND_DURATION = histogram(
    "internals", "A", "circus_command_duration_seconds", "Time in queue and execution of commands.", "command"
)
COMMANDS_IN_FLIGHT = gauge("internals", "A", "circus_commands_in_flight", "Commands that are queued or run now.")
SAMPLE_DURATION = histogram(
    "internals", "A", "circus_sample_duration_seconds", "Time that one pass over all processes took."
)
SAMPLE_TIME = gauge(
    "internals", "P", "circus_sample_last_timestamp_seconds", "Unix time of the last sample that the exporter got."
)
SAMPLE_INTERVAL = gauge("internals", "P", "circus_sample_interval_seconds", "Time between two samples, as set.")
SAMPLE_PROCESSES = gauge("internals", "P", "circus_sample_processes", "Processes in the last sample.")
SAMPLES_SKIPPED = counter(
    "internals", "P", "circus_samples_skipped_total", "Passes left out because the one before was still running."
)
SAMPLE_ERRORS = counter(
    "internals", "P", "circus_sample_errors_total", "Processes that could not be read.",
    "reason", reason=SAMPLE_ERROR_REASONS,
)  # fmt: skip
EVENTS_PUBLISHED = counter(
    "internals", "A", "circus_events_published_total",
    "Messages published by the daemon, by the beginning of their topic.", "kind", kind=EVENT_KINDS,
)  # fmt: skip
EVENTS_DROPPED = counter(
    "internals", "A", "circus_events_dropped_total", "Messages that the daemon had to drop.", "sink", "reason"
)
SUBSCRIBERS = gauge(
    "internals", "A", "circus_subscribers", "Subscriptions at the daemon's channels.", "socket", socket=CHANNELS
)
SEND_HWM = gauge(
    "internals", "A", "circus_zmq_send_hwm",
    "Messages that may wait for one subscriber before the daemon drops some; how many do wait cannot be known.",
    "socket", socket=CHANNELS,
)  # fmt: skip
ILLEGAL_TRANSITIONS = counter(
    "internals", "A", "circus_illegal_transitions_total", "Events that the daemon's own state machines did not expect."
)
UPGRADES = counter("internals", "A", "circus_upgrades_total", "How often circusd was replaced under its workers.")
STRANGERS = counter(
    "internals", "A", "circus_strangers_reaped_total",
    "Processes that the daemon inherited from workers and cleared away when they ended.",
)  # fmt: skip
STATS_GAPS = counter(
    "internals", "X", "circus_exporter_stats_gap_messages_total",
    "Samples that the daemon published and the exporter never got.",
)  # fmt: skip
EVENT_GAPS = counter(
    "internals", "X", "circus_exporter_event_gap_records_total",
    "Lifecycle records that did not arrive by themselves and were asked for.",
)  # fmt: skip
EVENTS_LOST = counter(
    "internals", "X", "circus_exporter_event_lost_records_total",
    "Lifecycle records that had left the daemon's journal before they could be asked for.",
)  # fmt: skip
SPANS_EXPORTED = counter("internals", "X", "circus_spans_exported_total", "Spans that the collector has taken.")
SPANS_DROPPED = counter(
    "internals", "X", "circus_spans_dropped_total",
    "Spans that the collector never had: too many waited, it refused the request or a part of it, or the exporter left.",
    "reason", reason=SPAN_DROPS,
)  # fmt: skip
SPANS_WAITING = gauge("internals", "X", "circus_spans_waiting", "Spans that are to be delivered.")
METRIC_EXPORTS = counter(
    "internals", "X", "circus_otlp_metric_exports_total", "Requests with metrics that were sent to the collector.",
    "outcome", outcome=METRIC_EXPORT_OUTCOMES,
)  # fmt: skip
SECTIONS_FAILED = gauge(
    "internals", "X", "circus_exporter_sections_failed",
    "Sections of the exporter's configuration that cannot be served; its log and its page say why.",
)  # fmt: skip
WEB_CONFIG_OK = gauge(
    "internals", "X", "circus_exporter_web_config_last_reload_successful",
    "1 if the web configuration is in force as it is now, 0 if it was changed into something that cannot be used; "
    "absent without one.",
)  # fmt: skip
SERIES = gauge("internals", "X", "circus_exporter_series", "Series on this page.")
SERIES_LIMIT = gauge("internals", "X", "circus_exporter_series_limit", "Series that a page may have, by max_series.")
LEFT_OUT_PARTS = gauge(
    "internals", "X", "circus_exporter_left_out",
    "What this page leaves out to stay within its limit: processes with less detail than wanted, processes, watchers "
    "without histograms, sockets, watchers.", "part", part=LEFT_OUT,
)  # fmt: skip
PROCESS_DETAIL = gauge(
    "internals", "X", "circus_exporter_process_detail", "1 for how much this page tells of processes, 0 for the rest.",
    "level", level=DETAILS,
)  # fmt: skip
DAEMON_CPU = counter(
    "internals", "P", "circus_daemon_cpu_seconds_total", "CPU time of the daemon.", "mode", mode=CPU_MODES
)
DAEMON_RESIDENT = gauge("internals", "P", "circus_daemon_resident_memory_bytes", "Memory of the daemon in RAM.")
DAEMON_OPEN_FDS = gauge("internals", "P", "circus_daemon_open_fds", "Open file descriptors of the daemon.")
DAEMON_MAX_FDS = gauge("internals", "P", "circus_daemon_max_fds", "File descriptors that the daemon may open.")
ACCEPT_QUEUE = gauge(
    "internals", "A", "circus_socket_accept_queue_length",
    "Connections that wait to be accepted on a socket that Circus owns.", "socket",
)  # fmt: skip
ACCEPT_LIMIT = gauge(
    "internals", "A", "circus_socket_accept_queue_limit",
    "Connections that may wait to be accepted on a socket that Circus owns.", "socket",
)  # fmt: skip

METRICS: Final[tuple[Metric, ...]] = (
    *(found for found in list(globals().values()) if isinstance(found, Metric)),
    *catalogue_alerts.METRICS,
)
