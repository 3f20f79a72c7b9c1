"""circusctl as its users run it: what it prints, where, and with which status it ends."""

import asyncio
import json
import os
import signal
import socket
import sys

import pytest

from circus import __version__
from circus.guessing import refuses
from circus.publisher import EventPublisher
from circus.runtime.listener import listen
from circus.runtime.private_directory import private_directory
from circus.wire.endpoints import DEFAULT_CONTROL
from tests.fakes.arbiter import FakeProcess, FakeWatcher
from tests.helpers.control import served, short_directory, until
from tests.helpers.waiting import DEADLINE

EVENTS = "usage: circusctl events [--since SEQ] [--limit N] [--watcher NAME] [--record KIND] [--follow]"
NO_NUMBER = "error: expected a whole number, not 'x'\n"
NOT_UNDERSTOOD = "usage: circusctl [options] command [args]\ncircusctl: error:"
PROGRAM = "from circus.circusctl import main; main()"


async def begun(*words, env=None):
    environ = {name: value for name, value in os.environ.items() if name != "CIRCUSCTL_ENDPOINT"}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PROGRAM,
        *words,
        env=environ | {"CIRCUS_RUNTIME_DIR": "/nowhere"} | (env or {}),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def ended(process, typed=b""):
    async with asyncio.timeout(DEADLINE):
        out, err = await process.communicate(typed)
    return process.returncode, out.decode(), err.decode()


async def ctl(*words, env=None, typed=b""):
    """(status, standard output, standard error) of one run."""
    return await ended(await begun(*words, env=env), typed)


def watchers():
    web = FakeWatcher("Web", 2)
    web.processes = {42: FakeProcess(42), 43: FakeProcess(43)}
    return web, FakeWatcher("manual")


@pytest.mark.parametrize(
    ("line", "status", "out", "err"),
    [
        ("list", 0, "manual,web\n", ""),
        ("list web", 0, "42,43\n", ""),
        ("status", 0, "Web: active\nmanual: active\n", ""),
        ("status web", 0, "active\n", ""),
        ("status nope", 3, "", "error: program nope not found\n"),
        ("stop nope", 3, "", "error: program nope not found\n"),
        ("get web numprocesses env", 0, "numprocesses: 2\nenv: A=1,B=2\n", ""),
        ("incr web", 0, "ok\n", ""),
        ("incr web --waiting", 0, "3\n", ""),
        ("incr web --wait", 0, "3\n", ""),
        ("--timeout inf list web", 0, "42,43\n", ""),
        ("--timeout -1 list web", 0, "42,43\n", ""),
        ("--timeout nan list", 2, "", f"{NOT_UNDERSTOOD} argument --timeout: invalid number of seconds value: 'nan'\n"),
        ("decr web 2 --waiting", 0, "0\n", ""),
        ("incr web -1 --waiting", 0, "1\n", ""),
        ("signal web 42 usr1", 0, "ok\n", ""),
        ("signal web 42 cont --recursive", 0, "ok\n", ""),
        ("stats web 42", 0, "42: 42  sleep root 0 1.50M 2.44M 0.0 0.006 0:00.0\n", ""),
        ("list a b", 1, "", "Invalid number of arguments\nusage: circusctl list [NAME]\n"),
        ("incr web x", 1, "", f"{NO_NUMBER}usage: circusctl incr NAME [NB] [--waiting]\n"),
        ("events --limit x", 1, "", f"{NO_NUMBER}{EVENTS}\n"),
    ],
)
async def test_a_command_prints_and_ends_as_of_old(line, status, out, err):
    async with served(watchers()) as daemon:
        assert await ctl("--endpoint", daemon.endpoint, *line.split()) == (status, out, err)


