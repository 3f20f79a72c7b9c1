"""What get_config makes of a file, but for numbers that stayed text, for `__name__`, and for `$NAME` in environments."""

import os
import sys

from circus.config import get_config, read_config, rlimit_value, watcher_defaults
from circus.sockets import CircusSocket
from circus.watcher import Watcher

INI = """
[circus]
check_delay = 3
endpoint = tcp://127.0.0.1:5999
stats_endpoint = tcp://127.0.0.1:5998
statsd = True
umask = 022
warmup_delay = 2
debug = yes
pidfile = /tmp/x.pid
include = more*.ini
multicast_endpoint = udp://237.219.251.97:12027

[env]
A = 1

[env:web,m*]
C = 3

[watcher:web]
cmd = python -m http.server $(circus.env.A) $(circus.env.C)
args = -x $(circus.wid) ; said
numprocesses = 3
stop_signal = INT
rlimit_nofile = 100
rlimit_core =
stdout_stream.class = FileStream
stdout_stream.filename = /tmp/$(circus.env.A).log
stdout_stream.max_bytes = 1000
hooks.before_start = os.path.exists, true
hooks.after_start = os.getcwd
max_age = 60
color = blue
use_sockets = True
graceful_timeout = 5
respawn = false
singleton = no
priority = 7

[watcher:other]
cmd = sleep 1
copy_env = True
virtualenv_py_ver = 3.9

[socket:Web]
host = 127.0.0.1
port = 0
so_reuseport = yes

[socket:unix]
path = /tmp/x.sock
umask = 022
replace = True

[plugin:flap]
use = circus.plugins.flapping.Flapping
window = 5
priority = 4
"""

place = sys.argv[1]
os.environ.clear()
os.environ["HOME"] = "/here"
with open(os.path.join(place, "main.ini"), "w") as main:
    main.write(INI)
with open(os.path.join(place, "more.ini"), "w") as more:
    more.write("[watcher:more]\ncmd = sleep 2\n[watcher:web]\ncmd = other\nstop_children = on\n")


def plain(value):
    if isinstance(value, dict):
        return {key: plain(each) for key, each in sorted(value.items()) if key != "__name__"}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    try:
        return float(value)
    except (TypeError, ValueError):
        return value


config = get_config(os.path.join(place, "main.ini"))
for key, value in sorted(config.items()):
    if key not in ("watchers", "sockets", "plugins"):
        print(key, plain(value))
for kind in ("watchers", "plugins", "sockets"):
    for each in config[kind]:
        print(kind, {key: value for key, value in plain(each).items() if key != "family"})
print(plain(watcher_defaults()), rlimit_value("5"), rlimit_value(""))
parser, files = read_config(os.path.join(place, "main.ini"))
print(
    [os.path.basename(file) for file in files],
    parser.get("watcher:web", "cmd"),
    parser.dget("circus", "check_delay", type=int),
)
print([section for section in parser.sections() if parser.has_option(section, "cmd")])
watchers = [Watcher.load_from_config(dict(each)) for each in get_config(os.path.join(place, "main.ini"))["watchers"]]
print(
    [
        (each.name, each.numprocesses, each.graceful_timeout, each.priority, each.respawn, each.max_age)
        for each in watchers
    ]
)
print(sorted(watchers[2].hooks), watchers[2].rlimits["nofile"], plain(watchers[2].env))
sockets = [CircusSocket.load_from_config(dict(each)) for each in config["sockets"]]
print([(each.name, each.so_reuseport, each.replace, each.is_unix) for each in sockets])
try:
    get_config("/no/such.ini")
except IOError:
    print("IOError")
