"""Series as text, fast.

Owns the text formats: headers, label blocks, lines. It refuses to know where values come from and which of them are
still true. Invariant: the sample lines are the same in both formats, text 0.0.4 and OpenMetrics 1.0; only the headers
differ, and the exemplars of buckets, which OpenMetrics alone has.

A fleet of 2,000 processes has 10,000 series and more, and each watcher adds some 120 that mostly stand at 0. The
general client library makes objects of them, sorts and checks their labels, and needs 60 to 100 ms for 10,000. Here the
label block of a series is made once and kept for as long as the series is there, and a line is one formatted string.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import accumulate
from operator import attrgetter
from typing import Final, Literal

from circus.wire.samples import Exemplar, Histogram, ProcessSample, WatcherSample
from circus_exporters import catalogue
from circus_exporters.metric import Metric

Detail = Literal["full", "cpu_mem", "off"]

_PLAIN: Final = ""
_INFO: Final = "pid"
# Each family with its columns: (the label value that the column adds, the field of the sample).
_COLUMNS: Final[tuple[tuple[Metric, tuple[tuple[str, str], ...]], ...]] = (
    (catalogue.PROCESS_START_TIME, ((_PLAIN, "started"),)),
    (catalogue.PROCESS_CPU, (("user", "cpu_user_seconds"), ("system", "cpu_system_seconds"))),
    (catalogue.PROCESS_CPU_WAIT, ((_PLAIN, "cpu_wait_seconds"),)),
    (catalogue.PROCESS_RESIDENT, ((_PLAIN, "resident_bytes"),)),
    (catalogue.PROCESS_PEAK, ((_PLAIN, "peak_resident_bytes"),)),
    (catalogue.PROCESS_VIRTUAL, ((_PLAIN, "virtual_bytes"),)),
    (catalogue.PROCESS_SHARED, ((_PLAIN, "shared_bytes"),)),
    (catalogue.PROCESS_PROPORTIONAL, ((_PLAIN, "proportional_bytes"),)),
    (catalogue.PROCESS_UNIQUE, ((_PLAIN, "unique_bytes"),)),
    (catalogue.PROCESS_SWAPPED, ((_PLAIN, "swapped_bytes"),)),
    (catalogue.PROCESS_THREADS, ((_PLAIN, "threads"),)),
    (catalogue.PROCESS_FAULTS, (("minor", "minor_faults"), ("major", "major_faults"))),
    (catalogue.PROCESS_OPEN_FDS, ((_PLAIN, "open_fds"),)),
    (catalogue.PROCESS_MAX_FDS, ((_PLAIN, "max_fds"),)),
    (catalogue.PROCESS_READ, ((_PLAIN, "read_bytes"),)),
    (catalogue.PROCESS_WRITE, ((_PLAIN, "write_bytes"),)),
    (catalogue.PROCESS_SWITCHES, (("voluntary", "voluntary_switches"), ("involuntary", "involuntary_switches"))),
)


def escape(value: str) -> str:
    """A label value as both formats write it."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _block(labels: Iterable[tuple[str, str]]) -> str:
    pairs = ",".join(f'{name}="{escape(value)}"' for name, value in labels)
    return f"{{{pairs}}}" if pairs else ""


def header(metric: Metric, *, openmetrics: bool) -> str:
    """The lines that open a family."""
    if not openmetrics:
        shown = "gauge" if metric.type == "info" else metric.type
        return f"# HELP {metric.name} {metric.help}\n# TYPE {metric.name} {shown}\n"
    unit = f"# UNIT {metric.family} {metric.unit}\n" if metric.unit else ""
    return f"# HELP {metric.family} {metric.help}\n# TYPE {metric.family} {metric.type}\n{unit}"


def _exemplar(exemplar: Exemplar) -> str:
    """What follows a bucket in OpenMetrics: one value of those that it counts, and the trace to look it up by."""
    return f' # {{trace_id="{escape(exemplar.trace)}"}} {exemplar.value} {exemplar.time}'