@pytest.mark.parametrize("words", [["foo"], ["list", "--endpoint", "X"], ["--bad", "list"], ["LIST"]])
async def test_what_is_not_understood_ends_with_two(words):
    status, out, err = await ctl(*words)
    assert (status, out) == (2, "")
    assert "circusctl: error: unrecognized arguments: " in err or "circusctl: error:" in err


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["statu"], "statu (there is status; --help lists the commands)"),
        (["--help", "LIST"], "LIST (there is list; --help lists the commands)"),
        (["zzz"], "zzz (--help lists the commands)"),
        (["help", "zzz"], "zzz (--help lists the commands)"),
    ],
)
async def test_a_word_that_is_no_command_is_told_what_is_one(words, hint):
    status, out, err = await ctl(*words)
    assert (status, out, err.splitlines()[-1]) == (2, "", f"circusctl: error: unrecognized arguments: {hint}")


async def test_help_is_a_word_as_at_the_prompt():
    assert await ctl("help") == await ctl("--help")
    status, out, err = await ctl("help", "tail")
    assert (status, out, err) == await ctl("--help", "tail")
    assert out.startswith("Show the last lines")


async def test_an_option_at_the_wrong_place_is_told_where_it_belongs():
    status, _, err = await ctl("list", "--timeout", "3")
    assert (status, err.splitlines()[-1]) == (
        2,
        "circusctl: error: unrecognized arguments: --timeout (--timeout stands before the command)",
    )


async def test_a_program_with_options_stands_after_two_dashes():
    status, out, err = await ctl("add", "new", "sleep", "-x")
    assert (status, out) == (2, "")
    assert err.endswith(
        "unrecognized arguments: -x (a program with options is one word in quotes, or stands after --)\n"
    )


async def test_help_of_a_command_line_says_how_it_is_called():
    status, out, _ = await ctl("kill", "--help")
    assert (status, out.splitlines()[0]) == (
        0,
        "usage: circusctl kill NAME [PID] [--signum SIGNAL] [--graceful_timeout SECONDS] [--waiting]",
    )
    assert "`circusctl --help kill` tells more." in out


async def test_options_of_a_command_may_stand_anywhere_after_it():
    async with served(watchers()) as daemon:
        told = await ctl(
            "--endpoint", daemon.endpoint, "kill", "--signum", "int", "web", "--graceful_timeout", "2", "42"
        )
        assert told[0] == 0
        assert daemon.arbiter.watchers["web"].killed == [(42, signal.SIGINT, 2.0)]


async def test_json_is_the_reply_on_one_line():
    async with served(watchers()) as daemon:
        status, out, _ = await ctl("--endpoint", daemon.endpoint, "--json", "list")
    assert status == 0
    assert out.count("\n") == 1
    assert json.loads(out)["watchers"] == ["manual", "web"]


async def test_json_may_stand_after_the_command_too_and_is_for_that_alone():
    async with served(watchers()) as daemon:
        for words in (["list", "--json"], ["list", "--json", "web"], ["events", "--json"]):
            status, out, err = await ctl("--endpoint", daemon.endpoint, *words)
            assert (status, err) == (0, "")
            assert all(isinstance(json.loads(line), dict) for line in out.splitlines())
        _, out, _ = await ctl("--endpoint", daemon.endpoint, typed=b"list --json\nlist\n")
        assert '["manual", "web"]' in out
        assert "manual,web\n" in out
        status, out, err = await ctl("--endpoint", daemon.endpoint, "add", "new", "sleep", "--json")
        assert (status, out) == (2, "")
        assert "--json stands before the command" in err


async def test_json_of_an_error_ends_with_three():
    async with served(watchers()) as daemon:
        status, out, err = await ctl("--endpoint", daemon.endpoint, "--json", "status", "nope")
    assert (status, json.loads(out)["errno"], err) == (3, 3, "")


async def test_pretty_json_is_indented():
    async with served(watchers()) as daemon:
        _, out, _ = await ctl("--endpoint", daemon.endpoint, "--json", "--prettify", "list")
    assert out.count("\n") > 3


async def test_the_endpoint_may_come_from_the_environment():
    async with served(watchers()) as daemon:
        assert (await ctl("list", env={"CIRCUSCTL_ENDPOINT": daemon.endpoint}))[1] == "manual,web\n"


