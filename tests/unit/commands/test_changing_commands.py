"""Commands that change something: what they ask of watchers, and what they refuse before they do."""

import signal

import pytest

from circus.commands import get_commands
from circus.commands.ownership import check_owner
from circus.exc import ArgumentError, CircusError, MessageError
from tests.fakes.arbiter import FakeArbiter, FakeWatcher

COMMANDS = get_commands()


@pytest.fixture
def arbiter():
    return FakeArbiter(
        FakeWatcher("Web", 2), FakeWatcher("web-api"), FakeWatcher("single", singleton=True), FakeWatcher("a+b")
    )


@pytest.fixture
def web(arbiter):
    return arbiter.watchers["web"]


def begun(arbiter, command, /, **props):
    doing = COMMANDS[command]
    doing.validate(props)
    return doing.execute(arbiter, props)


async def done(arbiter, command, /, **props):
    work = begun(arbiter, command, **props)
    return work if work is None or isinstance(work, dict) else await work


@pytest.mark.parametrize("name", ["start", "stop", "restart"])
async def test_one_watcher_answers_with_what_came_of_it(arbiter, web, name):
    reply = await done(arbiter, name, name="web")
    assert name in web.done
    assert set(reply) == {"info"}


@pytest.mark.parametrize("name", ["start", "restart", "reload"])
async def test_why_a_watcher_did_not_come_up_is_told_beside_what_was_always_told(arbiter, name):
    arbiter.watchers["web"].shortfall = "no such program"
    reply = await done(arbiter, name, name="web")
    assert (set(reply["info"]) >= {"started", "kept"}, reply["failed"]) == (True, {"Web": "no such program"})
    assert await done(arbiter, name) == {"failed": {"Web": "no such program"}}


async def test_stop_of_one_watcher_has_nothing_to_tell(arbiter):
    assert await done(arbiter, "stop", name="WEB") == {"info": None}


@pytest.mark.parametrize("name", ["a\nb", "a\0", "x" * 256, "\x7f"])
async def test_a_name_that_would_spoil_what_is_printed_is_refused(arbiter, name):
    with pytest.raises(MessageError, match="'name' is longer than 255 characters"):
        await done(arbiter, "add", name=name, cmd="x")


async def test_a_singleton_with_several_processes_is_not_added(arbiter):
    with pytest.raises(CircusError, match="Cannot have 3 processes with a singleton watcher"):
        await done(arbiter, "add", name="new", cmd="x", options={"singleton": True, "numprocesses": 3})
    assert "new" not in arbiter.watchers


@pytest.mark.parametrize("wrong", [{"pid": None}, {"signum": None}])
async def test_null_is_not_all_processes(arbiter, wrong):
    with pytest.raises(MessageError, match="None is not a"):
        await done(arbiter, "kill", name="web", **wrong)
    assert arbiter.watchers["web"].killed == []


@pytest.mark.parametrize("match", ["glob", "regex", "simple"])
async def test_a_pattern_that_takes_long_to_read_is_refused(arbiter, match):
    with pytest.raises(MessageError, match="'name' is longer than 1000 characters"):
        await done(arbiter, "stop", name="[" * 50_000, match=match)


async def test_a_regular_expression_that_takes_for_ever_is_refused(arbiter):
    with pytest.raises(CircusError, match="no regular expression that can be used"):
        await done(arbiter, "stop", name="(.?)" * 200 + "Q", match="regex")
    assert arbiter.done == []


@pytest.mark.parametrize("name", ["start", "stop", "restart"])
async def test_several_watchers_go_through_the_arbiter(arbiter, name):
    assert not await done(arbiter, name, name="web*")
    assert arbiter.done == [f"{name} Web,web-api"]


@pytest.mark.parametrize("name", ["start", "stop", "restart", "reload", "quit"])
async def test_without_a_name_all_are_meant(arbiter, name):
    assert not await done(arbiter, name)
    (told,) = arbiter.done
    assert told.startswith(name)
    assert told.endswith("all")


@pytest.mark.parametrize(
    ("pattern", "match", "names"),
    [
        ("WEB*", "glob", "Web,web-api"),
        ("web|single", "regex", "Web,web-api,single"),
        (r"\S+-\S+", "regex", "web-api"),
        ("A+B", "simple", "a+b"),
    ],
)
async def test_patterns_are_read_without_case(arbiter, pattern, match, names):
    await done(arbiter, "stop", name=pattern, match=match)
    stopped = [watcher.name for watcher in arbiter.iter_watchers() if "stop" in watcher.done]
    assert arbiter.done == [f"stop {names}"] or stopped == [names]


