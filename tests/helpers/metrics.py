"""Reading an exporter's page the way a scraper does."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from tests.helpers.prometheus import get


class Page:
    """One scrape: values by name and labels."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._values = {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def value(self, name: str, **labels: str) -> float | None:
        """The value of exactly this series."""
        return self._values.get((name, tuple(sorted(labels.items()))))

    def total(self, name: str, **labels: str) -> float:
        """The sum over all series that carry at least these labels."""
        wanted = set(labels.items())
        return sum(value for (found, have), value in self._values.items() if found == name and wanted <= set(have))


def scrape(port: int, timeout: float = 5.0) -> Page | None:
    """The page of the exporter on a port of this machine; None while nobody answers there."""
    try:
        status, _, text = get(f"http://127.0.0.1:{port}/metrics", timeout)
    except OSError:
        return None
    return Page(text) if status == 200 else None