async def test_the_only_daemon_needs_no_endpoint():
    with short_directory() as directory:
        private_directory(f"{directory}/circus/web-1")
        async with served(watchers(), f"ipc://{directory}/circus/web-1/control.sock"):
            assert (await ctl("list", env={"CIRCUS_RUNTIME_DIR": str(directory)}))[1] == "manual,web\n"


default_is_free = pytest.mark.skipif(not refuses(DEFAULT_CONTROL), reason="a circusd runs at the default address")


@default_is_free
async def test_one_of_several_daemons_has_to_be_chosen_and_that_is_told_at_once():
    with short_directory() as directory:
        private_directory(f"{directory}/circus/web-1")
        private_directory(f"{directory}/circus/web-2")
        others = [listen(f"ipc://{directory}/circus/web-{number}/control.sock") for number in (1, 2)]
        names = "".join(f"  {other.endpoint}\n" for other in others)
        env = {"CIRCUS_RUNTIME_DIR": str(directory)}
        for words in (["status"], ["events"], ["listen"]):  # --timeout is for ever, and this ends
            told = await ctl("--timeout", "-1", *words, env=env)
            assert told == (1, "", f"2 circusd run; choose one with --endpoint or CIRCUSCTL_ENDPOINT:\n{names}")
        for other in others:
            other.close()


@default_is_free
async def test_where_nobody_listens_is_told_soon_with_what_is_left_of_one_that_did():
    with short_directory() as directory:
        private_directory(f"{directory}/circus/web-1")
        env = {"CIRCUS_RUNTIME_DIR": str(directory)}
        left = f"{directory}/circus/web-1/control.sock"
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(left)
        status, out, err = await ctl("--timeout", "-1", "status", env=env)
    assert (status, out) == (1, "")
    first, second, third = err.splitlines()
    assert first == f"no circusd runs here: nobody listens at tcp://127.0.0.1:5555, nor below {directory}/circus"
    assert second == f"{left} is left of one that has ended without an end of its own"
    assert "--endpoint" in third


@default_is_free
async def test_who_names_no_endpoint_may_be_a_little_early():
    """As in a script: `circusd circus.ini & circusctl status`."""
    with short_directory() as directory:
        private_directory(f"{directory}/circus/web-1")
        early = asyncio.create_task(ctl("--timeout", "5", "list", env={"CIRCUS_RUNTIME_DIR": str(directory)}))
        await asyncio.sleep(0.3)
        other = listen(f"ipc://{directory}/circus/web-1/control.sock")
        told = await early
        other.close()
    assert told[:2] == (1, "")
    assert told[2].startswith("Timed out.")  # it was found, and is no circusd


async def test_no_answer_ends_with_one_and_says_what_may_be_wrong():
    with short_directory() as directory:
        private_directory(f"{directory}/circus/web-1")
        other = listen(f"ipc://{directory}/circus/web-1/control.sock")
        nobody = f"ipc://{directory}/nobody"
        told = await ctl("--timeout", "0.1", "--endpoint", nobody, "list", env={"CIRCUS_RUNTIME_DIR": str(directory)})
        other.close()
    assert told[:2] == (1, "")
    assert told[2].startswith("Timed out.\nA time out usually happens in one of those cases:\n")
    assert nobody in told[2]
    assert other.endpoint in told[2]


async def test_what_is_seen_of_the_endpoint_is_told():
    with short_directory() as directory:
        silent = listen(f"ipc://{directory}/silent")
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(f"{directory}/dead")
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            nobody = f"tcp://127.0.0.1:{closed.getsockname()[1]}"
            for endpoint, told in {
                silent.endpoint: f"somebody listens at {silent.endpoint}, and does not answer",
                f"ipc://{directory}/none": f"there is no socket {directory}/none",
                f"ipc://{directory}/dead": f"nobody listens at ipc://{directory}/dead",
                nobody: f"nobody listens at {nobody}",
            }.items():
                status, _, err = await ctl("--timeout", "0.1", "--endpoint", endpoint, "list")
                assert (status, err.splitlines()[-1]) == (1, f"Seen from here: {told}.")
        silent.close()


