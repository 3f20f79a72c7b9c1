from __future__ import annotations

from typing import Any

import pytest

from circus.exc import HookError
from circus.hooks import HookResult, resolve_hooks
from circus.spec.watcher import HookSpec


def ready(**_: Any) -> bool:
    return True


async def ready_later(**_: Any) -> bool:
    return True


NOT_A_FUNCTION = 3


def resolved(target: Any) -> Any:
    return resolve_hooks({"before_start": HookSpec(target=target)})["before_start"]


def test_a_dotted_name_gives_the_function() -> None:
    assert resolved(f"{__name__}.ready") is ready


def test_a_callable_is_taken_as_it_is() -> None:
    assert resolved(ready) is ready


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("no_such_package.hook", "no_such_package"),
        (f"{__name__}.absent", "absent"),
        (f"{__name__}.NOT_A_FUNCTION", "not callable"),
        (f"{__name__}.ready_later", "coroutine function"),
    ],
)
def test_what_cannot_be_called_is_refused_by_name_of_the_hook(target: str, told: str) -> None:
    with pytest.raises(HookError, match=told) as caught:
        resolved(target)
    assert "before_start" in str(caught.value)


def test_only_a_hook_that_answered_no_has_vetoed() -> None:
    assert HookResult(hook="before_start", ok=False, error=None, seconds=0.0).veto
    assert not HookResult(hook="before_start", ok=False, error="broken", seconds=0.0).veto
    assert not HookResult(hook="before_start", ok=True, error=None, seconds=0.0).veto
