"""Random configurations one after the other: each time what runs is what the file says, and nothing else was touched."""

from __future__ import annotations

import os
import pathlib
import random
import signal
import threading
from collections.abc import Callable
from typing import Any

from tests.helpers import proc
from tests.helpers.channels import NoAnswer
from tests.helpers.daemon import Daemon
from tests.helpers.waiting import DEADLINE, wait_until
from tests.integration.test_reconfigure_file import rewrite

Start = Callable[..., Daemon]

ROUNDS = 50
NAMES = ("alpha", "beta", "gamma", "delta", "plugin")
# What makes other processes, and what does not.
REPLACING = {
    "cmd": ("sleep 1000", "sleep 1001"),
    "working_dir": ("/", "/tmp"),
    "rlimit_nofile": (None, "100", "200"),
    "max_age": (None, "100000"),
    "close_child_stdout": (None, "true"),
}
QUIET = {
    "graceful_timeout": (None, "7", "8"),
    "stop_signal": (None, "INT"),
    "priority": (None, "1", "2"),
    "free.form": (None, "text"),
    "numprocesses": (None, "2", "3"),
}

Section = dict[str, str | None]


def chosen(dice: random.Random, before: Section | None) -> Section:
    """Options of a watcher: half of the time those that it had, else some of them different."""
    section = dict(before or {name: values[0] for name, values in (REPLACING | QUIET).items()})
    if before is None or dice.random() < 0.6:
        table = REPLACING | QUIET if dice.random() < 0.5 else QUIET
        for name in dice.sample(sorted(table), dice.randint(1, 3)):
            section[name] = dice.choice(table[name])
    return section


def text_of(sections: dict[str, Section], sockets: dict[str, int]) -> str:
    lines = []
    for name, section in sections.items():
        lines += [f"[watcher:{name}]", *(f"{key} = {value}" for key, value in section.items() if value is not None)]
    for name, backlog in sockets.items():
        lines += [f"[socket:{name}]", "host = 127.0.0.1", "port = 0", f"backlog = {backlog}"]
    return "\n".join(lines) + "\n"


def shape(section: Section) -> dict[str, str | None]:
    """What decides whether processes are the same."""
    return {name: section[name] for name in REPLACING}


def seen(pid: int) -> tuple[str, str, int]:
    """Command, directory and limit of files of a process."""
    here = pathlib.Path(f"/proc/{pid}")
    limits = next(line for line in (here / "limits").read_text().splitlines() if line.startswith("Max open files"))
    return here.joinpath("cmdline").read_text().replace("\0", " ").strip(), str(here.joinpath("cwd").readlink()), int(
        limits.split()[3]
    )  # fmt: skip


def expected(section: Section, usual: int) -> tuple[str | None, str | None, int]:
    return section["cmd"], section["working_dir"], int(section["rlimit_nofile"] or usual)


def test_after_each_of_many_random_configurations_what_runs_is_what_the_file_says(circusd: Start) -> None:
    seed = random.randrange(10**6)
    dice = random.Random(seed)
    sections = {name: chosen(dice, None) for name in NAMES[:3]}
    sockets = {"one": 10}
    daemon = circusd(text_of(sections, sockets))
    for name, section in sections.items():
        daemon.wait_pids(name, int(section["numprocesses"] or 1))
    usual = seen(daemon.pid)[2]
    ports: dict[str, Any] = {}
    for turn in range(ROUNDS):
        story = f"seed {seed}, round {turn}"
        before = {name: (section, daemon.pids(name)) for name, section in sections.items()}
        sections = {
            name: chosen(dice, sections.get(name))
            for name in NAMES
            if dice.random() < (0.85 if name in before else 0.4)
        }
        sockets = {name: dice.choice((10, 20)) for name in ("one", "two") if dice.random() < 0.7}
        rewrite(daemon, text_of(sections, sockets))
        daemon.ok("reloadconfig", waiting=True)
        assert daemon.ok("list")["watchers"] == sorted(sections), story
        for name, section in sections.items():
            pids = daemon.pids(name)
            assert len(pids) == int(section["numprocesses"] or 1), (story, name)
            for pid in pids:  # perhaps still on the way through the shell that sets its limits
                wait_until(lambda: seen(pid) == expected(section, usual), what=lambda: f"{story}: {seen(pid)}")  # noqa: B023 - called here
            if name in before and shape(before[name][0]) == shape(section):
                kept = set(pids) & set(before[name][1])
                assert len(kept) == min(len(pids), len(before[name][1])), (story, name)
            elif name in before:
                assert not set(pids) & set(before[name][1]), (story, name)
            got = daemon.ok("get", name=name, keys=["graceful_timeout", "priority"])["options"]
            assert got == {
                "graceful_timeout": float(section["graceful_timeout"] or 30), "priority": int(section["priority"] or 0),
            }, (story, name)  # fmt: skip
        found = {each["name"]: each for each in daemon.ok("listsockets")["sockets"]}
        assert {name: each["backlog"] for name, each in found.items()} == sockets, story
        for name in found.keys() & ports.keys():
            assert found[name]["port"] == ports[name], story
        ports = {name: each["port"] for name, each in found.items()}
        assert daemon.ok("plan")["changes"] == [], story
    gone = [pid for _, pids in before.values() for pid in pids]
    alive = {pid for name in sections for pid in daemon.pids(name)}
    wait_until(lambda: not [pid for pid in gone if pid not in alive and proc.alive(pid)])
    told = daemon.ok("telemetry")["arbiter"]
    assert told["illegal_transitions"] == 0
    assert proc.children(daemon.pid) == alive


