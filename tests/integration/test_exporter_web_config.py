"""TLS and passwords before the page, as a client meets them."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import pathlib
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Callable

import aiohttp
import bcrypt
import pytest

from circus_exporters.prometheus.http import PrometheusSite
from circus_exporters.prometheus.options import PrometheusOptions
from circus_exporters.state import FleetState
from tests.conftest import CircusD
from tests.fakes import fleet
from tests.helpers.certificates import Authority
from tests.helpers.daemon import script
from tests.helpers.waiting import DEADLINE, wait_until

PASSWORD = "correct horse"
HASH = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
USERS = f"basic_auth_users:\n  alice: {HASH}\n"
TLS = "tls_server_config:\n  cert_file: web.crt\n  key_file: web.key\n"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = Authority(tmp_path_factory.mktemp("authority"))
    made.sign("web")
    made.sign("prometheus")
    return made


async def nothing_new() -> bool:
    return True


class Site:
    """A site with a web configuration that the test writes beside the certificates."""

    def __init__(self, directory: pathlib.Path, text: str) -> None:
        self.file = directory / "web.yml"
        self.file.write_text(text)
        state, now = FleetState("here"), time.monotonic()
        state.attach(fleet.telemetry(fleet.watcher("web", 1)), now)
        options = PrometheusOptions(port=0, web_config=str(self.file))
        self.site = PrometheusSite(state, options, nothing_new, renew_every=0.05)

    async def get(
        self, user: str | None = None, password: str = "", context: ssl.SSLContext | None = None, path: str = "metrics"
    ) -> tuple[int, str]:
        """(status, text); ClientError when there is no connection."""
        told = base64.b64encode(f"{user}:{password}".encode()).decode()
        headers = {} if user is None else {"Authorization": f"Basic {told}"}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.get(f"{self.site.url}{path}", ssl=context or True) as answer,
        ):
            return answer.status, await answer.text()

    async def until(
        self, reached: Callable[[int, str], bool], *words: str, context: ssl.SSLContext | None = None
    ) -> None:
        async with asyncio.timeout(DEADLINE):
            while True:
                with contextlib.suppress(aiohttp.ClientError):
                    if reached(*await self.get(*words, context=context)):
                        return
                await asyncio.sleep(0.02)


@pytest.fixture
async def site(tmp_path: pathlib.Path, authority: Authority) -> AsyncIterator[Callable[..., object]]:
    tasks: list[tuple[Site, asyncio.Task[None]]] = []

    def copies() -> None:
        for file in authority.directory.iterdir():
            (tmp_path / file.name).write_bytes(file.read_bytes())

    async def start(text: str) -> Site:
        await asyncio.to_thread(copies)
        made = await asyncio.to_thread(Site, tmp_path, text)
        await made.site.start()
        tasks.append((made, asyncio.create_task(made.site.watch())))
        return made

    yield start
    for made, task in tasks:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await made.site.stop()


def trusting(
    authority: Authority, certificate: str | None = None, highest: ssl.TLSVersion | None = None
) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=authority.certificate)
    if certificate is not None:
        context.load_cert_chain(authority.directory / f"{certificate}.crt", authority.directory / f"{certificate}.key")
    if highest is not None:
        context.maximum_version = highest
    return context


async def test_a_password_opens_every_page_and_nothing_else_does(site) -> None:
    guarded = await site(USERS)
    for path in ("metrics", "", "-/healthy", "-/ready", "no-such-page"):
        assert (await guarded.get(path=path))[0] == 401
    assert (await guarded.get("alice", PASSWORD))[0] == 200
    assert (await guarded.get("alice", PASSWORD, path="-/healthy"))[0] == 200
    for user, password in (("alice", "wrong"), ("alice", ""), ("bob", PASSWORD), ("alice", "x" * 100), ("alicé", "é")):
        assert await guarded.get(user, password) == (401, "Unauthorized\n")


async def test_who_has_no_password_is_told_which_kind_is_wanted(site) -> None:
    guarded = await site(USERS)
    async with aiohttp.ClientSession() as session:
        for header in ("", "Basic", "Basic !!!", "Bearer abc"):
            async with session.get(f"{guarded.site.url}metrics", headers={"Authorization": header}) as answer:
                assert answer.status == 401
                assert answer.headers["WWW-Authenticate"].startswith("Basic realm=")


async def test_with_a_certificate_only_tls_is_spoken(site, authority: Authority) -> None:
    guarded = await site(TLS)
    assert guarded.site.url.startswith("https://")
    context = await asyncio.to_thread(trusting, authority)
    status, text = await guarded.get(context=context)
    assert (status, "circus_exporter_web_config_last_reload_successful 1\n" in text) == (200, True)
    with pytest.raises(aiohttp.ClientConnectorCertificateError):
        await guarded.get()
    guarded.site.url = guarded.site.url.replace("https:", "http:")
    with pytest.raises(aiohttp.ClientError):
        await guarded.get()


async def test_the_lowest_version_of_tls_is_kept(site, authority: Authority) -> None:
    guarded = await site(TLS + "  min_version: TLS13\n")
    old = await asyncio.to_thread(trusting, authority, None, ssl.TLSVersion.TLSv1_2)
    with pytest.raises(aiohttp.ClientError):
        await guarded.get(context=old)
    assert (await guarded.get(context=await asyncio.to_thread(trusting, authority)))[0] == 200


async def test_clients_without_a_certificate_are_turned_away(
    site, authority: Authority, tmp_path: pathlib.Path
) -> None:
    guarded = await site(f"{TLS}  client_ca_file: ca.crt\n  client_auth_type: RequireAndVerifyClientCert\n")
    with pytest.raises(aiohttp.ClientError):
        await guarded.get(context=await asyncio.to_thread(trusting, authority))
    stranger = await asyncio.to_thread(Authority, tmp_path / "elsewhere", "stranger")
    await asyncio.to_thread(stranger.sign, "prometheus")
    unknown = await asyncio.to_thread(trusting, authority)
    files = stranger.directory / "prometheus.crt", stranger.directory / "prometheus.key"
    await asyncio.to_thread(unknown.load_cert_chain, *files)
    with pytest.raises(aiohttp.ClientError):
        await guarded.get(context=unknown)
    assert (await guarded.get(context=await asyncio.to_thread(trusting, authority, "prometheus")))[0] == 200


async def test_a_client_may_come_without_a_certificate_where_it_is_only_verified_if_given(site, authority) -> None:
    guarded = await site(f"{TLS}  client_ca_file: ca.crt\n  client_auth_type: VerifyClientCertIfGiven\n")
    assert (await guarded.get(context=await asyncio.to_thread(trusting, authority)))[0] == 200


async def test_a_new_password_replaces_the_old_one_without_a_restart(site) -> None:
    guarded = await site(USERS)
    assert (await guarded.get("alice", PASSWORD))[0] == 200
    new = bcrypt.hashpw(b"another", bcrypt.gensalt(4)).decode()
    await asyncio.to_thread(guarded.file.write_text, f"basic_auth_users:\n  alice: {new}\n")
    await guarded.until(lambda status, _: status == 200, "alice", "another")
    assert (await guarded.get("alice", PASSWORD))[0] == 401


async def test_a_new_certificate_is_used_without_a_restart_on_the_same_port(site, tmp_path: pathlib.Path) -> None:
    guarded = await site(TLS)
    url = guarded.site.url
    other = await asyncio.to_thread(Authority, tmp_path / "other", "ca")
    certificate, key = await asyncio.to_thread(other.sign, "web")
    await asyncio.to_thread(lambda: (tmp_path / "web.key").write_bytes(key.read_bytes()))
    await asyncio.to_thread(lambda: (tmp_path / "web.crt").write_bytes(certificate.read_bytes()))
    context = await asyncio.to_thread(trusting, other)
    await guarded.until(lambda status, _: status == 200, context=context)
    assert guarded.site.url == url


async def test_a_file_that_is_broken_later_changes_nothing_but_is_told(site, caplog) -> None:
    guarded = await site(USERS)
    await asyncio.to_thread(guarded.file.write_text, "basic_auth_users: [")
    bad = "circus_exporter_web_config_last_reload_successful 0\n"
    await guarded.until(lambda _, text: bad in text, "alice", PASSWORD)
    assert (await guarded.get())[0] == 401
    told = [message for message in caplog.messages if "is not taken" in message]
    assert len(told) == 1
    assert str(guarded.file) in told[0]
    await asyncio.to_thread(guarded.file.write_text, USERS)
    await guarded.until(lambda _, text: bad.replace(" 0", " 1") in text, "alice", PASSWORD)


# What is wrong at the start


async def refused(*words: str) -> tuple[int | None, list[str]]:
    """(status, what it says) of circus-exporter that has something to refuse."""
    process = await asyncio.create_subprocess_exec(
        script("circus-exporter"), *words, stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    _, said = await asyncio.wait_for(process.communicate(), DEADLINE)
    return process.returncode, said.decode().splitlines()


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, "cannot be read: No such file or directory"),
        ({"web.yml": "a: [1"}, "web.yml:1: expected ',' or ']'"),
        ({"web.yml": "tls: 1"}, "tls: no such key here; there are tls_server_config"),
        ({"web.yml": "basic_auth_users: {a: hunter2}"}, "[basic_auth_users] a: expected the bcrypt hash"),
        ({"web.yml": TLS, "web.crt": None}, "[tls_server_config] cert_file = '{}/web.crt': cannot be used: No such file"),
        ({"web.yml": TLS, "web.key": None}, "[tls_server_config] key_file = '{}/web.key': cannot be used: No such file"),
        ({"web.yml": TLS, "web.crt": "x"}, "[tls_server_config] cert_file = '{}/web.crt': expected PEM files"),
        ({"web.yml": TLS, "web.key": "prometheus.key"}, "cert_file = '{}/web.crt': does not belong to the key in key_file"),
        ({"web.yml": f"{TLS}  client_ca_file: web.yml\n  client_auth_type: VerifyClientCertIfGiven\n"},
         "client_ca_file = '{}/web.yml': expected PEM files with certificates"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("check", [True, False])
async def test_what_cannot_be_used_is_told_in_one_line(
    tmp_path: pathlib.Path, authority: Authority, files: dict[str, str | None], expected: str, check: bool
) -> None:
    def write() -> None:
        for file in authority.directory.iterdir():
            (tmp_path / file.name).write_bytes(file.read_bytes())
        for name, text in files.items():
            if text is None:
                (tmp_path / name).unlink()
            elif text.endswith(".key"):
                (tmp_path / name).write_bytes((tmp_path / text).read_bytes())
            else:
                (tmp_path / name).write_text(text)

    await asyncio.to_thread(write)
    words = ("--endpoint", "tcp://127.0.0.1:1", "--port", "0", "--web-config", str(tmp_path / "web.yml"))
    status, lines = await refused(*words, *(["--check"] if check else []), "--linger", "1")
    assert status == 1
    (line,) = [line for line in lines if "web." in line]
    assert line.startswith(f"{tmp_path}/web.yml:")
    assert expected.format(tmp_path) in line
    assert "hunter2" not in line
    assert [line for line in lines if "Traceback" in line] == []


def test_circusd_goes_on_beside_an_exporter_that_cannot_start_and_check_tells_why(circusd: CircusD) -> None:
    daemon = circusd("[watcher:sleeper]\ncmd = sleep 1000\n", start=False)
    daemon.ini.write_text(f"{daemon.ini.read_text()}\n[exporter:prometheus]\nport = 0\nweb_config = web.yml\n")
    file = daemon.ini.parent / "web.yml"
    file.write_text("basic_auth_users: {alice: hunter2}")
    daemon.start()
    daemon.wait_pids("sleeper", 1)
    told = f"{file}: [basic_auth_users] alice: expected the bcrypt hash of a password"
    wait_until(lambda: told in daemon.log_text(), what=daemon.log_text)
    assert daemon.status("sleeper") == "active"
    assert "hunter2" not in daemon.log_text()
    done = subprocess.run([script("circusd"), "--check", str(daemon.ini)], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"error: {told}" in done.stderr
    file.write_text("")
    wait_until(lambda: "metrics at http://" in daemon.log_text(), 60.0, what=daemon.log_text)
    done = subprocess.run([script("circusd"), "--check", str(daemon.ini)], capture_output=True, text=True)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", f"{daemon.ini}: ok\n")
