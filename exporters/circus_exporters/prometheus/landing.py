"""The page at `/`: what this is, whether it works, and the watchers at a glance.

Owns the HTML; refuses to know HTTP. Invariant: every text that comes from outside is escaped. The page is one piece:
no script, nothing loaded from elsewhere.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from html import escape

from circus.wire.endings import sentence
from circus.wire.events import Record
from circus.wire.snapshot import LastExit, WatcherSnapshot
from circus_exporters.state import Alerting, FleetState, alive

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #888; --good: #1a7f37; --bad: #c4342b; --wait: #9a6700; }
@media (prefers-color-scheme: dark) { :root { --good: #4ac26b; --bad: #ff7b72; --wait: #d4a72c; } }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 62rem; padding: 0 1rem; }
h1 { font-size: 1.4rem; margin: 0; } h2 { font-size: 1.05rem; margin: 2rem 0 .5rem; }
p, dl { margin: .5rem 0; } .soft, dt { color: var(--soft); }
nav a { margin-right: 1.2rem; } code { font-size: .92em; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0 1.2rem; } dd { margin: 0; }
.table { overflow-x: auto; } table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { font-weight: 600; } .number { text-align: right; font-variant-numeric: tabular-nums; }
.good { color: var(--good); } .bad { color: var(--bad); } .wait { color: var(--wait); }
"""
_STATE_CLASS = {"active": "good", "fatal": "bad", "backoff": "bad", "stopped": "soft", "waiting": "soft"}

_TELLING = ("alert", "severity", "hook", "command", "notify", "signal", "cause", "reason", "error")
"""What else is worth a word in a record."""
_LONGEST = 160


def landing_page(state: FleetState, now: float) -> str:
    """The whole page; `now` is the monotonic time."""
    parts = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>",
        "<meta name='viewport' content='width=device-width, initial-scale=1'>",
        f"<title>circus-exporter</title><style>{_STYLE}</style></head><body>",
        "<h1>circus-exporter</h1>",
        "<p class='soft'>Metrics of a Circus daemon, of its watchers and of each process, for Prometheus.</p>",
        "<nav><a href='metrics'>/metrics</a><a href='-/healthy'>/-/healthy</a><a href='-/ready'>/-/ready</a></nav>",
        _daemon(state, now),
    ]
    parts += [f"<p class='bad'>{escape(problem)}</p>" for problem in state.problems.values()]
    if state.alerting is not None:
        parts.append(_alerts(state.alerting))
    watchers = state.watchers()
    if watchers:
        parts.append(_watchers(state, watchers, now))
    if state.recent:
        parts.append(_records(state.recent))
    parts.append("</body></html>\n")
    return "".join(parts)


def _daemon(state: FleetState, now: float) -> str:
    telemetry = state.telemetry
    if telemetry is None or not state.attached():
        return (
            f"<h2>Daemon</h2><p class='bad'>No daemon answers at <code>{escape(state.address)}</code>.</p>"
            "<p class='soft'><code>circus_up</code> is 0. This page fills itself when a daemon is back.</p>"
        )
    age = state.sample_age(now)
    if age is None:
        sampled = "none yet" if state.sampled else "the daemon has no stats channel"
    else:
        sampled = f"{_duration(age)} ago"
    up = state.up(now)
    rows = [
        ("Status", f"<span class='{'good' if up else 'bad'}'>{'up' if up else 'samples are stale'}</span>"),
        ("Version", escape(telemetry.version)),
        ("Process", f"{telemetry.arbiter.pid}, started {_ago(telemetry.arbiter.started, telemetry.time)}"),
        ("Asked at", f"<code>{escape(state.address)}</code>"),
        ("Configuration", escape(telemetry.config.file or "none")),
        ("Last sample", sampled),
    ]
    omitted = "".join(f"<p class='bad'>Left out: {escape(sentence)}</p>" for sentence in telemetry.config.omitted)
    listed = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in rows)
    return f"<h2>Daemon</h2><dl>{listed}</dl>{omitted}"


