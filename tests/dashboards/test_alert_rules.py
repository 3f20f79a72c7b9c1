"""Each alert under the real promtool: silent before, firing after, silent for what people do on purpose; and a mistake in
its expression does not go unseen."""

from __future__ import annotations

import pathlib

import pytest

from tests.helpers.daemon import REPOSITORY
from tests.helpers.rules import ALERTS, TESTS, judged, mistakes, needed, promtool

pytestmark = pytest.mark.real

RULES = sorted((REPOSITORY / "dashboards/out/prometheus").glob("circus-*.yml"))


def test_promtool_takes_the_rules() -> None:
    done = promtool("check", "rules", *RULES)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("alert", sorted(ALERTS))
def test_an_alert_does_what_its_tests_say(alert: str) -> None:
    done = promtool("test", "rules", TESTS / f"{alert}.yml")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("alert", sorted(ALERTS))
def test_a_mistake_in_an_alert_fails_its_tests(alert: str, tmp_path: pathlib.Path) -> None:
    right = [rule.as_dict() for rule in needed(ALERTS[alert])]
    done = judged(alert, right, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    planted = list(mistakes(ALERTS[alert]))
    assert planted
    assert [what for what, rules in planted if judged(alert, rules, tmp_path).returncode == 0] == []
