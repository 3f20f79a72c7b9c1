"""What can be said of an arbiter that runs nowhere."""

from __future__ import annotations

import socket
import threading

import pytest
import zmq

from circus.arbiter import Arbiter, ThreadedArbiter
from circus.exc import ConfigError
from circus.watcher import Watcher

# What some Python since 3.11 keeps in a thread, besides what this one does.
OF_THREADS = {"_context", "_handle", "_os_thread_handle", "_stop", "_is_stopped", "_tstate_lock"}


def made(*watchers: Watcher, **options: object) -> Arbiter:
    return Arbiter(list(watchers), "tcp://127.0.0.1:1", "tcp://127.0.0.1:2", **options)  # type: ignore[arg-type]  # any


def test_a_thread_and_an_arbiter_share_no_name() -> None:
    of_threads = vars(threading.Thread()).keys() | OF_THREADS | set(dir(threading.Thread)) - set(dir(object))
    of_arbiters = vars(made()).keys() | {name for kind in Arbiter.__mro__[:-1] for name in vars(kind)}
    shared = {name for name in of_threads & of_arbiters if not name.startswith("__")}
    assert shared == {"start", "run"}


def test_what_a_section_has_is_an_attribute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getfqdn", lambda: "here.example")  # the real one asks the network
    arbiter = made(pidfile="/x", debug=True, warmup_delay=2, fqdn_prefix="me", endpoint_owner="daemon")
    assert (arbiter.pidfile, arbiter.debug, arbiter.warmup_delay, arbiter.check_delay) == ("/x", True, 2.0, 1.0)
    assert (arbiter.endpoint, arbiter.pubsub_endpoint) == ("tcp://127.0.0.1:1", "tcp://127.0.0.1:2")
    assert (arbiter.running, arbiter.evpub_socket, arbiter.socket_event) == (False, None, False)
    assert arbiter.fqdn == "me@here.example"
    assert not arbiter.endpoint_owner_mode
    with pytest.raises(AttributeError, match="nothing"):
        _ = arbiter.nothing


def test_watchers_are_known_before_the_start() -> None:
    web, late = Watcher("Web", "sleep 1", priority=1), Watcher("late", "sleep 1", priority=2)
    arbiter = made(web, late)
    assert arbiter.watchers == [web, late]
    assert list(arbiter.iter_watchers()) == [late, web]
    assert list(arbiter.iter_watchers(reverse=False)) == [web, late]
    assert (arbiter.numwatchers(), arbiter.numprocesses()) == (2, 0)
    assert arbiter.get_watcher("WEB") is web
    assert arbiter.statuses() == {"Web": "stopped", "late": "stopped"}
    with pytest.raises(KeyError):
        arbiter.get_watcher("none")


def test_two_watchers_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigError, match="two watchers"):
        made(Watcher("web", "x"), Watcher("WEB", "x"))


def test_a_context_that_is_given_is_the_one() -> None:
    with zmq.Context() as context:
        assert made(context=context).context is context


def test_parts_of_a_configuration_are_found() -> None:
    config = {"endpoint": "x", "watchers": [{"name": "a"}], "plugins": [{"name": "p"}], "sockets": []}
    assert Arbiter.get_arbiter_config(config) == {"endpoint": "x"}
    assert Arbiter.get_watcher_config(config, "a") == {"name": "a"}
    assert Arbiter.get_watcher_config(config, "b") is None
    assert Arbiter.get_plugin_config(config, "p") == {"name": "p"}


def test_a_stop_before_the_start_is_nothing() -> None:
    assert made().stop().result() is None
    assert ThreadedArbiter([], "auto", "auto").stop().result(1) is None
