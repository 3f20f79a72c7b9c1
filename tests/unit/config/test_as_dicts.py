"""A configuration as the dicts of circus 0.19."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

import circus.config
from circus.config.as_dicts import get_config, rlimit_value, watcher_defaults
from circus.exc import ConfigError
from circus.sockets import CircusSocket
from circus.watcher import Watcher

INI = """
[circus]
check_delay = 3
umask = 022

[env]
A = 1

[env:web]
B = 2

[watcher:web]
cmd = sleep 1
numprocesses = 3
rlimit_nofile = 100
rlimit_core =
stdout_stream.class = FileStream
stdout_stream.filename = /tmp/x.log
hooks.before_start = os.getcwd, true
color = blue
stop_signal = INT

[socket:Web]
path = /tmp/x.sock

[plugin:flap]
use = a.Flapping
window = 5
priority = 4
"""


@pytest.fixture
def ini(tmp_path: Path) -> str:
    path = tmp_path / "circus.ini"
    path.write_text(INI)
    return str(path)


def test_it_is_all_there(ini: str) -> None:
    config = get_config(ini)
    assert (config["check_delay"], config["umask"], config["endpoint"]) == (3, 0o22, "tcp://127.0.0.1:5555")
    (watcher,) = config["watchers"]
    assert set(watcher_defaults()) <= set(watcher)
    assert (watcher["name"], watcher["numprocesses"], watcher["stop_signal"], watcher["color"]) == ("web", 3, 2, "blue")
    assert watcher["env"] == {"A": "1", "B": "2"}
    assert watcher["rlimits"] == {"nofile": 100, "core": resource.RLIM_INFINITY}
    assert watcher["stdout_stream"] == {"class": "FileStream", "filename": "/tmp/x.log"}
    assert watcher["hooks"] == {"before_start": ["os.getcwd", True]}
    assert config["plugins"] == [{"name": "plugin:flap", "use": "a.Flapping", "window": "5", "priority": 4}]
    assert config["sockets"] == [
        {"name": "web", "path": "/tmp/x.sock", "family": "AF_UNIX", "so_reuseport": False, "replace": False}
    ]


def test_watchers_and_sockets_can_be_made_of_it(ini: str) -> None:
    config = get_config(ini)
    watcher = Watcher.load_from_config(config["watchers"][0])
    assert (watcher.name, watcher.numprocesses, watcher.rlimits) == ("web", 3, {"nofile": 100, "core": None})
    sock = CircusSocket.load_from_config(config["sockets"][0])
    assert sock.path == "/tmp/x.sock"
    sock.close()


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        get_config(str(tmp_path / "none.ini"))
    (tmp_path / "bad.ini").write_text("[watcher:x]\ncmd = sleep 1\nnumprocesses = many\n")
    with pytest.raises(ConfigError, match="many"):
        get_config(str(tmp_path / "bad.ini"))


def test_a_limit_is_read_from_text() -> None:
    assert rlimit_value("5") == 5
    assert rlimit_value("") == rlimit_value(None) == resource.RLIM_INFINITY


def test_the_names_are_where_they_were() -> None:
    assert circus.config.get_config is get_config
    with pytest.raises(AttributeError, match="nothing"):
        _ = circus.config.nothing
