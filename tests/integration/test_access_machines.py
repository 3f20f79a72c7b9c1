"""From another machine: subscribers of 0.19 and ours with CURVE, over a cable between two namespaces of the test."""

import os
import subprocess

import pytest

from tests.helpers.curve import lets_in, make_key
from tests.helpers.daemon import script
from tests.helpers.network import HERE, two_machines
from tests.helpers.old_circus import clean_environment
from tests.helpers.real import old_circus
from tests.helpers.waiting import DEADLINE, wait_until

WEB = "[watcher:web]\ncmd = sleep 1000\n"
CONTROL, EVENTS, STATS = (f"tcp://{HERE}:{port}" for port in (5555, 5556, 5557))
TELLING = {"pubsub_endpoint": EVENTS, "stats_endpoint": STATS}
CONSUME = """
import sys
from circus.consumer import CircusConsumer
for topic, body in CircusConsumer([sys.argv[2]], endpoint=sys.argv[1]):
    print(topic.decode(), flush=True)
    break
"""


@pytest.fixture
def network():
    with two_machines() as made:
        yield made


def heard(program, endpoint, topic, daemon, environ):
    """The first topic that a consumer on the other machine hears."""
    words = [*program, "-c", CONSUME, endpoint, topic]
    with subprocess.Popen(words, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as consumer:
        try:

            def ended():
                daemon.ok("restart", name="web", waiting=True)
                return consumer.poll() is not None

            wait_until(ended)
            out, err = consumer.communicate(timeout=DEADLINE)
        finally:
            consumer.kill()
    assert consumer.returncode == 0, err
    return out.strip()


@pytest.mark.parametrize(("endpoint", "topic"), [(EVENTS, "watcher.web."), (STATS, "stat.web")])
def test_the_consumer_of_0_19_hears_events_and_stats(circusd, network, endpoint, topic):
    python = old_circus("python")
    daemon = circusd(WEB, options=TELLING, through=network.here)
    told = heard([*network.there, python], endpoint, topic, daemon, clean_environment())
    assert told.startswith(topic)


@pytest.mark.parametrize(("endpoint", "topic"), [(EVENTS, "lifecycle.web."), (STATS, "sample.web")])
def test_ours_hears_them_with_a_key(circusd, network, tmp_path, endpoint, topic):
    server, mine = make_key(tmp_path, "server"), make_key(tmp_path, "mine")
    options = {**TELLING, "curve_secret_key_file": server.file}
    daemon = circusd(WEB + lets_in(mine, "read", "me"), options=options, through=network.here)
    environ = {**os.environ, **mine.environ(server)}
    told = heard([*network.there, script("python")], endpoint, topic, daemon, environ)
    assert told.startswith(topic)


def test_commands_go_over_the_cable_with_a_key_and_not_without(circusd, network, tmp_path):
    server, mine = make_key(tmp_path, "server"), make_key(tmp_path, "mine")
    options = {"endpoint": CONTROL, **TELLING, "curve_secret_key_file": server.file}
    ini = WEB + lets_in(mine, "operate", "me")
    daemon = circusd(ini, options=options, through=network.here, start=False).spawn()
    words = [*network.there, script("circusctl"), "--endpoint", CONTROL, "--timeout", "1"]

    def ctl(*more, key=None):
        environ = {**os.environ, **(key.environ(server) if key else {})}
        return subprocess.run([*words, *more], env=environ, capture_output=True, text=True, check=False)

    wait_until(lambda: ctl("list", key=mine).stdout == "web\n", what=daemon.log_text)
    assert ctl("list").returncode == 1
    assert ctl("quit", key=mine).returncode == 3
    record = ctl("--json", "events", "--limit", "1", key=mine)
    assert "curve:me,tcp:192.0.2.2" in record.stdout
