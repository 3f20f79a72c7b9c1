"""Commands that only read: what they tell of an arbiter, and how circusctl prints it."""

import asyncio
import json

import msgspec
import pytest

from circus.commands import get_commands
from circus.exc import MessageError
from tests.fakes.arbiter import FakeArbiter, FakeProcess, FakeSocket, FakeWatcher

COMMANDS = get_commands()


@pytest.fixture
def arbiter():
    return FakeArbiter(FakeWatcher("Web", 2), FakeWatcher("other one", singleton=True))


def asked(arbiter, command, /, **props):
    doing = COMMANDS[command]
    doing.validate(props)
    result = doing.execute(arbiter, props)
    return asyncio.run(_awaited(result)) if asyncio.iscoroutine(result) else result


async def _awaited(work):
    return await work


def printed(command, /, **reply):
    return COMMANDS[command].console_msg({"status": "ok", **reply})


def test_list_tells_names_in_lower_case_and_sorted(arbiter):
    assert asked(arbiter, "list") == {"watchers": ["other one", "web"]}


def test_list_of_a_watcher_tells_its_pids(arbiter):
    assert asked(arbiter, "list", name="WEB") == {"pids": list(arbiter.watchers["web"].processes)}


@pytest.mark.parametrize("name", ["list", "status", "numprocesses", "stats", "options"])
def test_an_unknown_watcher_is_named_as_it_was_given(arbiter, name):
    with pytest.raises(MessageError, match=r"^program Nope not found$"):
        asked(arbiter, name, name="Nope")


@pytest.mark.parametrize("name", [5, None, ["web"]])
def test_a_name_that_is_no_text_is_refused(arbiter, name):
    with pytest.raises(MessageError, match="'name'"):
        asked(arbiter, "list", name=name)


def test_status_tells_all_states_with_names_as_configured(arbiter):
    assert asked(arbiter, "status") == {"statuses": {"Web": "active", "other one": "active"}}


def test_status_of_a_watcher_stands_where_ok_would(arbiter):
    assert asked(arbiter, "status", name="web") == {"status": "active"}


def test_numprocesses_counts_all_or_those_of_a_watcher(arbiter):
    assert asked(arbiter, "numprocesses") == {"numprocesses": 3}
    assert asked(arbiter, "numprocesses", name="WEB") == {"numprocesses": 2, "watcher_name": "WEB"}


def test_numwatchers_counts(arbiter):
    assert asked(arbiter, "numwatchers") == {"numwatchers": 2}


def test_options_tells_all_and_get_some(arbiter):
    arbiter.watchers["web"].extra = {"custom_opt": "hello"}
    assert asked(arbiter, "options", name="web")["options"]["custom_opt"] == "hello"
    found = asked(arbiter, "get", name="web", keys=["stop_signal", "custom_opt"])
    assert list(found["options"].items()) == [("stop_signal", 15), ("custom_opt", "hello")]


@pytest.mark.parametrize("key", ["zz", 5])
def test_get_names_the_option_it_does_not_know(arbiter, key):
    with pytest.raises(MessageError, match=f"^{key!r} option not found$"):
        asked(arbiter, "get", name="web", keys=["numprocesses", key])


def test_get_needs_keys(arbiter):
    with pytest.raises(MessageError, match=r"^message invalid 'keys' is missing$"):
        asked(arbiter, "get", name="web")
    with pytest.raises(MessageError, match="'keys' isn't a list"):
        asked(arbiter, "get", name="web", keys="numprocesses")


def test_globaloptions_tells_addresses_in_the_order_of_old(arbiter):
    assert list(asked(arbiter, "globaloptions")["options"]) == [
        "endpoint",
        "stats_endpoint",
        "pubsub_endpoint",
        "check_delay",
        "multicast_endpoint",
    ]


def test_globaloptions_tells_one(arbiter):
    assert asked(arbiter, "globaloptions", option="check_delay") == {"options": {"check_delay": 5.0}}
    with pytest.raises(MessageError, match=r"^'zz' not an existing option$"):
        asked(arbiter, "globaloptions", option="zz")


def test_listsockets_tells_by_descriptor(arbiter):
    arbiter.sockets = {"web": FakeSocket("web", 16), "ux": FakeSocket("ux", 9, path="/run/ux")}
    assert asked(arbiter, "listsockets") == {
        "sockets": [
            {"fd": 9, "name": "ux", "backlog": 2048, "path": "/run/ux"},
            {"fd": 16, "name": "web", "backlog": 2048, "host": "127.0.0.1", "port": 8080},
        ]
    }


def test_stats_of_all_of_one_watcher_and_of_one_process(arbiter):
    (pid, second) = arbiter.watchers["web"].processes
    assert set(asked(arbiter, "stats")["infos"]) == {"Web", "other one"}
    of_one = asked(arbiter, "stats", name="web")
    assert of_one["name"] == "web"
    assert set(of_one["info"]) == {pid, second}
    alone = asked(arbiter, "stats", name="web", process=pid, extended=True)
    assert (alone["process"], alone["info"]["pid"]) == (pid, pid)
    assert arbiter.stats.asked_extended


def test_stats_names_the_process_that_a_watcher_does_not_have(arbiter):
    with pytest.raises(MessageError, match=r"^process 99999 not found in 'Web'$"):
        asked(arbiter, "stats", name="Web", process=99999)


