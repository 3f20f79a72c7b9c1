"""Run by the interpreter of circus 0.19.0: what it makes of configurations, as JSON.

Standard input has one JSON text, a list of paths; for each there is a mapping in the list on standard output, in the
shape of `tests.helpers.configs.understood`: `{"refused": …}`, or the options of `circus`, `watchers`, `sockets` and
`plugins`, each as it is in the objects that circusd would run.
"""

import copy
import json
import logging
import os
import pathlib
import sys
import warnings

from circus.config import get_config
from circus.sockets import CircusSocket
from circus.watcher import Watcher

WATCHER = [
    "cmd",
    "args",
    "numprocesses",
    "warmup_delay",
    "working_dir",
    "uid",
    "gid",
    "send_hup",
    "stop_signal",
    "stop_children",
    "shell",
    "shell_args",
    "max_retry",
    "respawn",
    "graceful_timeout",
    "executable",
    "use_sockets",
    "priority",
    "copy_env",
    "copy_path",
    "singleton",
    "on_demand",
    "max_age",
    "max_age_variance",
    "close_child_stdin",
    "close_child_stdout",
    "close_child_stderr",
    "autostart",
    "virtualenv",
    "virtualenv_py_ver",
    "stdin_socket",
]


def watcher(config):
    """The options of a watcher as its object has them; streams and hooks as they are configured."""
    made = Watcher.load_from_config(copy.deepcopy(config))
    told = {name: getattr(made, name) for name in WATCHER}
    told["executable"] = config.get("executable")
    told["stop_signal"] = int(told["stop_signal"])
    told["env"] = {
        key: value
        for key, value in (made.env or {}).items()
        if key not in os.environ and key not in ("__name__", "PYTHONPATH")
    }
    told["rlimits"] = {key.lower(): None if value == -1 else value for key, value in made.rlimits.items()}
    told["hooks"] = config["hooks"]
    told["stdout_stream"], told["stderr_stream"] = config["stdout_stream"], config["stderr_stream"]
    told["options"] = {key: value for key, value in made._options.items() if key != "__name__"}
    return told


def sock(config):
    made = CircusSocket.load_from_config(config)
    told = {
        "host": config.get("host", "localhost"),
        "port": int(config.get("port", 8080)),
        "family": made.family.name,
        "type": made.socktype.name,
        "proto": made.proto,
        "path": made.path,
        "umask": made.umask,
        "replace": bool(made.replace),
        "backlog": made.backlog,
        "interface": made.interface,
        "so_reuseport": bool(made.so_reuseport),
        "blocking": made.blocking,
    }
    made.close()
    return told


def each(configs, read):
    told = {}
    for config in configs:
        try:
            told[config["name"]] = read(config)
        except Exception as error:  # circusd logs it and goes on without this one
            told[config["name"]] = {"left out": type(error).__name__}
    return told


def plugin(config):
    return {key: str(value) for key, value in config.items() if key not in ("name", "__name__")}


def read(path):
    os.chdir(pathlib.Path(path).parent)
    try:
        config = get_config(path)
    except Exception as error:  # circusd ends with a traceback
        return {"refused": type(error).__name__}
    parts = {name: config.pop(name) for name in ("watchers", "sockets", "plugins")}
    return {
        "circus": config,
        "watchers": each(parts["watchers"], watcher),
        "sockets": each(parts["sockets"], sock),
        "plugins": each(parts["plugins"], plugin),
    }


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    sys.path.insert(0, "")
    sys.stdout.write(json.dumps([read(path) for path in json.load(sys.stdin)]))
