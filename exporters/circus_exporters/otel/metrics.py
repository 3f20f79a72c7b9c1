"""The snapshot of the fleet as metrics of OTLP, at the level of watchers.

Owns the mapping from the catalogue's families to OTLP's kinds. It refuses to keep anything: values are the daemon's own
totals, so each request stands for itself and none that is lost costs a count. Series of single processes are left to
Prometheus, where they cost a tenth.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.metrics.v1 import metrics_pb2 as otlp
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from circus.wire.samples import Histogram
from circus_exporters import catalogue
from circus_exporters.metric import Metric
from circus_exporters.otel.encode import key_value, nanoseconds, scope
from circus_exporters.otel.semantics import SCHEMA_URL
from circus_exporters.state import FleetState
from circus_exporters.watchers import tell_deliveries, tell_durations, tell_watcher

_UNITS = {"seconds": "s", "bytes": "By"}
_CUMULATIVE = otlp.AGGREGATION_TEMPORALITY_CUMULATIVE


class _Page:
    """The metrics of one request: families in the order of their first point."""

    def __init__(self, began: float, now: float) -> None:
        self._began, self._now = nanoseconds(began), nanoseconds(now)
        self._metrics: dict[str, otlp.Metric] = {}

    def metrics(self) -> Iterator[otlp.Metric]:
        yield from self._metrics.values()

    def _of(self, metric: Metric) -> otlp.Metric:
        found = self._metrics.get(metric.name)
        if found is None:
            # A backend that speaks Prometheus adds unit and type to the name again, and has the names of /metrics then.
            name = metric.name if metric.type == "info" else metric.family.removesuffix(f"_{metric.unit}")
            found = otlp.Metric(name=name, unit=_UNITS.get(metric.unit, ""), description=metric.help)
            if metric.type == "counter":
                found.sum.aggregation_temporality, found.sum.is_monotonic = _CUMULATIVE, True
            elif metric.type == "histogram":
                found.histogram.aggregation_temporality = _CUMULATIVE
            else:
                found.gauge.SetInParent()
            self._metrics[metric.name] = found
        return found

    def add(self, metric: Metric, value: float | None, *labels: str) -> None:
        """One point; none is made of an unknown value."""
        if value is None:
            return
        into = self._of(metric)
        point = otlp.NumberDataPoint(time_unix_nano=self._now, attributes=self._attributes(metric, labels))
        if isinstance(value, int):
            point.as_int = value
        else:
            point.as_double = value
        if metric.type == "counter":
            point.start_time_unix_nano = self._began
            into.sum.data_points.append(point)
        else:
            into.gauge.data_points.append(point)

    def add_all(self, metric: Metric, values: Mapping[str, float], *labels: str) -> None:
        known = {**dict.fromkeys(metric.closed.get(metric.labels[-1], ()), 0), **values}
        for label, value in known.items():
            self.add(metric, value, *labels, label)

    def add_labelled(self, metric: Metric, pairs: Iterable[tuple[str, str]]) -> None:
        self._of(metric).gauge.data_points.append(
            otlp.NumberDataPoint(time_unix_nano=self._now, as_int=1, attributes=[key_value(*pair) for pair in pairs])
        )

    def add_histogram(self, metric: Metric, histogram: Histogram, *labels: str) -> None:
        self._of(metric).histogram.data_points.append(
            otlp.HistogramDataPoint(
                start_time_unix_nano=self._began, time_unix_nano=self._now, sum=histogram.sum,
                count=sum(histogram.counts), bucket_counts=histogram.counts, explicit_bounds=histogram.bounds,
                attributes=self._attributes(metric, labels),
            )
        )  # fmt: skip

    @staticmethod
    def _attributes(metric: Metric, labels: tuple[str, ...]) -> list[KeyValue]:
        return [key_value(name, value) for name, value in zip(metric.labels, labels, strict=True)]


def metrics_request(of: Resource, state: FleetState, now: float) -> ExportMetricsServiceRequest:
    """The fleet as it is; `now` is the monotonic time, by which samples are too old or not."""
    telemetry = state.telemetry
    assert telemetry is not None
    page = _Page(telemetry.arbiter.started, telemetry.time)
    page.add(catalogue.UP, int(state.up(now)))
    page.add(catalogue.START_TIME, telemetry.arbiter.started)
    page.add(catalogue.CONFIG_OK, int(telemetry.config.ok and telemetry.config.refused_time is None))
    page.add(catalogue.CONFIG_TIME, telemetry.config.applied_time)
    for watcher in state.watchers():
        tell_watcher(page, state, watcher)
        tell_durations(page, watcher)
    tell_deliveries(page, state)
    scoped = otlp.ScopeMetrics(scope=scope(), schema_url=SCHEMA_URL, metrics=page.metrics())
    return ExportMetricsServiceRequest(
        resource_metrics=[otlp.ResourceMetrics(resource=of, schema_url=SCHEMA_URL, scope_metrics=[scoped])]
    )
