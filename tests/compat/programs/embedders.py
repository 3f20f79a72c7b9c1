"""What programs and hooks do with arbiters and watchers beyond the documentation: look at what `start` returned, change
the dicts and lists that they were made of, find their own options, name attributes as options.
"""

import contextlib
import os
import signal
import sys
import threading

from circus.arbiter import Arbiter
from circus.client import CircusClient
from circus.pidfile import Pidfile
from circus.util import check_future_exception_and_log
from circus.watcher import Watcher

place = sys.argv[1]
os.chdir(place)


class Guarded(Arbiter):
    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.guard = contextlib.ExitStack()

    def start(self, cb=None):
        self.guard.callback(print, "guard is left")
        self.guard.__enter__()
        future = super().start(cb)
        print("start:", future.done(), future.exception(), future.result())
        return future

    def stop(self):
        self.guard.close()
        return super().stop()


class Owned(Watcher):
    def __init__(self, *args, **options):
        self.owner = options.pop("owner")
        super().__init__(*args, **options)
        self.optnames += ("owner",)


def configured(watcher, arbiter, hook_name, **kwargs):
    print(
        hook_name,
        int(watcher._options.get("stats_port", 8090)),
        watcher._options.get("absent"),
        watcher.working_dir == place,
    )
    print(
        dict(watcher.options())["stats_port"],
        watcher.env["MORE"],
        type(watcher.env) is dict or isinstance(watcher.env, dict),
    )
    watcher.env["SAID"] = "by the hook"
    return True


def spawned(watcher, arbiter, hook_name, pid, **kwargs):
    print(hook_name, watcher.processes[pid].wid, len(watcher.processes), watcher.numprocesses)
    return True


def stopping(watcher, arbiter, hook_name, pid, signum, **kwargs):
    if signum == signal.SIGTERM:
        newer = [each for each, other in watcher.processes.items() if other.started > watcher.processes[pid].started]
        print(hook_name, int(signum), len(newer))
        watcher.send_signal(pid, signal.SIGCONT)
    return True


watcher = Owned(
    "web",
    "sh",
    args=["-c", "echo $MORE $SAID; exec sleep 1000"],
    env={"A": "1"},
    hooks={"after_spawn": (spawned, False)},
    graceful_timeout=5,
    stats_port="9090",
    owner="me",
    stdout_stream={"stream": lambda data: said.append(data["data"])},
)
said = []
watcher.env["MORE"] = "more"
watcher.hooks["before_start"] = configured
watcher.hooks["before_signal"] = stopping
watcher._options["later"] = "yes"
print(watcher.env, sorted(watcher.hooks), watcher._options)
print(watcher.args + ["x"], watcher.working_dir == place, watcher.stderr_stream_conf, "owner" in watcher.optnames)

arbiter = Guarded(
    [watcher],
    "ipc://%s/control" % place,
    "ipc://%s/events" % place,
    check_delay=0.1,
    stats_endpoint="ipc://%s/stats" % place,
    multicast_endpoint="",
    statsd=False,
    pidfile=place + "/pid",
)
pidfile = Pidfile(arbiter.pidfile)
pidfile.create(os.getpid())


def ask():
    client = CircusClient(endpoint="ipc://%s/control" % place, timeout=20)
    print(client.send_message("get", name="web", keys=["owner"])["options"])
    client.send_message("quit")
    client.stop()


asking = threading.Thread(target=ask)
again = True
while again:
    again = False
    future = arbiter.start(cb=lambda future: asking.start())
    if check_future_exception_and_log(future) is None:
        again = arbiter._restarting
asking.join()
pidfile.unlink()
print(said, os.path.exists(place + "/pid"), arbiter.running)
arbiter.stop()
