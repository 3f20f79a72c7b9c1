"""Files of circus 0.19 and older: what they still ask for is done, or said once with what to do instead."""

from __future__ import annotations

import json
import pathlib
import socket
import subprocess

import pytest

from tests.conftest import CircusD
from tests.helpers.daemon import script
from tests.helpers.ports import udp_port
from tests.helpers.waiting import DEADLINE, wait_until

OLD = """
[circus]
papa_endpoint = 127.0.0.1:20202
use_papa = True
stream_backend = gevent
httpd = True
httpd_host = 0.0.0.0
httpd_close_outputs = True
statsd = True
statsd_close_outputs = True
ssh_server = me@there
proc_name = other
prereload_fn = nowhere.to_be_found
fqdn_prefix = blue
multicast_endpoint = udp://nowhere:12027

[watcher:web]
cmd = sleep 1000
args = $WID
use_papa = True
check_flapping = False
stdout_stream.class = FileStream
stdout_stream.filename = out.log
stdout_stream.refresh_time = 0.3
"""

WORDS = {
    "papa_endpoint": "papa was removed",
    "[circus] use_papa": "papa was removed",
    "[watcher:web] use_papa": "papa was removed",
    "stream_backend": "gevent and thread back ends are gone",
    "httpd =": "circusweb, which is not installed",
    "httpd_close_outputs": "from Python only",
    "statsd_close_outputs": "from Python only",
    "ssh_server": "from Python only",
    "proc_name": "from Python only",
    "prereload_fn": "from Python only",
    "args =": "write $(circus.wid)",
    "check_flapping": "use the plugin flapping",
    "refresh_time": "output is written as it comes",
    "udp://nowhere:12027": "Multicast discovery is disabled",
}


def test_an_old_file_is_run_and_each_word_is_said_once(circusd: CircusD) -> None:
    daemon = circusd(OLD)
    assert daemon.call("list")["watchers"] == ["web"]
    warnings = [line for line in daemon.log_text().splitlines() if "[WARNING]" in line]
    for option, word in WORDS.items():
        (line,) = [line for line in warnings if option in line]
        assert word in line
    assert len(warnings) == len(WORDS)
    done = subprocess.run([script("circusd"), "--check", str(daemon.ini)], capture_output=True, text=True)
    assert done.returncode == 0
    assert len(done.stderr.splitlines()) == len(WORDS) - 1  # the network is not tried


CONSOLE = """
import argparse, socket, sys

def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--endpoint")
    parser.add_argument("--fd", type=int)
    args = parser.parse_args()
    listening = socket.socket(fileno=args.fd)
    listening.setblocking(True)
    while True:
        client, _ = listening.accept()
        client.sendall(args.endpoint.encode())
        client.close()
"""


def test_the_web_console_is_started_where_its_package_is_installed(circusd: CircusD, tmp_path: pathlib.Path) -> None:
    package = tmp_path / "packages" / "circusweb"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "circushttpd.py").write_text(CONSOLE)
    ini = "[circus]\nhttpd = True\nhttpd_host = 127.0.0.1\nhttpd_port = 0\n"
    daemon = circusd(ini, env={"PYTHONPATH": str(package.parent)})
    daemon.wait_pids("circushttpd", 1)
    (sock,) = daemon.ok("listsockets")["sockets"]
    assert sock["name"] == "circushttpd"
    with socket.create_connection(("127.0.0.1", sock["port"]), timeout=DEADLINE) as client:
        assert client.makefile().read() == daemon.endpoint


def test_debug_gc_is_asked_of_the_collector(circusd: CircusD, tmp_path: pathlib.Path) -> None:
    (tmp_path / "gc_hooks.py").write_text(
        "import gc\n\n"
        "def told(watcher, arbiter, hook_name, **_):\n"
        f"    open({str(tmp_path / 'told')!r}, 'w').write(f'{{gc.get_debug() == gc.DEBUG_LEAK}} {{arbiter.fqdn}}')\n"
        "    return True\n"
    )
    daemon = circusd(
        "[circus]\ndebug_gc = True\nfqdn_prefix = blue\n"
        "[watcher:web]\ncmd = sleep 1000\nhooks.after_start = gc_hooks.told\n",
        env={"PYTHONPATH": str(tmp_path)},
    )
    daemon.wait_pids("web", 1)
    told = tmp_path / "told"
    collecting, fqdn = wait_until(lambda: told.exists() and told.read_text()).split()
    assert (collecting, fqdn.partition("@")[0]) == ("True", "blue")


def test_the_title_is_set_where_setproctitle_is_installed(circusd: CircusD) -> None:
    daemon = circusd("[watcher:web]\ncmd = sleep 1000\n")
    assert pathlib.Path(f"/proc/{daemon.pid}/cmdline").read_bytes().rstrip(b"\0") == b"circusd"


def ask(port: int) -> bytes:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.settimeout(DEADLINE)
        asker.sendto(b"?", ("127.0.0.1", port))
        return asker.recv(1000)


def test_discovery_answers_only_where_it_is_configured(circusd: CircusD) -> None:
    daemon = circusd("[circus]\nmulticast_endpoint = udp://127.0.0.1:0\n")
    assert json.loads(ask(udp_port(daemon.pid))) == {"endpoint": daemon.endpoint}
    assert (
        daemon.ok("globaloptions", option="multicast_endpoint")["options"]["multicast_endpoint"] == "udp://127.0.0.1:0"
    )
    silent = circusd("", options={"multicast_endpoint": None})
    with pytest.raises(ValueError, match="not enough values"):
        udp_port(silent.pid)


@pytest.mark.parametrize("wrong", ["udp://nowhere:1", "udp://192.0.2.1:12027"])
def test_discovery_that_is_impossible_is_one_warning(circusd: CircusD, wrong: str) -> None:
    daemon = circusd(f"[circus]\nmulticast_endpoint = {wrong}\n[watcher:web]\ncmd = sleep 1000\n")
    daemon.wait_pids("web", 1)
    (line,) = [line for line in daemon.log_text().splitlines() if "[WARNING]" in line]
    assert f"Multicast discovery is disabled, {wrong}: " in line