def test_many_changes_leave_nothing_behind(circusd: Start, tmp_path: pathlib.Path) -> None:
    (tmp_path / "some_hooks.py").write_text("def hook(**_):\n    return True\n")
    web = "[watcher:web]\ncmd = sleep 1000\n"
    daemon = circusd(web, env={"PYTHONPATH": str(tmp_path)})
    daemon.wait_pids("web", 1)

    def once(turn: int) -> None:
        stream = {"class": "FileStream", "filename": str(tmp_path / f"out-{turn % 2}")}
        daemon.ok("set", name="web", options={"stdout_stream": stream}, waiting=True)
        daemon.ok("set", name="web", options={"hooks.before_spawn": "some_hooks.hook"}, waiting=True)
        daemon.ok("set", name="web", options={"cmd": f"sleep {1000 + turn}"}, waiting=True)
        daemon.ok("add", name="more", cmd="sleep 500", options={"stdout_stream": stream}, start=True, waiting=True)
        daemon.ok("rm", name="more", waiting=True)
        socket = f"[socket:s{turn}]\nhost = 127.0.0.1\nport = 0\n" if turn % 2 else ""
        rewrite(daemon, f"{socket}{web}priority = {turn}\n[watcher:w{turn % 3}]\ncmd = sleep 400\n")
        daemon.ok("reloadconfig", waiting=True)
        refused = daemon.call("set", name="web", options={"stdout_stream": {"class": "no.such.Stream"}})
        assert refused["status"] == "error"

    def threads() -> int:
        return len(list(pathlib.Path(f"/proc/{daemon.pid}/task").iterdir()))

    for turn in range(6):
        once(turn)
    before = len(proc.open_fds(daemon.pid)), threads()
    for turn in range(6, 36):
        once(turn)
    assert (len(proc.open_fds(daemon.pid)), threads()) == before
    names = {found["name"] for found in daemon.ok("telemetry")["watchers"]}
    assert names == set(daemon.ok("list")["watchers"]) == {"web", "w2"}
    assert daemon.ok("telemetry")["arbiter"]["illegal_transitions"] == 0


TEXTS = [
    "".join(
        f"[watcher:{name}]\ncmd = sleep {1000 + turn % 2}\nnumprocesses = {1 + (turn + place) % 3}\n"
        f"graceful_timeout = 1\nsend_hup = {name == 'c' and turn % 4 == 0}\n"
        for place, name in enumerate("abcd"[: 2 + turn % 3])
    )
    for turn in range(12)
]


class Siege:
    """Four clients who ask for all kinds of changes, each as quickly as it is answered."""

    def __init__(self, daemon: Daemon, directory: pathlib.Path, seed: int, patience: float = DEADLINE) -> None:
        self._patience = patience
        self.reasons: list[str] = []
        self.unanswered: list[str] = []
        self._daemon, self._directory, self._seed = daemon, directory, seed
        self._askers = [threading.Thread(target=self._ask, args=(number,)) for number in range(4)]
        for asker in self._askers:
            asker.start()

    def _ask(self, number: int) -> None:
        dice = random.Random(f"{self._seed} {number}")
        with self._daemon.caller() as caller:
            for turn in range(40):
                whole = number == 0 and turn % 20 == 19
                command, properties = ("restart", {}) if whole else self._something(dice, turn)
                try:
                    reply = caller.call(command, waiting=dice.random() < 0.6, timeout=self._patience, **properties)
                except NoAnswer as silence:
                    self.unanswered.append(str(silence))
                    return
                if reply["status"] == "error":
                    self.reasons.append(reply["reason"])

    def _something(self, dice: random.Random, turn: int) -> tuple[str, dict[str, Any]]:
        name = dice.choice("abcdxy")
        changes = (
            {"cmd": f"sleep {2000 + turn}"},
            {"numprocesses": dice.randint(0, 3), "priority": turn},
            {"stdout_stream.filename": str(self._directory / name)},
        )
        plain = ("rm", "start", "stop", "restart", "reload", "incr", "decr", "kill")
        return dice.choice(
            [
                *(("set", {"name": name, "options": options}) for options in changes),
                *((command, {"name": name}) for command in plain),
                ("add", {"name": name, "cmd": "sleep 3000", "start": True}),
                ("reloadconfig", {}),
                ("plan", {}),
            ]
        )

    def end(self) -> None:
        """Wait until all have been answered."""
        for asker in self._askers:
            asker.join()


