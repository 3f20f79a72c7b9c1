"""The shipped configurations of Prometheus and Alertmanager, with the addresses of a test and without their patience."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from dashboards.alerts import files
from dashboards.alerts.settings import Settings
from tests.helpers.daemon import REPOSITORY

PROVISIONING = REPOSITORY / "dashboards" / "provisioning"
_PATIENCE = {"group_wait": "100ms", "group_interval": "1s", "repeat_interval": "1h"}


def write_rules(settings: Settings, directory: pathlib.Path) -> str:
    """Make the rules with these settings; the pattern that `rule_files` takes."""
    for path, text in files(settings).items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_text(text)
    return str(directory / "prometheus" / "circus-*.yml")


def prometheus(
    name: str, *, rules: str = "", alertmanagers: Sequence[str] = (), discovery: Mapping[str, Any] | None = None
) -> str:
    """The configuration `name`, scraping each second. `discovery` are keys of its job to be replaced."""
    document = yaml.safe_load((PROVISIONING / "prometheus" / f"{name}.yml").read_text())
    document["global"] |= {"scrape_interval": "1s", "scrape_timeout": "900ms"}
    document["rule_files"] = [rules] if rules else []
    (told,) = document["alerting"]["alertmanagers"]
    (static,) = told["static_configs"]
    assert static["targets"], "no Alertmanager is configured"
    static["targets"] = list(alertmanagers)
    (job,) = document["scrape_configs"]
    assert not set(discovery or {}) - set(job), "another key than the shipped one"
    job.update(discovery or {})
    return yaml.safe_dump(document)


def alertmanager(webhook: str) -> str:
    """The configuration with its two webhooks at another place."""
    document = yaml.safe_load((PROVISIONING / "alertmanager" / "alertmanager.yml").read_text())
    for receiver in document["receivers"]:
        for hook in receiver["webhook_configs"]:
            hook["url"] = f"{webhook}/{hook['url'].rpartition('/')[2]}"
    for route in (document["route"], *document["route"]["routes"]):
        route |= {key: value for key, value in _PATIENCE.items() if key in route}
    return yaml.safe_dump(document)
