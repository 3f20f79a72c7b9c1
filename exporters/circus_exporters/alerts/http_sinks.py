"""Webhooks and Alertmanager: alerts over HTTP.

Owns addresses, headers, signatures and what an answer means. It refuses to know queues. Invariant: a secret is in no message
and no log.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from circus.exc import CircusError
from circus.spec.alerts import NotifySpec
from circus_exporters.alerts import messages
from circus_exporters.alerts.messages import Notice
from circus_exporters.attempts import Outcome, Poster

_TRY_AGAIN: Final = (408, 425, 429)
_ALERTS_PATH: Final = "/api/v2/alerts"
_SILENT_ROUNDS: Final = 4
"""Alertmanager takes an alert for over that was not repeated so often: as many as Prometheus leaves."""


class _Http:
    """What both have in common."""

    mixed = False

    def __init__(self, spec: NotifySpec, url: str) -> None:
        self._spec = spec
        parts = urlsplit(url)
        # A token in a path or a query is a secret too: many services know their senders by it.
        self.shown = parts._replace(netloc=parts.netloc.rpartition("@")[2], path="", query="", fragment="").geturl()
        self._broken: str | None = None
        tls: ssl.SSLContext | bool = True
        if spec.certificate is not None:
            try:
                tls = ssl.create_default_context(cafile=spec.certificate)
            except OSError as error:  # ssl.SSLError is one
                self._broken = f"certificate {spec.certificate} cannot be used: {error.strerror or error}"
        headers = {"Content-Type": "application/json", **spec.headers}
        self._poster = Poster(url, headers, spec.timeout_seconds, tls)

    def check(self) -> None:
        if self._broken is not None:
            raise CircusError(f"[notify:{self._spec.name}]: {self._broken}")

    async def close(self) -> None:
        await self._poster.close()

    async def _post(self, document: object, headers: Mapping[str, str] | None = None) -> Outcome:
        return await self._send(messages.encoded(document), headers)

    async def _send(self, body: bytes, headers: Mapping[str, str] | None = None) -> Outcome:
        if self._broken is not None:
            return Outcome(problem=self._broken, kind="error")
        answer = await self._poster.send(body, headers)
        if isinstance(answer, Outcome):
            return answer
        if 200 <= answer.status < 300:
            return Outcome()
        again = answer.status >= 500 or answer.status in _TRY_AGAIN
        return Outcome(problem=answer.problem, again=again, wait=answer.wait)


class WebhookSink(_Http):
    """Any address that takes what Alertmanager's webhooks send."""

    def __init__(self, spec: NotifySpec, instance: str) -> None:
        assert spec.url is not None
        super().__init__(spec, spec.url)
        self._instance = instance

    def check(self) -> None:
        super().check()
        try:
            self._secret()
        except OSError as error:
            raise CircusError(f"[notify:{self._spec.name}]: {_of_file(self._spec, error)}") from error
        except ValueError as error:
            raise CircusError(f"[notify:{self._spec.name}]: {error}") from error

    async def deliver(self, notices: Sequence[Notice]) -> Outcome:
        body = messages.encoded(messages.webhook(notices, receiver=self._spec.name, instance=self._instance))
        try:
            secret = self._secret()
        except OSError as error:
            return Outcome(problem=_of_file(self._spec, error), again=True, kind="error")
        except ValueError as error:
            return Outcome(problem=str(error), again=True, kind="error")
        return await self._send(body, {} if secret is None else {messages.SIGNATURE: messages.signature(secret, body)})

    def _secret(self) -> bytes | None:
        """Read each time: secrets are changed. Unsigned is nothing sent that was to be signed."""
        if self._spec.secret_file is None:
            return None if self._spec.secret is None else self._spec.secret.encode()
        found = Path(self._spec.secret_file).read_bytes().strip()
        if not found:
            raise ValueError(f"the secret file {self._spec.secret_file} is empty")
        return found


def _of_file(spec: NotifySpec, error: OSError) -> str:
    return f"cannot read the secret file {spec.secret_file}: {error.strerror or error}"


class AlertmanagerSink(_Http):
    """Alertmanager's API, version 2. Silence is the end there, so what fires has to be repeated."""

    mixed = True

    def __init__(self, spec: NotifySpec) -> None:
        assert spec.url is not None
        super().__init__(spec, spec.url.rstrip("/") + _ALERTS_PATH)

    async def deliver(self, notices: Sequence[Notice]) -> Outcome:
        lasting = _SILENT_ROUNDS * self._spec.repeat_seconds
        return await self._post(messages.alertmanager(notices, now=time.time(), lasting=lasting))
