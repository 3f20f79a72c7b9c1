"""How limits are sorted by the way in which they are set."""

import os
import resource

import pytest

from circus.exc import SpawnError
from circus.runtime.child_setup import NO_LIMITS, resolve_limits
from circus.runtime.fds import ROOM, devnull

# Kept from the first use on.
devnull()


def test_harmless_limits_take_no_shell() -> None:
    limits = resolve_limits({"core": 0, "nofile": 100})
    assert limits.prefix == ()
    assert dict(limits.around) == dict(limits.after) == {resource.RLIMIT_CORE: 0, resource.RLIMIT_NOFILE: 100}


@pytest.mark.parametrize(
    ("name", "value", "command"),
    [
        ("cpu", 60, "ulimit -S -t 60"),
        ("as", 8192, "ulimit -S -v 8"),
        ("data", None, "ulimit -S -d unlimited"),
        ("stack", 8192, "ulimit -s 8"),
    ],
)
def test_biting_limits_are_set_by_a_shell_that_becomes_the_program(name: str, value: int | None, command: str) -> None:
    limits = resolve_limits({name: value})
    assert limits.around == ()
    assert limits.prefix == ("/bin/sh", "-c", f'{command} && exec "$@"', "circus")
    assert limits.words({"PWD": "/", "SHLVL": "1"})[2] == f'unset OLDPWD; {command} && exec "$@"'
    assert limits.words({"PWD": "/", "OLDPWD": "/", "SHLVL": "1"}) == limits.prefix


def test_what_the_shell_sets_and_what_is_set_on_the_child_agree() -> None:
    limits = resolve_limits({"as": 8191})
    assert "ulimit -S -v 7 " in limits.prefix[2]
    assert dict(limits.after) == {resource.RLIMIT_AS: 7 * 1024}


def test_a_limit_of_descriptors_below_what_a_spawn_needs_is_set_by_the_shell() -> None:
    limits = resolve_limits({"nofile": 3, "core": 0})
    fitting = limits.fitting()
    assert "ulimit -S -n 3 " in fitting.prefix[2]
    held = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert dict(fitting.around) == {resource.RLIMIT_CORE: 0, resource.RLIMIT_NOFILE: held}
    assert fitting.after == limits.after


def test_a_limit_is_not_in_force_here_when_a_few_clients_would_reach_it() -> None:
    free = os.open(os.devnull, os.O_RDONLY)
    os.close(free)
    assert resolve_limits({"nofile": free + 60}).fitting().prefix
    assert not resolve_limits({"nofile": free + 160}).fitting().prefix


def test_limits_that_fit_stay_as_they_are() -> None:
    limits = resolve_limits({"nofile": resource.getrlimit(resource.RLIMIT_NOFILE)[0]})
    assert limits.fitting() is limits
    assert ROOM.raised or NO_LIMITS.fitting() is NO_LIMITS


def test_an_unknown_limit_is_told() -> None:
    with pytest.raises(SpawnError, match="no resource limit 'rlimit_foo'"):
        resolve_limits({"foo": 1})