async def test_a_bad_endpoint_is_told():
    assert (await ctl("--endpoint", "localhost:5555", "list"))[::2] == (
        1,
        "cannot connect to 'localhost:5555': expected tcp://HOST:PORT or ipc:///PATH, not 'localhost:5555'\n",
    )


async def test_version_and_help_need_no_daemon():
    assert await ctl("--version") == (0, f"circusctl {__version__}\n", "")
    status, out, _ = await ctl("--help")
    assert (status, out.splitlines()[0]) == (0, "usage: circusctl [options] command [args]")
    assert "Controls a Circus daemon" in out
    assert "\n    list " in out


async def test_help_of_a_command_is_its_description():
    assert (await ctl("--help", "quit"))[1].startswith("Stop all watchers and end the daemon.\n")
    assert "--waiting" in (await ctl("quit", "--help"))[1]
    told = " ".join((await ctl("status", "--help"))[1].split())
    assert "`active` says, as in circus 0.19, that a watcher is to run" in told
    assert "Request:" not in told


async def test_bash_completion_offers_commands():
    assert await ctl(env={"AUTO_COMPLETE": "1", "COMP_WORDS": "circusctl sta", "COMP_CWORD": "1"}) == (
        0,
        "start stats status\n",
        "",
    )


async def test_a_reader_who_has_seen_enough_is_no_traceback():
    async with served(watchers()) as daemon:
        process = await begun("--endpoint", daemon.endpoint, "list")
        process.stdout._transport.close()
        process.stdin.close()
        err = await process.stderr.read()
        assert (await process.wait(), err) == (1, b"")


async def test_the_prompt_runs_commands_and_repeats_the_last_on_an_empty_line():
    typed = b'list\n\nnosuch\nhelp list\nhelp nope\nlist a b\nincr web\nlist "\nlist --bad\nnumwatchers\n'
    async with served(watchers()) as daemon:
        status, out, err = await ctl("--endpoint", daemon.endpoint, typed=typed)
        assert daemon.arbiter.watchers["web"].done == ["incr 1"]
    assert status == 0
    assert out.startswith(f"circusctl {__version__}\nWeb: active\nmanual: active\n(circusctl) ")
    assert out.count("manual,web\n") == 2
    for told in ("*** Unknown syntax: nosuch", "circusctl list [NAME]", "*** No help on nope", "(circusctl) 2\n"):
        assert told in out
    for told in ("Invalid number of arguments", "No closing quotation", "unrecognized arguments: --bad"):
        assert told in err


class Journal:
    """Puts records into a fake arbiter's journal."""

    def __init__(self, arbiter):
        self._journal = arbiter.journal

    def add(self, *names):
        for name in names:
            record = {
                "seq": len(self._journal.records) + 1,
                "time": 1795465307.73,
                "record": name,
                "watcher": "web",
                "wid": 1,
                "pid": 42,
                "cause": {"kind": "boot"},
                "data": {},
            }
            self._journal.records.append(json.dumps(record).encode())


def names(out):
    return [line.split()[4] for line in out.splitlines()]


async def test_events_prints_the_journal_page_by_page():
    async with served(watchers()) as daemon:
        Journal(daemon.arbiter).add(*["process.spawned"] * 2500)
        status, out, _ = await ctl("--endpoint", daemon.endpoint, "events")
        assert (status, len(names(out))) == (0, 2500)
        _, out, _ = await ctl("--endpoint", daemon.endpoint, "events", "--since", "2498")
        assert len(names(out)) == 2
        _, out, _ = await ctl("--endpoint", daemon.endpoint, "--json", "events", "--limit", "3")
        assert [json.loads(line)["seq"] for line in out.splitlines()] == [2498, 2499, 2500]


async def test_events_passes_its_filters_on():
    async with served(watchers()) as daemon:
        await ctl("--endpoint", daemon.endpoint, "events", "--watcher", "web", "--record", "process.")
        assert daemon.arbiter.journal.asked[2:] == ("web", "process.")