def test_stats_of_a_process_that_ends_meanwhile_is_not_found(arbiter):
    watcher = arbiter.watchers["web"]
    watcher.processes = {7: FakeProcess(7)}
    work = COMMANDS["stats"].execute(arbiter, {"name": "web", "process": 7})
    watcher.processes = {}
    with pytest.raises(MessageError, match="process 7 not found"):
        asyncio.run(_awaited(work))


def test_dstats_tells_of_the_daemon(arbiter):
    assert asked(arbiter, "dstats")["info"]["cmdline"] == "python3"


def test_listen_is_for_another_socket(arbiter):
    with pytest.raises(MessageError, match="pub/sub"):
        asked(arbiter, "listen")


def test_events_asks_the_journal_and_splices_its_records(arbiter):
    arbiter.journal.records = [b'{"seq":1}', b'{"seq":2}']
    answer = asked(arbiter, "events", since=1, limit=5, watcher="web", record="process.")
    assert arbiter.journal.asked == (1, 5, "web", "process.")
    assert json.loads(msgspec.json.encode(answer)) == {"boot": "b00t", "records": [{"seq": 2}], "first": 1, "next": 2}


@pytest.mark.parametrize("limit", [None, 1_000_000])
def test_events_are_told_in_pages(arbiter, limit):
    asked(arbiter, "events", limit=limit)
    assert arbiter.journal.asked[1] == 1000


@pytest.mark.parametrize("props", [{"since": -1}, {"since": "1"}, {"since": True}, {"limit": 1.5}, {"watcher": 5}])
def test_events_refuses_what_is_no_number_or_name(arbiter, props):
    with pytest.raises(MessageError):
        asked(arbiter, "events", **props)


def test_telemetry_passes_its_glob_on(arbiter):
    asked(arbiter, "telemetry", watchers="w*", detail=False)
    assert arbiter.done == ["telemetry w* False"]
    with pytest.raises(MessageError):
        asked(arbiter, "telemetry", watchers=5)
    with pytest.raises(MessageError, match="'watchers' is longer than 1000 characters"):
        asked(arbiter, "telemetry", watchers="[" * 50_000)


@pytest.mark.parametrize(
    ("name", "reply", "text"),
    [
        ("list", {"watchers": ["a", "b"]}, "a,b"),
        ("list", {"pids": [1, 2]}, "1,2"),
        ("status", {"statuses": {"b": "stopped", "A": "active"}}, "A: active\nb: stopped"),
        ("status", {"status": "stopping"}, "stopping"),
        ("numprocesses", {"numprocesses": 3}, "3"),
        ("numwatchers", {"numwatchers": 2}, "2"),
        ("get", {"options": {"numprocesses": 2, "env": {"B": "2", "A": "1"}}}, "numprocesses: 2\nenv: A=1,B=2"),
        ("options", {"options": {"uid": None, "cmd": "sleep"}}, "cmd: sleep\nuid: "),
        ("globaloptions", {"options": {"endpoint": "e", "check_delay": 1.0}}, "check_delay: 1.0\nendpoint: e"),
        (
            "listsockets",
            {
                "sockets": [
                    {"fd": 8, "name": "ux", "path": "/p"},
                    {"fd": 9, "name": "web", "host": "127.0.0.1", "port": 80},
                ]
            },
            "8:socket 'ux' at /p\n9:socket 'web' at 127.0.0.1:80",
        ),
    ],
)
def test_replies_are_printed_as_of_old(name, reply, text):
    assert printed(name, **reply) == text


def test_stats_are_printed_as_of_old():
    child = {"pid": 8, "cmdline": "sh", "username": "root", "nice": 0, "mem_info1": "1M", "mem_info2": "2M"}
    child |= {"cpu": 0.0, "mem": 0.1, "ctime": "0:00.0", "children": []}
    info = child | {"pid": 7, "cmdline": "sleep", "children": [child]}
    line = "7: 7  sleep root 0 1M 2M 0.0 0.1 0:00.0\n   8  sh root 0 1M 2M 0.0 0.1 0:00.0"
    assert printed("stats", name="web", info={"7": info}) == f"web:\n{line}"
    assert printed("stats", infos={"web": {"7": info}, "off": {}}) == f"web:\n{line}\noff:"
    assert printed("stats", process=7, info=info) == line
    assert printed("stats", name="web", info={"7": "No such process (stopped?)"}).endswith(
        "7: No such process (stopped?)"
    )
    assert printed("dstats", info=child) == "Main Process:\n    8  sh root 0 1M 2M 0.0 0.1 0:00.0"


def test_a_record_is_printed_on_one_line():
    record = {
        "seq": 12,
        "time": 1795465307.73,
        "record": "process.exited",
        "watcher": "web",
        "wid": 3,
        "pid": 42,
        "cause": {"kind": "record", "seq": 9},
        "data": {"outcome": "error", "exit_code": 3, "signal": None, "why": "last words\n", "core": False},
    }
    line = printed("events", records=[record])
    assert line.endswith(
        '#12 web:3[42] process.exited outcome=error exit_code=3 why="last words\\n" core=no (because of #9)'
    )


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_prints_the_reason_of_an_error(name):
    reply = {"status": "error", "reason": "program nope not found", "errno": 3}
    assert COMMANDS[name].console_msg(reply) == "error: program nope not found"