class Heads:
    """What stands before the values, `name{label="value",…} `, kept from one scrape to the next."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, ...], str] = {}
        self._edges: dict[tuple[str, ...], tuple[list[float], list[str]]] = {}
        self._old = self._kept
        self._old_edges = self._edges

    def turn(self) -> None:
        """A new scrape begins: what it does not use will be forgotten at the next turn."""
        self._old, self._kept = self._kept, {}
        self._old_edges, self._edges = self._edges, {}

    def of(self, metric: Metric, labels: tuple[str, ...]) -> str:
        """The head of one series."""
        key = (metric.name, *labels)
        head = self._old.get(key)
        if head is None:
            head = f"{metric.name}{_block(zip(metric.labels, labels, strict=True))} "
        self._kept[key] = head
        return head

    def of_histogram(self, metric: Metric, labels: tuple[str, ...], bounds: list[float]) -> list[str]:
        """The heads of a histogram: its buckets up to +Inf, then count and sum."""
        key = (metric.name, *labels)
        bounds_before, heads = self._old_edges.get(key, (None, []))
        if bounds_before != bounds:
            pairs = list(zip(metric.labels, labels, strict=True))
            edges = [*(repr(float(bound)) for bound in bounds), "+Inf"]
            heads = [f"{metric.name}_bucket{_block([*pairs, ('le', edge)])} " for edge in edges]
            heads += [f"{metric.name}_{suffix}{_block(pairs)} " for suffix in ("count", "sum")]
        self._edges[key] = (bounds, heads)
        return heads


class FamilyWriter:
    """Writes the families of one scrape, each in one piece whatever the order of the calls."""

    def __init__(self, heads: Heads, *, openmetrics: bool) -> None:
        heads.turn()
        self._heads = heads
        self._openmetrics = openmetrics
        self._lines: dict[str, list[str]] = {}

    def count(self) -> int:
        """The number of series so far."""
        return sum(map(len, self._lines.values())) - len(self._lines)

    def marks(self) -> dict[str, int]:
        """Where the page stands, for `undo`."""
        return {name: len(lines) for name, lines in self._lines.items()}

    def undo(self, marks: Mapping[str, int]) -> None:
        """Take back what was added since."""
        for name, lines in list(self._lines.items()):
            if name in marks:
                del lines[marks[name] :]
            else:
                del self._lines[name]

    def add_labelled(self, metric: Metric, pairs: Iterable[tuple[str, str]]) -> None:
        """A series of value 1 whose labels are not those of every other series of its family."""
        self._of(metric).append(f"{metric.name}{_block(pairs)} 1\n")

    def add(self, metric: Metric, value: float | None, *labels: str) -> None:
        """One series; a value that is not known is no series."""
        if value is not None:
            self._of(metric).append(f"{self._heads.of(metric, labels)}{value}\n")

    def add_all(self, metric: Metric, values: Mapping[str, float], *labels: str) -> None:
        """A series for each value of the last label: those that are known beforehand, then the others."""
        closed = metric.closed.get(metric.labels[-1], ())
        if not closed and not values:
            return
        lines, head = self._of(metric), self._heads.of
        for key in closed:
            lines.append(f"{head(metric, (*labels, key))}{values.get(key, 0)}\n")
        for key, value in values.items():
            if key not in closed:
                lines.append(f"{head(metric, (*labels, key))}{value}\n")

    def add_histogram(self, metric: Metric, histogram: Histogram, *labels: str) -> None:
        """Buckets add up on the page; on the wire each stands for itself."""
        heads = self._heads.of_histogram(metric, labels, histogram.bounds)
        values: list[float] = list(accumulate(histogram.counts))
        values += (values[-1], histogram.sum)
        lines = self._of(metric)
        first = len(lines)
        lines.extend(f"{head}{value}\n" for head, value in zip(heads, values, strict=True))
        if self._openmetrics:
            for each in histogram.exemplars:
                lines[first + each.bucket] = f"{lines[first + each.bucket][:-1]}{_exemplar(each)}\n"

    def pieces(self) -> list[str]:
        """The text in pieces, in the order of the catalogue."""
        return [piece for metric in catalogue.METRICS for piece in self._lines.get(metric.name, ())]

    def _of(self, metric: Metric) -> list[str]:
        lines = self._lines.get(metric.name)
        if lines is None:
            lines = self._lines[metric.name] = [header(metric, openmetrics=self._openmetrics)]
        return lines


class _Slot:
    """The label blocks of one slot: they stay the same over all processes that fill it, but for the pid."""

    __slots__ = ("blocks", "pid")

    def __init__(self, watcher: str, wid: int, pid: int) -> None:
        stem = f'{{watcher="{escape(watcher)}",wid="{wid}"'
        self.blocks = {_PLAIN: stem + "}"}
        kinds = (*catalogue.FAULT_KINDS, *catalogue.SWITCH_KINDS)
        for label, values in (("mode", catalogue.CPU_MODES), ("kind", kinds)):
            for value in values:
                self.blocks[value] = f'{stem},{label}="{value}"}}'
        self.set_pid(pid)

    def set_pid(self, pid: int) -> None:
        self.pid = pid
        self.blocks[_INFO] = f'{self.blocks[_PLAIN][:-1]},pid="{pid}"}}'


def series_of_process(detail: Detail) -> int:
    """How many series a process has at most."""
    if detail == "off":
        return 0
    return 1 + sum(len(columns) for metric, columns in _COLUMNS if detail in ("full", metric.detail))


class ProcessWriter:
    """Writes the process families; keeps the label blocks of the slots that it saw last. `series` is how many the last
    `write` made.
    """

    def __init__(self) -> None:
        self.series = 0
        self._slots: dict[tuple[str, int], _Slot] = {}

    def write(self, samples: Iterable[WatcherSample], detail: Detail, *, openmetrics: bool) -> list[str]:
        """The text in pieces. A value that is not known is no series; a family without series is left out."""
        self.series = 0
        if detail == "off":
            return []
        processes, slots = self._match(samples)
        if not processes:
            return []
        pieces = [header(catalogue.PROCESS_INFO, openmetrics=openmetrics)]
        name = catalogue.PROCESS_INFO.name
        pieces += [f"{name}{slot.blocks[_INFO]} 1\n" for slot in slots]
        headers = 1
        for metric, columns in _COLUMNS:
            if detail == "cpu_mem" and metric.detail != "cpu_mem":
                continue
            lines: list[str] = []
            name = metric.name
            for key, field in columns:
                values = map(attrgetter(field), processes)
                lines += [
                    f"{name}{slot.blocks[key]} {value}\n"
                    for slot, value in zip(slots, values, strict=True)
                    if value is not None
                ]
            if lines:
                pieces.append(header(metric, openmetrics=openmetrics))
                pieces += lines
                headers += 1
        self.series = len(pieces) - headers
        return pieces

    def _match(self, samples: Iterable[WatcherSample]) -> tuple[list[ProcessSample], list[_Slot]]:
        """The processes with their slots, in step; slots that are not there any more are forgotten.

        One process a slot, whatever the samples say: a series that stands there twice would fail the whole scrape.
        """
        rows = {(sample.watcher, process.wid): process for sample in samples for process in sample.processes}
        known, kept = self._slots, {}
        for key, process in rows.items():
            slot = known.get(key)
            if slot is None:
                slot = _Slot(*key, process.pid)
            elif slot.pid != process.pid:
                slot.set_pid(process.pid)
            kept[key] = slot
        self._slots = kept
        return list(rows.values()), list(kept.values())