def _alerts(alerting: Alerting) -> str:
    firing = ", ".join(f"{number} {severity}" for severity, number in alerting.active.items() if number)
    rows = []
    for name, delivered in alerting.delivered.items():
        problem = alerting.problems.get(name)
        cells = [
            ("", escape(name)),
            ("number", str(delivered)),
            ("number", str(sum(alerting.failed[name].values()))),
            ("number", str(alerting.waiting.get(name, 0))),
            ("good", "well") if problem is None else ("bad", escape(problem)),
        ]
        rows.append("<tr>" + "".join(f"<td class='{kind}'>{text}</td>" for kind, text in cells) + "</tr>")
    told = f"<h2>Alerts</h2><p>Firing: {firing or 'none'}.</p>"
    if "circusd" in alerting.problems:
        told += f"<p class='bad'>{escape(alerting.problems['circusd'])}</p>"
    if not rows:
        return told
    titles = (
        ("", "Told to"),
        ("number", "Delivered"),
        ("number", "Given up"),
        ("number", "Waiting"),
        ("", "How it goes"),
    )
    head = "".join(f"<th class='{kind}'>{title}</th>" for kind, title in titles)
    return f"{told}<div class='table'><table><tr>{head}</tr>{''.join(rows)}</table></div>"


def _watchers(state: FleetState, watchers: Iterable[WatcherSnapshot], now: float) -> str:
    resident = {sample.watcher: sample.totals.resident_bytes for sample in state.samples(now)}
    rows = []
    for watcher in watchers:
        cpu = state.watcher_cpu(watcher)
        memory = resident.get(watcher.name)
        cells = [
            ("", escape(watcher.name)),
            (_STATE_CLASS.get(watcher.state, "wait"), escape(watcher.state)),
            ("number", f"{watcher.processes.get('running', 0)} of {watcher.desired}"),
            ("number", str(sum(watcher.counters.restarts.values()))),
            ("number", "unknown" if cpu is None else f"{sum(cpu):,.1f} s"),
            ("number", _memory(memory, alive=bool(alive(watcher)))),
            ("", _last_exit(watcher.last_exit)),
        ]
        rows.append("<tr>" + "".join(f"<td class='{kind}'>{text}</td>" for kind, text in cells) + "</tr>")
    titles = (("", "Watcher"), ("", "State"), ("number", "Running"), ("number", "Restarts"), ("number", "CPU time"),
              ("number", "Memory"), ("", "Last exit"))  # fmt: skip
    head = "".join(f"<th class='{kind}'>{title}</th>" for kind, title in titles)
    return f"<h2>Watchers</h2><div class='table'><table><tr>{head}</tr>{''.join(rows)}</table></div>"


def _records(records: Iterable[Record]) -> str:
    rows = "".join(
        f"<tr><td>{_clock(record.time)}</td><td>{escape(record.watcher or 'daemon')}</td>"
        f"<td>{escape(record.record)}</td><td class='number'>{record.pid or ''}</td><td>{escape(_told(record))}</td></tr>"
        for record in reversed(list(records))
    )
    head = "<tr><th>Time</th><th>Watcher</th><th>Event</th><th class='number'>Process</th><th>What happened</th></tr>"
    return f"<h2>Latest events</h2><div class='table'><table>{head}{rows}</table></div>"


def _told(record: Record) -> str:
    """What a record says, in words; nothing where its name says all."""
    data = record.data
    match record.record:
        case "process.exited":
            text = sentence(data)
        case "watcher.state":
            text = f"{data.get('from')} to {data.get('to')}"
        case _:
            text = ", ".join(f"{key} {data[key]}" for key in _TELLING if isinstance(data.get(key), str))
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _memory(resident: int | None, *, alive: bool) -> str:
    if resident is not None:
        return f"{resident / 2**20:,.1f} MiB"
    return "unknown" if alive else "none"


def _last_exit(last: LastExit | None) -> str:
    if last is None:
        return "<span class='soft'>never</span>"
    how = last.signal or f"code {last.exit_code}"
    return f"{escape(last.reason)} ({escape(how)}) at {_clock(last.time)}"


def _clock(moment: float) -> str:
    """With the zone: the reader may be in another one than the host."""
    return time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(moment))


def _ago(moment: float, now: float) -> str:
    return f"{_duration(max(now - moment, 0.0))} ago"


def _duration(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