def test_a_pattern_that_matches_nothing_is_an_error(arbiter):
    with pytest.raises(MessageError, match=r"^program zz\* not found$"):
        begun(arbiter, "stop", name="zz*")


def test_a_pattern_that_is_none_is_an_error(arbiter):
    with pytest.raises(CircusError, match=r"^'\(' is not a regular expression: "):
        begun(arbiter, "start", name="(", match="regex")


def test_an_unknown_way_of_matching_is_an_error(arbiter):
    with pytest.raises(MessageError, match=r"^unknown match method bad$"):
        begun(arbiter, "start", name="web", match="bad")


def test_an_empty_name_is_not_all(arbiter):
    with pytest.raises(MessageError):
        begun(arbiter, "stop", name="")


async def test_incr_and_decr_answer_with_the_new_number(arbiter):
    assert await done(arbiter, "incr", name="web", nb=3) == {"numprocesses": 5}
    assert await done(arbiter, "decr", name="web") == {"numprocesses": 4}


@pytest.mark.parametrize("name", ["incr", "decr"])
def test_a_singleton_keeps_its_number_and_says_so_at_once(arbiter, name):
    assert begun(arbiter, name, name="single", nb=2) == {"numprocesses": 1, "singleton": True}


@pytest.mark.parametrize("nb", ["2", 1.5, None, True])
def test_a_number_must_be_one(arbiter, nb):
    with pytest.raises(MessageError, match="'nb' isn't an integer"):
        begun(arbiter, "incr", name="web", nb=nb)


async def test_reload_takes_graceful_and_sequential(arbiter, web):
    reply = await done(arbiter, "reload", name="web", graceful=False, sequential=True)
    assert set(reply["info"]) == {"stopped", "started", "kept"}
    assert web.done == ["reload graceful=False sequential=True"]


async def test_reload_is_graceful_unless_told(arbiter):
    await done(arbiter, "reload")
    assert arbiter.done == ["reload graceful=True sequential=False all"]


async def test_reload_means_what_a_text_says(arbiter, web):
    await done(arbiter, "reload", name="web", graceful="false")
    assert web.done == ["reload graceful=False sequential=False"]
    with pytest.raises(MessageError, match="'graceful'"):
        begun(arbiter, "reload", name="web", graceful="perhaps")


def test_reload_takes_no_pattern(arbiter):
    with pytest.raises(MessageError, match=r"^program web\* not found$"):
        begun(arbiter, "reload", name="web*")


async def test_kill_reads_pid_signal_and_grace_in_any_form(arbiter, web):
    pid = next(iter(web.processes))
    await done(arbiter, "kill", name="web", pid=str(pid), signum="int", graceful_timeout="0.5")
    assert web.killed == [(pid, signal.SIGINT, 0.5)]


async def test_kill_without_a_pid_means_all(arbiter, web):
    await done(arbiter, "kill", name="web")
    assert web.killed == [(None, None, None)]


def test_kill_of_a_pid_that_is_not_there_is_done(arbiter, web):
    assert begun(arbiter, "kill", name="web", pid=99999) is None
    assert web.killed == []


@pytest.mark.parametrize(
    ("props", "error"),
    [
        ({"name": "nope"}, "^program nope not found$"),
        ({"name": "web", "signum": "FOO"}, "'FOO' is not a signal"),
        ({"name": "web", "signum": 1.5}, "is not a signal"),
        ({"name": "web", "signum": -1}, "-1 is not a signal"),
        ({"name": "web", "signum": "9999"}, "'9999' is not a signal"),
        ({"name": "web", "signum": 2**31}, "is not a signal"),
        ({"name": "web", "graceful_timeout": "soon"}, "isn't a number"),
        ({"name": "web", "graceful_timeout": -1}, "isn't a number"),
        ({"name": "web", "graceful_timeout": True}, "isn't a number"),
        ({"name": "web", "pid": [1]}, "is not a pid"),
        ({}, "^message invalid 'name' is missing$"),
    ],
)
def test_kill_refuses_before_it_begins(arbiter, props, error):
    with pytest.raises(MessageError, match=error):
        begun(arbiter, "kill", **props)


def test_kill_of_a_pid_that_is_no_number_is_told_as_of_old(arbiter):
    with pytest.raises(CircusError, match="invalid literal for int") as raised:
        begun(arbiter, "kill", name="web", pid="abc")
    assert raised.value.errno == 5


def signals(web):
    return [process.signals for process in web.processes.values()]


