"""A process by itself: everything that can be asked of one."""

import signal
import sys
import time

from circus.process import DEAD_OR_ZOMBIE, OTHER, RUNNING, UNEXISTING, Process

print(RUNNING, DEAD_OR_ZOMBIE, UNEXISTING, OTHER)


def until(condition):
    end = time.time() + 30
    while not condition() and time.time() < end:
        time.sleep(0.01)


process = Process(
    "web", 3, "sh -c 'echo $(circus.wid) $(circus.env.A) $A; echo oops >&2; read x; exit 4'", env={"A": "1"}
)
print(process.wid, process.name, process.pid > 0, process.stopping, process.redirected, process.started > 0)
print(process.stdout.read().decode(), process.stderr.read().decode())
process.wait(30)
print(process.poll(), process.returncode(), process.is_alive())
process.close_output_channels()

process = Process("web", 1, "sleep", args=["1000"], pipe_stdout=False, pipe_stderr=False)
print(
    process.is_alive(), process.status == RUNNING, process.poll(), process.returncode(), process.stdout, process.stderr
)
print(process.children(), process.is_child(1), process.age() < 30)
info = process.info()
print(sorted(info), info["wid"], info["cmdline"], info["children"], info["pid"] == process.pid)
print(process._worker.pid == process.pid)
process.send_signal(signal.SIGKILL)
until(lambda: not process.is_alive())
print(process.returncode(), process.is_alive(), process.info())
process.stop()

process = Process("web", 1, "sh -c 'sleep 1000 & sleep 1000 & wait'", pipe_stdout=False, pipe_stderr=False)
until(lambda: len(process.children()) == 2)
first, second = process.children()
print(process.is_child(first), len(process.children(recursive=True)))
process.send_signal_child(first, signal.SIGKILL)
until(lambda: process.children() == [second])
process.send_signal_children(signal.SIGKILL)
process.wait(30)
print(process.is_alive())
process.stop()

process = Process("web", 1, "echo $(circus.wid) 'a b'", args="-x $(circus.env.B)", env={"B": "2"}, spawn=False)
print(process.format_args())


class Polite(Process):
    def format_args(self, sockets_fds=None):
        return ["echo", "please"] + super(Polite, self).format_args(sockets_fds)


process = Polite("web", 1, "run", pipe_stderr=False)
print(process.stdout.read().decode())
process.wait(30)
program = "import os, resource; print(os.getcwd(), resource.getrlimit(resource.RLIMIT_NOFILE), sorted(os.environ))"
process = Process(
    "web", 1, sys.executable, ["-c", program], working_dir="/", rlimits={"nofile": 100}, env={"Z": "1", "LC_CTYPE": "C"}
)
print(process.stdout.read().decode())
process.wait(30)
process.stop()
