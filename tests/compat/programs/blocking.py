"""An arbiter that blocks, with subclasses and a command of its own, asked by a client in a thread."""

import sys
import threading

from circus.arbiter import Arbiter
from circus.client import CircusClient
from circus.commands.base import Command
from circus.process import Process
from circus.watcher import Watcher

place = sys.argv[1]


class Tagged(Process):
    def __init__(self, *args, **options):
        options["env"] = dict(options["env"] or {}, TAG="tag-%s" % args[1])
        super(Tagged, self).__init__(*args, **options)


class Talking(Watcher):
    @property
    def _process_class(self):
        return Tagged

    def notify_event(self, topic, msg):
        print("event", topic, sorted(set(msg) - {"time"}))
        super(Talking, self).notify_event(topic, msg)


class Greet(Command):
    """Say hello to a watcher."""

    name = "greet"
    properties = ["name"]

    def execute(self, arbiter, props):
        watcher = self._get_watcher(arbiter, props["name"])
        return {"hello": watcher.name, "processes": len(watcher)}


def hook(watcher, arbiter, hook_name, **kwargs):
    print("hook", hook_name, watcher.name, sorted(kwargs))
    return True


lines = []
arbiter = Arbiter(
    [
        Talking(
            "Web",
            "sh -c 'echo $TAG; exec sleep 1000'",
            graceful_timeout=5,
            priority=2,
            color="red",
            stdout_stream={"stream": lambda data: lines.append(data["data"])},
            hooks={"before_start": (hook, False), "after_spawn": (hook, False), "after_stop": (hook, False)},
        ),
        Watcher("other", "sleep 1000", graceful_timeout=5),
        Watcher("manual", "sleep 1000", autostart=False),
    ],
    "ipc://%s/c" % place,
    "ipc://%s/p" % place,
    multicast_endpoint="",
    check_delay=0.2,
)
print(arbiter.numwatchers(), [w.name for w in arbiter.iter_watchers()], [w.name for w in arbiter.watchers])


def ask():
    client = CircusClient(endpoint="ipc://%s/c" % place, timeout=30)

    def told(command, **props):
        reply = client.send_message(command, **props)
        reply = {key: value for key, value in reply.items() if key not in ("time", "id", "tb")}
        print(command, sorted(props.items()), sorted(reply.items()))

    told("list")
    told("status")
    told("numprocesses")
    told("numprocesses", name="web")
    told("greet", name="WEB")
    told("greet")
    told("greet", name="none")
    told("get", name="web", keys=["cmd", "graceful_timeout", "priority"])
    told("incr", name="other", waiting=True)
    told("decr", name="other", waiting=True)
    told("stop", name="other", waiting=True)
    told("status", name="other")
    client.call({"command": "quit"})
    client.stop()


def begin(future):
    threading.Thread(target=ask).start()


arbiter.start(cb=begin)
arbiter.stop_controller_and_close_sockets()
print(lines, arbiter.running)
