"""Run by the Python of supervisor: what its own options class makes of configurations, as JSON; null where it refuses."""

import json
import shlex
import sys
import warnings

from supervisor import datatypes
from supervisor.options import ServerOptions

warnings.simplefilter("ignore")


def restarts(value):
    return {
        datatypes.RestartUnconditionally: "always",
        datatypes.RestartWhenExitUnexpected: "unexpected",
    }.get(value, "never")


def log(config, name):
    target = getattr(config, name + "_logfile")
    if target is datatypes.Automatic:
        return "auto"
    if target is None:
        return None
    limit = getattr(config, name + "_logfile_maxbytes")
    return [target, limit, getattr(config, name + "_logfile_backups") if limit else 0]


class Refused(Exception):
    """supervisord would not start."""


def refuse(_status):
    raise Refused


def parsed(path):
    options = ServerOptions()
    options.exit = refuse
    try:
        options.realize(["-c", path], doc="")
    except Refused:
        return None
    return [
        {
            "kind": type(config).__name__,
            "group": group.name,
            "name": config.name,
            "argv": shlex.split(config.command),
            "directory": config.directory,
            "uid": config.uid,
            "umask": config.umask,
            "environment": config.environment,
            "autostart": config.autostart,
            "restarts": restarts(config.autorestart),
            "startretries": config.startretries,
            "startsecs": config.startsecs,
            "stopsignal": int(config.stopsignal),
            "stopwaitsecs": config.stopwaitsecs,
            "killasgroup": config.killasgroup,
            "stdout": log(config, "stdout"),
            "stderr": log(config, "stdout") if config.redirect_stderr else log(config, "stderr"),
            "socket": None if socket is None else [socket.url, socket.backlog],
        }
        for group in options.process_group_configs
        for socket in [getattr(group, "socket_config", None)]
        for config in group.process_configs
    ]


print(json.dumps([parsed(path) for path in sys.argv[1:]]))