async def lines(process, number):
    async with asyncio.timeout(DEADLINE):
        return [(await process.stdout.readline()).decode() for _ in range(number)]


async def interrupted(process):
    process.send_signal(signal.SIGINT)
    return await ended(process)


async def test_events_follow_what_happens_next():
    async with served(watchers()) as daemon:
        with short_directory() as directory:
            listener = listen(f"ipc://{directory}/events")
            publisher = EventPublisher(listener, daemon._context, loop=asyncio.get_running_loop())
            daemon.arbiter.pubsub_endpoint = listener.endpoint
            journal = Journal(daemon.arbiter)
            journal.add(*["watcher.state"] * 20, "process.spawned")
            process = await begun("--endpoint", daemon.endpoint, "events", "--follow")
            assert names("".join(await lines(process, 10)))[-1] == "process.spawned"
            await until(lambda: publisher.wants(b"lifecycle.web.process.exited"))
            for number in range(3):
                journal.add(f"process.exited{number}")
                publisher.send(b"lifecycle.web.process.exited", b"{}")
            assert names("".join(await lines(process, 3))) == [f"process.exited{number}" for number in range(3)]
            assert (await interrupted(process))[0] == 1
            publisher.close()
            listener.close()


async def test_listen_prints_topics_and_bodies_as_text():
    async with served(watchers()) as daemon:
        with short_directory() as directory:
            listener = listen(f"ipc://{directory}/events")
            publisher = EventPublisher(listener, daemon._context, loop=asyncio.get_running_loop())
            process = await begun("--endpoint", listener.endpoint, "listen", "watcher.web")
            await until(lambda: publisher.wants(b"watcher.web.spawn"))
            assert not publisher.wants(b"watcher.api.spawn")
            publisher.send(b"watcher.web.spawn", b'{"process_pid": 42}')
            assert await lines(process, 1) == ['watcher.web.spawn: {"process_pid": 42}\n']
            assert (await interrupted(process))[0] == 1
            publisher.close()
            listener.close()


async def test_listen_learns_the_events_endpoint_from_the_control_endpoint_of_the_environment():
    async with served(watchers()) as daemon:
        with short_directory() as directory:
            listener = listen(f"ipc://{directory}/events")
            publisher = EventPublisher(listener, daemon._context, loop=asyncio.get_running_loop())
            daemon.arbiter.pubsub_endpoint = listener.endpoint
            process = await begun("listen", env={"CIRCUSCTL_ENDPOINT": daemon.endpoint})
            await until(lambda: publisher.wants(b"watcher.web.spawn"))
            await interrupted(process)
            publisher.close()
            listener.close()


async def test_listen_takes_an_automatic_control_endpoint_for_its_neighbour():
    with short_directory() as directory:
        private_directory(f"{directory}/circus/web-1")
        async with served(watchers(), f"ipc://{directory}/circus/web-1/control.sock") as daemon:
            listener = listen(f"ipc://{directory}/circus/web-1/events.sock")
            publisher = EventPublisher(listener, daemon._context, loop=asyncio.get_running_loop())
            process = await begun("--endpoint", daemon.endpoint, "listen")
            await until(lambda: publisher.wants(b"watcher.web.spawn"))
            await interrupted(process)
            publisher.close()
            listener.close()


async def test_a_single_command_imports_nothing_heavy():
    program = (
        "import sys; given = set(sys.modules); from circus import circusctl; code = circusctl.run(sys.argv[1:]); "
        "heavy = 'asyncio logging msgspec importlib.metadata dataclasses inspect zmq'.split(); "
        "print([name for name in heavy if name in set(sys.modules) - given])"
    )
    async with served(watchers()) as daemon:
        for line in ("list", "status web", "incr web --waiting", "stats", "events", "telemetry"):
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-S", "-c", f"import sys; sys.path[:] = {sys.path!r}; {program}",
                "--endpoint", daemon.endpoint, *line.split(), stdout=asyncio.subprocess.PIPE,
            )  # fmt: skip
            out, _ = await process.communicate()
            assert out.decode().splitlines()[-1] == "[]", line