def test_signal_reaches_all_processes(arbiter, web):
    begun(arbiter, "signal", name="web", signum="usr1")
    assert signals(web) == [[signal.SIGUSR1], [signal.SIGUSR1]]


def test_signal_reaches_one(arbiter, web):
    begun(arbiter, "signal", name="web", signum="SIGUSR1", pid=list(web.processes)[1])
    assert signals(web) == [[], [signal.SIGUSR1]]


def test_signal_to_a_pid_that_is_not_there_is_done(arbiter, web):
    begun(arbiter, "signal", name="web", signum=0, pid=99999)
    assert signals(web) == [[], []]


@pytest.mark.parametrize("key", ["childpid", "child_pid"])
def test_signal_to_a_child_needs_its_parent(arbiter, key):
    with pytest.raises(ArgumentError, match=r"^cannot specify childpid without pid$"):
        begun(arbiter, "signal", name="web", signum="cont", **{key: 5})


def test_signal_names_who_is_no_child(arbiter, web):
    pid = next(iter(web.processes))
    with pytest.raises(CircusError, match=f"process 5 is not a child of process {pid}"):
        begun(arbiter, "signal", name="web", signum="cont", pid=pid, childpid=5)


def test_signal_to_the_children_of_nobody_is_an_error(arbiter):
    with pytest.raises(CircusError, match="process 99999 not found"):
        begun(arbiter, "signal", name="web", signum="cont", pid=99999, children=True)


def test_signal_to_children_spares_the_parent(arbiter, web):
    begun(arbiter, "signal", name="web", signum="cont", children=True)
    assert signals(web) == [[], []]


def test_signal_needs_a_signal(arbiter):
    with pytest.raises(MessageError, match=r"^message invalid 'signum' is missing$"):
        begun(arbiter, "signal", name="web")


async def test_set_hands_on_what_fits_and_nothing_else(arbiter, web):
    assert await done(arbiter, "set", name="WEB", options={"numprocesses": -1, "cmd": "x"}) == {"effect": "nothing"}
    assert web.changed == [{"numprocesses": 0, "cmd": "x"}]
    with pytest.raises(MessageError, match="unknown key 'zz'"):
        begun(arbiter, "set", name="web", options={"cmd": "y", "zz": 1})
    with pytest.raises(CircusError, match="it cannot be had"):
        begun(arbiter, "set", name="web", options={"cmd": "impossible"})
    assert len(web.changed) == 1


async def test_add_makes_a_spec_of_all_options(arbiter):
    options = {"numprocesses": 2, "use_sockets": True, "hooks": {"before_start": ["a.b", True]}, "rlimit_core": None}
    assert await done(arbiter, "add", name="New", cmd="x", args=["a"], options=options) is None
    (spec,) = arbiter.added
    assert (spec.name, spec.cmd, spec.args, spec.numprocesses, spec.origin) == ("New", "x", ("a",), 2, "api")
    assert (spec.use_sockets, spec.rlimits, set(spec.hooks)) == (True, {"core": None}, {"before_start"})


async def test_add_with_start_answers_with_the_pids(arbiter):
    assert set(await done(arbiter, "add", name="New", cmd="x", start=True)) == {"started", "kept"}


@pytest.mark.parametrize(("nostop", "stop"), [(False, True), (True, False), ("false", True)])
async def test_rm_stops_unless_told_not_to(arbiter, nostop, stop):
    await done(arbiter, "rm", name="web", nostop=nostop)
    assert arbiter.done == [f"remove stop={stop} Web"]


@pytest.mark.parametrize(
    ("keys", "uid", "gid", "fine"),
    [
        (["numprocesses", "graceful_timeout", "labels.x"], None, None, True),
        (["cmd"], "nobody", None, True),
        (["cmd"], 65534, None, True),
        (["cmd"], None, None, False),
        (["cmd"], "root", None, False),
        (["gid"], "nobody", "root", False),
        (["env"], "root", None, False),
        (["hooks.before_start"], "nobody", None, False),
        (["hooks"], "nobody", None, False),
        (["stdout_stream.filename"], "nobody", None, False),
        (["stderr_stream"], "nobody", None, False),
        (["something new"], None, None, False),
    ],
)
def test_the_owner_of_the_endpoint_cannot_become_somebody_else(arbiter, keys, uid, gid, fine):
    check_owner(arbiter, keys, uid, gid)
    arbiter.endpoint_owner = "nobody"
    if fine:
        check_owner(arbiter, keys, uid, gid)
        return
    with pytest.raises(MessageError):
        check_owner(arbiter, keys, uid, gid)
