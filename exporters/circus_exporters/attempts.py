"""Attempts to hand something to somebody else: what became of one, and when the next is due.

Owns what deliveries of all kinds have in common: spans to a collector, alerts to a sink. It refuses to know what is
delivered. Invariant: `insist` ends in an outcome that no later attempt would better, or is cancelled.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from time import time
from typing import Final

import aiohttp

AGENT: Final = "circus-exporter"
FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 30.0
HURRIED_PAUSE: Final = 0.2
_SHOWN: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """`problem` is None when it was taken, of which `rejected` parts were not; `again` says that a later attempt may
    help, not before `wait` seconds. `kind` is the problem in one word, for counts.
    """

    problem: str | None = None
    again: bool = False
    wait: float = 0.0
    rejected: int = 0
    kind: str = "refused"


async def insist(
    attempt: Callable[[], Awaitable[Outcome]],
    tell: Callable[[Outcome], None],
    *,
    first_pause: float = FIRST_PAUSE,
    longest_pause: float = LONGEST_PAUSE,
    patient: bool = True,
    lasting: float = math.inf,
) -> Outcome:
    """Attempts until one was taken or a later one would not help, each outcome told, with the pause that follows as its
    `wait`; pauses in seconds double, with jitter, and are never shorter than what the other side asked for. Without
    patience no pause is long. None is made that would begin more than `lasting` seconds after the first.
    """
    loop = asyncio.get_running_loop()
    pause, until = first_pause, loop.time() + lasting
    while True:
        outcome = await attempt()
        wait = max(outcome.wait, pause * random.uniform(0.8, 1.2))  # noqa: S311 -- a pause, no secret
        if not patient:
            wait = min(wait, HURRIED_PAUSE)
        if outcome.again and loop.time() + wait > until:
            outcome = replace(outcome, again=False)
        tell(replace(outcome, wait=wait))
        if outcome.problem is None or not outcome.again:
            return outcome
        await asyncio.sleep(wait)
        pause = min(pause * 2, longest_pause)


class Teller:
    """Says once that an address does not take anything, and once that it does again."""

    def __init__(self, logger: logging.Logger, what: str, address: str) -> None:
        self._logger, self._what, self._address = logger, what, address
        self.problem: str | None = None

    def tell(self, outcome: Outcome) -> None:
        problem = outcome.problem
        if problem is None and self.problem is not None:
            self._logger.info("%s are taken again at %s", self._what, self._address)
        elif problem is not None and (self.problem is None or not outcome.again):
            then = "trying again" if outcome.again else "given up"
            if problem != self.problem:
                self._logger.warning("%s cannot be delivered to %s, %s: %s", self._what, self._address, then, problem)
        self.problem = problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back over HTTP; `wait` is what Retry-After asks for, in seconds."""

    status: int
    body: bytes
    problem: str
    wait: float


class Poster:
    """Requests to one URL over a connection that is kept; `timeout` in seconds is for one request. `tls` is a context, or
    False for not looking at certificates.
    """

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        timeout: float,
        tls: ssl.SSLContext | bool = True,
        *,
        method: str = "POST",
    ) -> None:
        self._method = method
        self._url = url
        self._headers = {"User-Agent": AGENT, **headers}
        self._timeout = timeout
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None

    async def send(self, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Answer | Outcome:
        """What was answered, or an outcome when nothing was. Redirects are not followed. Raises nothing else than a
        cancellation.
        """
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=self._timeout), trust_env=True)
        try:
            async with self._session.request(
                self._method,
                self._url,
                data=body or None,
                headers={**self._headers, **(headers or {})},
                ssl=self._tls,
                allow_redirects=False,
            ) as response:
                read = await response.read()
                problem = f"it answers {response.status} {response.reason}: {shown(read)}".rstrip(": ")
                wait = retry_after(response.headers.get("Retry-After"))
                return Answer(status=response.status, body=read, problem=problem, wait=wait)
        except TimeoutError:
            return Outcome(problem=f"no answer within {self._timeout:g} seconds", again=True, kind="timeout")
        except (aiohttp.ClientError, OSError) as error:
            return Outcome(problem=str(error) or type(error).__name__, again=True, kind="unreachable")
        except ValueError as error:  # a header or an address that cannot be sent
            return Outcome(problem=str(error))

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None


def shown(body: bytes) -> str:
    """The beginning of what somebody else wrote, fit for one line."""
    text = body[:_SHOWN].decode("utf-8", "replace")
    return "".join(letter if letter.isprintable() else " " for letter in text).strip()


def retry_after(header: str | None) -> float:
    """Seconds by a Retry-After header; 0 for none and for one that says nothing."""
    if header is None:
        return 0.0
    try:
        wait = float(header)
    except ValueError:
        pass
    else:
        return wait if 0.0 <= wait < float("inf") else 0.0
    try:
        return max(parsedate_to_datetime(header).timestamp() - time(), 0.0)
    except ValueError:
        return 0.0
