"""Losses are added up and told from time to time."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from circus.stream import losses
from circus.stream.losses import Losses


async def test_the_first_loss_is_told_at_once_and_the_next_ones_together() -> None:
    told: list[Mapping[str, Any]] = []
    subject = Losses(told.append)
    subject.add("stdout", 5, 1, "No space left on device")
    subject.add("stdout", 7, 2, "No space left on device")
    await asyncio.sleep(0.001)
    assert told == [{"stream": "stdout", "bytes": 12, "lines": 3, "reason": "No space left on device"}]
    subject.add("stderr", 1, 1, "x")
    subject.add("stderr", 1, 1, "y")
    await asyncio.sleep(0.001)
    assert len(told) == 1
    subject.flush()
    assert told[1:] == [{"stream": "stderr", "bytes": 2, "lines": 2, "reason": "y"}]
    subject.flush()
    assert len(told) == 2


async def test_after_the_pause_more_is_told_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(losses, "PAUSE_SECONDS", 0.01)
    told: list[Mapping[str, Any]] = []
    subject = Losses(told.append)
    for _ in range(2):
        subject.add("stdout", 5, 1, "no")
        async with asyncio.timeout(20):
            while subject._timer is not None:  # noqa: ASYNC110 - the timer has no event
                await asyncio.sleep(0)
    assert sum(each["lines"] for each in told) == 2
