"""The model of Grafana's own SDK reads what is shipped, and knows every key of it."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.grafana.frame import in_sight
from tests.dashboards.shipped import DASHBOARDS


def through_the_model(told: dict[str, Any]) -> Any:
    """What is left after reading and writing: the model drops what it does not know."""
    register_default_plugins()  # so that it knows panels and queries too
    return in_sight(json.loads(json.dumps(Dashboard.from_json(copy.deepcopy(told)), cls=JSONEncoder)))


@pytest.mark.parametrize("name", DASHBOARDS)
def test_the_model_changes_nothing(name: str) -> None:
    assert through_the_model(DASHBOARDS[name]) == DASHBOARDS[name]


@pytest.mark.parametrize(
    "path", [(), ("panels", 1), ("panels", 1, "targets", 0), ("templating", "list", 1), ("links", 0)]
)
def test_a_key_that_grafana_does_not_have_is_found(path: tuple[str | int, ...]) -> None:
    told = copy.deepcopy(DASHBOARDS["circus-overview"])
    inner: Any = told
    for step in path:
        inner = inner[step]
    inner["legendFormatt"] = "{{watcher}}"
    assert through_the_model(told) != told
