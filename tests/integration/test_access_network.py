"""Endpoints that others could reach: said at the start, and refused where they take commands.

Whatever listens on all interfaces does so in a network namespace of its own, which has none.
"""

import asyncio
import os
import pathlib
import stat
import subprocess

import pytest

from circus import get_arbiter
from circus.client import AsyncCircusClient
from circus.exc import EndpointError
from circus.process import devnull
from tests.helpers.daemon import script
from tests.helpers.ports import reserved_port
from tests.helpers.users import as_root
from tests.helpers.waiting import DEADLINE, wait_until

# The descriptor of /dev/null stays open in this process from its first use.
devnull()

WEB = "[watcher:web]\ncmd = sleep 1000\n"
APART = ("unshare", "--net")


def warnings(daemon):
    return [line.partition("[WARNING] ")[2] for line in daemon.log_text().splitlines() if "[WARNING]" in line]


def test_a_control_endpoint_on_the_network_is_refused_and_the_ways_out_are_named(circusd):
    daemon = circusd(WEB, options={"endpoint": "tcp://0.0.0.0:0"}, start=False).spawn()
    assert daemon.wait() == 1
    (line,) = [line for line in daemon.log_text().splitlines() if "0.0.0.0" in line]
    assert line.startswith(f"circusd: {daemon.ini}:5: [circus] endpoint")
    assert "curve_secret_key_file" in line
    assert "allow_insecure = True" in line
    checked = subprocess.run([script("circusd"), "--check", daemon.ini], capture_output=True, text=True, check=False)
    assert checked.returncode == 1
    assert "allow_insecure = True" in checked.stdout + checked.stderr


async def test_a_program_that_embeds_circus_is_refused_too():
    arbiter = get_arbiter(
        [], controller="tcp://0.0.0.0:0", pubsub_endpoint="ipc://@x-events", loop=asyncio.get_running_loop()
    )
    with pytest.raises(EndpointError, match="allow_insecure"):
        await arbiter.start()


def mode(endpoint):
    return stat.S_IMODE(pathlib.Path(endpoint.removeprefix("ipc://")).stat().st_mode)


async def test_a_program_can_say_who_may_do_what():
    here = {"uid": os.geteuid(), "role": "read", "name": "me"}
    arbiter = get_arbiter(
        [], controller="auto", pubsub_endpoint="auto", stats_endpoint="auto",
        endpoint_mode=0o660, access=[here], loop=asyncio.get_running_loop(),
    )  # fmt: skip
    await arbiter.start()
    client = AsyncCircusClient(endpoint=arbiter.endpoint, timeout=DEADLINE)
    try:
        assert mode(arbiter.endpoint) == 0o660
        assert (await client.send_message("list"))["status"] == "ok"
        assert (await client.send_message("quit"))["errno"] == 7
    finally:
        client.stop()
        await arbiter.stop()


@as_root
def test_it_is_allowed_to_whoever_says_so_and_warned_about(circusd):
    options = {"endpoint": "tcp://0.0.0.0:0", "allow_insecure": "True"}
    daemon = circusd(WEB, options=options, through=APART, start=False).spawn()
    wait_until(lambda: "web started" in daemon.log_text(), what=daemon.log_text)
    assert any("everybody who reaches it can give commands" in line for line in warnings(daemon))


@as_root
def test_channels_that_only_tell_are_bound_with_a_warning(circusd):
    options = {"pubsub_endpoint": "tcp://0.0.0.0:0", "stats_endpoint": "tcp://0.0.0.0:0"}
    daemon = circusd(WEB, options=options, through=APART)
    assert [line.partition(" = ")[0] for line in warnings(daemon)] == ["pubsub_endpoint", "stats_endpoint"]
    assert all("others than this machine can listen to it" in line for line in warnings(daemon))


@pytest.mark.parametrize("port", ["0", "*"])
def test_a_port_that_was_taken_is_in_the_log(circusd, port):
    asked = f"tcp://127.0.0.1:{port}"
    daemon = circusd(WEB, options={"pubsub_endpoint": asked}, through=APART)
    taken = daemon.ok("globaloptions", option="pubsub_endpoint")["options"]["pubsub_endpoint"]
    assert f"pubsub_endpoint = {asked}: the port that was taken makes it {taken}\n" in daemon.log_text()


def test_loopback_is_as_it_was_with_one_line_about_it(circusd):
    with reserved_port() as port:
        where = f"tcp://127.0.0.1:{port}"
        daemon = circusd(WEB, options={"endpoint": where, "pubsub_endpoint": "tcp://127.0.0.1:0"}, start=False)
        daemon.endpoint = where
        daemon.start()
        assert daemon.ok("stop", name="web", waiting=True)
        assert daemon.ok("reloadconfig", waiting=True)
        (told,) = warnings(daemon)
        assert told.startswith(f"endpoint = {where}: everybody on this machine can give commands")
