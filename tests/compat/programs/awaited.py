"""An arbiter in a loop: the coroutines and the other methods of watchers and arbiter, one after the other."""

import asyncio
import os
import signal
import sys

from circus.arbiter import Arbiter
from circus.watcher import Watcher

place = sys.argv[1]

NAMES = [
    "args",
    "close_child_stderr",
    "close_child_stdin",
    "close_child_stdout",
    "cmd",
    "color",
    "copy_env",
    "env",
    "executable",
    "gid",
    "graceful_timeout",
    "max_age",
    "max_age_variance",
    "max_retry",
    "numprocesses",
    "on_demand",
    "priority",
    "respawn",
    "send_hup",
    "shell",
    "shell_args",
    "singleton",
    "stderr_stream_conf",
    "stdout_stream_conf",
    "stop_children",
    "stop_signal",
    "uid",
    "use_sockets",
    "warmup_delay",
    "working_dir",
]


def current_loop():
    try:
        from tornado.ioloop import IOLoop
    except ImportError:
        return None  # ours takes the running one
    return IOLoop.current()


async def until(condition):
    for _ in range(3000):
        if condition():
            return
        await asyncio.sleep(0.01)


def hook(watcher, arbiter, hook_name, **kwargs):
    return kwargs.get("answer", True)


class Talking(Watcher):
    def notify_event(self, topic, msg):
        print("event", topic)
        super().notify_event(topic, msg)


def kinds(info):
    return {key: len(value) for key, value in sorted(info.items())} if isinstance(info, dict) else info


async def main():
    web = Watcher(
        "Web",
        "sleep 1000",
        numprocesses=2,
        graceful_timeout=5,
        color="red",
        hooks={"after_start": (hook, False), "before_signal": (hook, True)},
    )
    arbiter = Arbiter(
        [web, Watcher("other", "sleep 1000", priority=5, graceful_timeout=5)],
        f"ipc://{place}/c",
        f"ipc://{place}/p",
        multicast_endpoint="",
        check_delay=-1,
        loop=current_loop(),
    )
    await arbiter.start()
    print(arbiter.running, arbiter.statuses(), arbiter.numprocesses(), [w.name for w in arbiter.iter_watchers()])
    print(arbiter.get_watcher("WEB") is web, arbiter.get_socket("none"), web.arbiter is arbiter)
    print("start", kinds(await web.start()), "incr", await web.incr(), "decr", await web.decr(2), len(web))
    print("set", await web.set_numprocesses(2), len(web), web.numprocesses)
    before = set(web.get_active_pids())
    print("restart", kinds(await web.restart()), bool(before & set(web.get_active_pids())))
    print("reload", kinds(await web.reload()), len(web))
    print("reload", kinds(await web.reload(sequential=True)), len(web))
    print("reload", kinds(await web.reload(graceful=False)), len(web))
    await web.stop()
    print("stopped", web.status(), web.is_stopped(), web.is_active(), web.is_stopping(), len(web))
    print("start", kinds(await web.start()), web.status())

    process = next(iter(web.processes.values()))
    print("processes", all(pid == each.pid for pid, each in web.processes.items()), len(web.get_active_processes()))
    print("info", sorted(web.info()) == sorted(web.get_active_pids()), sorted(web.process_info(process.pid)))
    await web.kill_process(process)
    await web.manage_processes()
    print("killed", process.is_alive(), len(web))
    await web.kill_processes(signal.SIGKILL)
    await web.reap_and_manage_processes()
    print("killed", len(web))

    for key, value in [
        ("graceful_timeout", 6),
        ("warmup_delay", 0),
        ("stop_signal", "INT"),
        ("stop_children", "true"),
        ("send_hup", False),
        ("cmd", "sleep 2000"),
        ("args", None),
        ("env", {"A": "1"}),
        ("shell", False),
        ("working_dir", "/"),
        ("max_age", 1000),
        ("max_age_variance", 5),
        ("numprocesses", 3),
        ("color", "blue"),
    ]:
        print("set_opt", key, web.set_opt(key, value), getattr(web, key, None))
    await web.do_action(0)
    print(len(web))
    await web.do_action(1)
    print(len(web), {each.cmd for each in web.processes.values()}, web.stop_signal == signal.SIGINT)
    options = dict(web.options())
    print(options["color"], options["graceful_timeout"], options["cmd"], set(options) == set(web.optnames))
    print([name for name in NAMES if name not in options])

    print("hook", web.call_hook("after_start"), web.call_hook("after_start", answer=False), web.call_hook("none"))
    for pid in web.get_active_pids():
        web.send_signal(pid, signal.SIGCONT)
    web.send_signal(1, signal.SIGCONT)
    print(sorted(set(web.ignore_hook_failure)), sorted(web.hooks), web.res_name)

    late = arbiter.add_watcher("Late", "sleep 1000", graceful_timeout=5)
    print(late.status(), arbiter.numwatchers(), arbiter.statuses()["Late"])
    await late.start()
    try:
        arbiter.add_watcher("LATE", "sleep 1")
    except Exception as error:
        print(type(error).__name__, error)
    await arbiter.rm_watcher("late")
    print(sorted(arbiter.statuses()), late.status())
    await arbiter.stop_watchers(watcher_iter_func=lambda reverse=True: [web])
    print(arbiter.statuses())
    await arbiter.start_watchers(watcher_iter_func=lambda reverse=True: [web])
    print(arbiter.statuses())
    await arbiter.restart(watcher_iter_func=lambda reverse=True: [web])
    print(arbiter.statuses(), len(web))
    await arbiter.reload()
    await arbiter.manage_watchers()
    print(arbiter.statuses(), arbiter.numprocesses())

    talking = Talking("talking", "sleep 1000", graceful_timeout=5, respawn=False)
    talking.initialize(arbiter.evpub_socket, arbiter.sockets, arbiter)
    try:
        Watcher("x", "x", singleton=True, numprocesses=2)
    except ValueError:
        print("ValueError")
    try:
        await Watcher.load_from_config({"name": "s", "cmd": "x", "singleton": True}).set_numprocesses(2)
    except Exception:
        print("refused")
    print(Watcher.load_from_config({"name": "y", "cmd": "z", "env": {"P": " $PLACE "}}).env)
    await arbiter.stop()
    await until(lambda: not arbiter.running)
    print(arbiter.running, arbiter.numprocesses())


os.environ["PLACE"] = "/there"
asyncio.run(main())
