"""The web site of the exporter over real connections."""

from __future__ import annotations

import asyncio
import gzip
import pathlib
import socket
import subprocess
import time
from collections.abc import AsyncIterator

import aiohttp
import pytest

from circus.exc import EndpointError
from circus_exporters.prometheus.http import PrometheusSite
from circus_exporters.prometheus.options import PrometheusOptions
from circus_exporters.state import FleetState
from tests.fakes import fleet
from tests.helpers import real
from tests.helpers.ports import reserved_port
from tests.helpers.waiting import DEADLINE, wait_until


def attached() -> FleetState:
    state, now = FleetState("ipc:///run/c/control"), time.monotonic()
    state.attach(fleet.telemetry(fleet.watcher("web", 3), fleet.watcher("api", 1)), now)
    state.fold_daemon(fleet.daemon_sample(), now)
    state.fold_sample(fleet.sample("web", 3), now)
    return state


class Site:
    """A site that serves, with a client; `state` may be changed, `refreshed` counts who asked for news."""

    def __init__(self, state: FleetState) -> None:
        self.state = state
        self.refreshed = 0
        self.site = PrometheusSite(state, PrometheusOptions(port=0), self._refresh)

    async def _refresh(self) -> bool:
        self.refreshed += 1
        return self.state.attached()

    async def get(self, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
        """(status, headers in lower case, body as it came)."""
        async with aiohttp.ClientSession(auto_decompress=False, skip_auto_headers=["Accept-Encoding"]) as session:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            async with session.get(f"{self.site.url}{path}", headers=named) as answer:
                told = {name.lower(): value for name, value in answer.headers.items()}
                return answer.status, told, await answer.read()


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    made = Site(attached())
    await made.site.start()
    yield made
    await made.site.stop()


async def test_metrics_are_text_unless_openmetrics_is_asked_for(site: Site) -> None:
    _, headers, body = await site.get("metrics", Accept="text/plain")
    assert headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert b"# TYPE circus_process_cpu_seconds_total counter" in body
    _, headers, body = await site.get("metrics", Accept="application/openmetrics-text;version=1.0.0,*/*;q=0.1")
    assert headers["content-type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert b"# TYPE circus_process_cpu_seconds counter" in body
    assert body.endswith(b"# EOF\n")


async def test_metrics_are_zipped_only_when_asked_for(site: Site) -> None:
    _, headers, plain = await site.get("metrics")
    assert "content-encoding" not in headers
    _, headers, zipped = await site.get("metrics", Accept_Encoding="gzip")
    assert headers["content-encoding"] == "gzip"
    assert len(zipped) < len(plain) / 4
    assert gzip.decompress(zipped).startswith(b"# HELP circus_build_info")


async def test_each_scrape_asks_for_news_first(site: Site) -> None:
    await site.get("metrics")
    await site.get("metrics")
    assert site.refreshed == 2


async def test_healthy_and_ready_while_a_daemon_answers(site: Site) -> None:
    assert (await site.get("-/healthy"))[0] == 200
    assert (await site.get("-/ready"))[0] == 200


async def test_healthy_but_not_ready_without_a_daemon(site: Site) -> None:
    site.state.detach()
    assert (await site.get("-/healthy"))[0] == 200
    status, _, body = await site.get("-/ready")
    assert status == 503
    assert b"No daemon answers at ipc:///run/c/control" in body


async def test_a_scrape_without_a_daemon_is_answered(site: Site) -> None:
    site.state.detach()
    status, _, body = await site.get("metrics")
    assert status == 200
    assert b"\ncircus_up 0\n" in body
    assert b"circus_watcher" not in body


async def test_the_landing_page_opens(site: Site) -> None:
    status, headers, body = await site.get("")
    assert status == 200
    assert headers["content-type"].startswith("text/html")
    assert b"<td class=''>web</td>" in body


@pytest.mark.real
async def test_promtool_finds_nothing_to_say(site: Site, tmp_path: pathlib.Path) -> None:
    _, _, body = await site.get("metrics")
    program = real.program("promtool", "prometheus")
    done = await asyncio.to_thread(
        subprocess.run, [program, "check", "metrics"], input=body, capture_output=True, cwd=tmp_path
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


async def test_a_port_that_is_taken_is_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    with reserved_port() as port:
        holder = socket.create_server(("127.0.0.1", port))
        state = attached()
        site = PrometheusSite(state, PrometheusOptions(port=port), Site(state)._refresh)
        starting = asyncio.create_task(site.start())
        try:
            await asyncio.to_thread(wait_until, lambda: caplog.messages)
            assert not starting.done()
        finally:
            holder.close()
        await asyncio.wait_for(starting, DEADLINE)
        assert site.url == f"http://127.0.0.1:{port}/"
        assert [message for message in caplog.messages if "in use" in message] == [
            f"127.0.0.1:{port} is in use; trying again every second until it is free"
        ]
        await site.stop()


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
async def test_an_address_that_is_not_ours_is_refused_with_a_reason(host: str) -> None:
    state = attached()
    site = PrometheusSite(state, PrometheusOptions(host=host, port=0), Site(state)._refresh)
    with pytest.raises(EndpointError, match=rf"^\[exporter:prometheus\]: cannot listen on {host}:0: \S"):
        await site.start()
    await site.stop()
