"""What this machine calls its signals, limits and users."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from circus.config import platform


def test_every_signal_of_python_is_known_by_name_and_number() -> None:
    for member in signal.Signals:
        assert platform.to_signum(member.name) == platform.to_signum(int(member)) == member


def test_an_alias_is_a_name_too() -> None:
    assert platform.to_signum("SIGIOT") == signal.SIGABRT


def test_limits_are_in_lower_case_without_prefix() -> None:
    assert {"nofile", "core", "cpu", "as"} <= platform.this_platform().rlimits


def test_the_own_user_and_group_exist() -> None:
    assert platform.user_exists(os.getuid())
    assert platform.group_exists(os.getgid())


@pytest.mark.parametrize("who", ["no-such-name-here", 2**40, 2**80])
def test_others_do_not(who: int | str) -> None:
    assert not platform.user_exists(who)
    assert not platform.group_exists(who)


@pytest.mark.parametrize("kind", ["python", "pypy"])
def test_a_virtualenv_is_there_when_its_packages_are(tmp_path: Path, kind: str) -> None:
    (tmp_path / f"lib/{kind}3.99/site-packages").mkdir(parents=True)
    assert platform.missing_virtualenv(str(tmp_path), "3.99") is None
    assert platform.missing_virtualenv(str(tmp_path), None) is not None