def test_whatever_is_asked_at_once_is_answered_and_the_file_wins_in_the_end(
    circusd: Start, tmp_path: pathlib.Path
) -> None:
    seed = random.randrange(10**6)
    daemon = circusd(TEXTS[0])
    siege = Siege(daemon, tmp_path, seed)
    for text in TEXTS[1:]:
        rewrite(daemon, text)
        daemon.call("reloadconfig", waiting=True, timeout=60)
    siege.end()
    assert not siege.unanswered, f"seed {seed}"
    known = ("cancelled: ", "program ", "'", "reload of ")
    assert not [reason for reason in siege.reasons if not reason.startswith(known)], f"seed {seed}"
    # What was asked for last by hand is undone by rm and by the file; then all is as the file says.
    for name in daemon.ok("list")["watchers"]:
        daemon.ok("rm", name=name, waiting=True)
    daemon.ok("reloadconfig", waiting=True)
    last = len(TEXTS) - 1
    assert daemon.ok("list")["watchers"] == sorted("abcd"[: 2 + last % 3])
    alive = set()
    for place, name in enumerate(daemon.ok("list")["watchers"]):
        pids = daemon.wait_pids(name, 1 + (last + place) % 3)
        assert {seen(pid)[0] for pid in pids} == {f"sleep {1000 + last % 2}"}, f"seed {seed}"
        alive |= set(pids)
    assert proc.children(daemon.pid) == alive, f"seed {seed}"
    assert daemon.ok("telemetry")["arbiter"]["illegal_transitions"] == 0, f"seed {seed}"
    assert "Traceback" not in daemon.log_text(), f"seed {seed}"


def test_quit_ends_all_of_it_at_any_moment(circusd: Start, tmp_path: pathlib.Path) -> None:
    seed = random.randrange(10**6)
    daemon = circusd(TEXTS[0])
    siege = Siege(daemon, tmp_path, seed, patience=2.0)
    for text in TEXTS[1 : random.Random(seed).randrange(2, 8)]:
        rewrite(daemon, text)
        daemon.call("reloadconfig", waiting=True, timeout=60)
    below = proc.descendants(daemon.pid)
    assert daemon.call("quit", waiting=True, timeout=60)["status"] == "ok", f"seed {seed}"
    assert daemon.wait() == 0, f"seed {seed}"
    siege.end()  # without answers from the moment at which nobody was there any more
    assert not [pid for pid in below if proc.alive(pid)], f"seed {seed}"
    assert "Traceback" not in daemon.log_text(), f"seed {seed}"


def test_what_came_and_went_during_a_restart_of_everything_is_stopped_before_it_is_forgotten(circusd: Start) -> None:
    unmoved = "cmd = sleep 1000\nstop_signal = 18\n"  # SIGCONT ends nothing
    daemon = circusd(f"[watcher:slow]\n{unmoved}graceful_timeout = 1000\n")
    (slow,) = daemon.wait_pids("slow", 1)
    daemon.ok("restart")
    daemon.wait_status("slow", "stopping")
    options = {"stop_signal": 18, "graceful_timeout": 3}
    (late,) = daemon.ok("add", name="late", cmd="sleep 1001", options=options, start=True, waiting=True)["started"]
    with daemon.caller() as other:
        other.send("rm", name="late", waiting=True)
        daemon.wait_status("late", "stopping")
        os.kill(slow, signal.SIGKILL)
        assert other.receive()["status"] == "ok"
    assert not proc.alive(late)
    again = daemon.wait_pids("slow", 1, without=[slow])
    assert proc.children(daemon.pid) == set(again)
    assert daemon.ok("list")["watchers"] == ["slow"]
    daemon.ok("set", name="slow", options={"graceful_timeout": 0.1})
