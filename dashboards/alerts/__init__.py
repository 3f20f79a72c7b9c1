"""Alert rules and recording rules for Prometheus, made from the catalogue of metrics and `dashboards/config.yaml`.

Owns which files there are: one group each, so that a site can take some and leave others (`circus-slo.yml` reads what
`circus-watchers.yml` records). It refuses to know how a rule is put together. Invariant: with the same settings the
text is the same.
"""

from __future__ import annotations

from dashboards.alerts.model import Group, rule_file
from dashboards.alerts.processes import processes
from dashboards.alerts.settings import Settings
from dashboards.alerts.slo import slo
from dashboards.alerts.supervisor import supervisor
from dashboards.alerts.watchers import watchers

DIRECTORY = "prometheus"


def groups(settings: Settings) -> tuple[Group, ...]:
    """All rules. WrongSetting for settings that cannot be used, UnknownName for a metric that does not exist."""
    made = (supervisor(settings), watchers(settings), processes(settings), slo(settings))
    settings.check_used()
    return made


def files(settings: Settings | None = None) -> dict[str, str]:
    """The rule files, by their path below `out/`."""
    made = groups(Settings.load() if settings is None else settings)
    return {f"{DIRECTORY}/{group.name.replace('.', '-')}.yml": rule_file([group]) for group in made}
