"""The control channel over real zmq: every request is answered once, and errors say what went wrong."""

import asyncio
import json
import os

import pytest
import zmq

from circus.commands.base import KNOWN_COMMANDS, Command
from circus.events.cause import CURRENT, TRACEPARENT
from circus.exc import MessageError, Overtaken, SocketError
from tests.fakes.arbiter import FakeWatcher
from tests.helpers.control import served, until

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def watchers():
    return FakeWatcher("Web", 2), FakeWatcher("single", singleton=True)


@pytest.fixture
def third_party():
    """Commands that a program defines for itself; forgotten after the test."""
    known = list(KNOWN_COMMANDS)
    yield
    KNOWN_COMMANDS[:] = known


async def test_a_reply_has_the_shape_of_old():
    async with served(watchers()) as daemon:
        reply = await daemon.client().raw(b'{"id": "ID", "command": "list", "properties": {}}')
    assert list(reply) == ["status", "time", "watchers", "id"]
    assert (reply["status"], reply["watchers"], reply["id"]) == ("ok", ["single", "web"], "ID")


async def test_commands_are_matched_without_case():
    async with served(watchers()) as daemon:
        assert (await daemon.client().ask("NumWatchers"))["numwatchers"] == 2


@pytest.mark.parametrize(
    ("body", "errno", "reason"),
    [
        (b"{bad", 1, "json invalid"),
        (b"", 1, "json invalid"),
        (b"   ", 1, "json invalid"),
        (b"[1,2]", 3, "message invalid: expected a JSON object"),
        (b"null", 3, "message invalid: expected a JSON object"),
        (b"{}", 3, "message invalid 'command' is missing"),
        (b'{"command": 5}', 3, "message invalid 'command' isn't a string"),
        (b'{"command": "list", "properties": [1]}', 3, "message invalid 'properties' isn't an object"),
        (b'{"command": "nosuch"}', 2, "unknown command: 'nosuch'"),
        (b'{"command": "adopt", "properties": {"name": "x"}}', 2, "unknown command: 'adopt'"),
        (b'{"command": "get", "properties": {"name": "web"}}', 3, "message invalid 'keys' is missing"),
        (b'{"command": "stop", "properties": {"name": "zz*"}}', 3, "program zz* not found"),
        (b'{"command": "kill", "properties": {"name": "nope"}}', 3, "program nope not found"),
        (
            b'{"command": "kill", "properties": {"name": "web", "pid": "abc"}}',
            5,
            "invalid literal for int() with base 10: 'abc'",
        ),
        (b'{"command": "listen"}', 3, "invalid message. use a pub/sub socket"),
    ],
)
async def test_what_is_wrong_is_answered(body, errno, reason):
    async with served(watchers()) as daemon:
        reply = await daemon.client().raw(body)
    assert list(reply) == ["status", "reason", "tb", "time", "errno", "id"]
    assert (reply["status"], reply["errno"], reply["reason"], reply["tb"]) == ("error", errno, reason, None)


async def test_a_req_socket_gets_its_answer():
    async with served(watchers()) as daemon:
        assert (await daemon.client(zmq.REQ).ask("numwatchers"))["numwatchers"] == 2


@pytest.mark.parametrize("kind", [zmq.DEALER, zmq.REQ])
async def test_too_many_frames_are_answered(kind):
    async with served(watchers()) as daemon:
        client = daemon.client(kind)
        await client.send(b"{}", b"{}")
        reply = json.loads((await client.receive())[-1])
    assert (reply["errno"], reply["id"]) == (3, None)


@pytest.mark.parametrize("command", [b'"numwatchers"', b'"nosuch"', b"5", b'"get"'])
async def test_a_cast_is_never_answered(command):
    async with served(watchers()) as daemon:
        client = daemon.client()
        await client.send(b'{"command": %b, "msg_type": "cast"}' % command)
        assert await client.silence()


async def test_a_cast_is_executed():
    async with served(watchers()) as daemon:
        client = daemon.client()
        await client.send(b'{"command": "stop", "msg_type": "cast", "properties": {"name": "web"}}')
        assert await client.silence()
        assert daemon.arbiter.watchers["web"].done == ["stop"]


async def test_without_waiting_the_reply_comes_before_the_work_is_done():
    async with served(watchers()) as daemon:
        web = daemon.arbiter.watchers["web"]
        web.hold = asyncio.get_running_loop().create_future()
        reply = await daemon.client().ask("incr", name="web")
        assert reply["status"] == "ok"
        assert "numprocesses" not in reply
        assert web.numprocesses == 2
        web.hold.set_result(None)
        await until(lambda: web.numprocesses == 3)


async def test_with_waiting_the_reply_tells_what_came_of_it():
    async with served(watchers()) as daemon:
        web = daemon.arbiter.watchers["web"]
        web.hold = asyncio.get_running_loop().create_future()
        client = daemon.client()
        await client.send(b'{"command": "incr", "properties": {"name": "web", "waiting": true}}')
        assert await client.silence()
        web.hold.set_result(None)
        assert json.loads((await client.receive())[-1])["numprocesses"] == 3


async def test_others_are_answered_while_somebody_waits():
    async with served(watchers()) as daemon:
        daemon.arbiter.watchers["web"].hold = asyncio.get_running_loop().create_future()
        waiting, other = daemon.client(), daemon.client()
        await waiting.send(b'{"command": "restart", "properties": {"name": "web", "waiting": true}}')
        assert (await other.ask("status", name="single"))["status"] == "active"


async def test_stop_of_one_watcher_answers_with_null():
    async with served(watchers()) as daemon:
        reply = await daemon.client().ask("stop", name="web", waiting=True)
    assert list(reply) == ["status", "time", "info", "id"]
    assert reply["info"] is None


async def test_a_command_that_is_overtaken_says_so():
    async with served(watchers()) as daemon:
        daemon.arbiter.watchers["web"].hold = asyncio.get_running_loop().create_future()
        client = daemon.client()
        await client.send(b'{"command": "start", "properties": {"name": "web", "waiting": true}, "id": "start"}')
        assert await client.silence()
        await daemon.client().ask("stop", name="web")
        reply = json.loads((await client.receive())[-1])
    assert (reply["errno"], reply["reason"]) == (5, "cancelled: stop overtook start of 'Web'")


@pytest.mark.parametrize("error", [OSError(22, "Invalid argument"), ValueError("what?"), MessageError("late")])
async def test_work_that_fails_is_answered_with_its_reason(error):
    async with served(watchers()) as daemon:
        hold = daemon.arbiter.watchers["web"].hold = asyncio.get_running_loop().create_future()
        hold.set_exception(error)
        reply = await daemon.client().ask("restart", name="web", waiting=True)
    assert (reply["errno"], reply["reason"]) == (6, str(error))


async def test_work_that_fails_unwatched_is_logged_and_counted(caplog):
    async with served(watchers()) as daemon:
        hold = daemon.arbiter.watchers["web"].hold = asyncio.get_running_loop().create_future()
        hold.set_exception(ValueError("what?"))
        assert (await daemon.client().ask("restart", name="web"))["status"] == "ok"
        await until(lambda: daemon.controller.command_errors["restart"] == 1)
    assert "what?" in caplog.text


async def test_work_that_is_given_up_is_answered():
    async with served(watchers()) as daemon:
        hold = daemon.arbiter.watchers["web"].hold = asyncio.get_running_loop().create_future()
        hold.cancel()
        reply = await daemon.client().ask("restart", name="web", waiting=True)
    assert (reply["errno"], reply["reason"]) == (5, "cancelled: restart was given up")


async def test_what_must_be_measured_is_waited_for():
    async with served(watchers()) as daemon:
        client = daemon.client()
        assert (await client.ask("dstats"))["info"]["cmdline"] == "python3"
        assert set((await client.ask("stats"))["infos"]) == {"Web", "single"}
        missing = await client.ask("stats", name="web", process=99999)
    assert (missing["errno"], missing["reason"]) == (3, "process 99999 not found in 'web'")


async def test_who_waits_for_quit_hears_of_its_end_when_the_channel_closes():
    async with served(watchers()) as daemon:
        daemon.arbiter.hold = asyncio.get_running_loop().create_future()
        client, other = daemon.client(), daemon.client()
        await client.send(b'{"command": "quit", "properties": {"waiting": true}}')
        await other.send(b'{"command": "reload", "properties": {"waiting": true}}')
        await until(lambda: daemon.controller.in_flight == 2)
        daemon.controller.stop()
        assert json.loads((await client.receive())[-1])["status"] == "ok"
        cancelled = json.loads((await other.receive())[-1])
    assert (cancelled["errno"], cancelled["reason"]) == (5, "cancelled: circusd is stopping")


async def test_the_cause_of_what_is_done_is_the_command_and_who_sent_it():
    async with served(watchers()) as daemon:
        web, seen = daemon.arbiter.watchers["web"], []

        async def restart():
            await asyncio.sleep(0)
            seen.append((CURRENT.get(), TRACEPARENT.get()))

        web.restart = restart
        request = {"command": "restart", "properties": {"name": "web", "waiting": True}, "id": "abc"}
        await daemon.client().raw(json.dumps(request | {"traceparent": TRACE}).encode())
        cause, trace = seen[0]
    me = f"uid:{os.getuid()},gid:{os.getgid()},pid:{os.getpid()}"
    assert (cause.kind, cause.id, cause.name, cause.actor) == ("command", "abc", "restart", me)
    assert trace == TRACE
    assert CURRENT.get() is None


async def test_a_peer_on_tcp_is_known_by_its_address():
    async with served(watchers(), "tcp://127.0.0.1:0") as daemon:
        await daemon.client().ask("stop", name="web")
        assert daemon.told[0][1]["actor"] == "tcp:127.0.0.1"


async def test_a_request_without_an_id_still_has_a_cause():
    seen = []
    async with served(watchers(), on_command=lambda *_: seen.append(CURRENT.get())) as daemon:
        await daemon.client().raw(b'{"command": "stop", "properties": {"name": "web"}}')
    assert seen[0].id


async def test_commands_that_change_something_are_recorded():
    async with served(watchers()) as daemon:
        client = daemon.client()
        await client.ask("list")
        await client.ask("stop", name="web", waiting=True, token="mine")
        await client.ask("stop", name="nope")
        kinds = [(record, data.get("ok")) for record, data in daemon.told]
        assert kinds == [
            ("command.started", None),
            ("command.finished", True),
            ("command.started", None),
            ("command.finished", False),
        ]
        done, refused = daemon.told[1][1], daemon.told[3][1]
    assert done["properties"] == {"name": "web", "waiting": True, "token": "***"}
    assert done["seconds"] >= 0
    assert (refused["errno"], refused["reason"]) == (3, "program nope not found")


async def test_a_failing_book_keeper_does_not_keep_the_answer():
    def fail(record, data):
        raise RuntimeError("no books today")

    async with served(watchers(), on_command=fail) as daemon:
        reply = await daemon.client().ask("stop", name="web")
        assert reply["errno"] == 5
        assert (await daemon.client().ask("numwatchers"))["status"] == "ok"


async def test_requests_are_counted_by_command():
    async with served(watchers()) as daemon:
        client = daemon.client()
        for _ in range(3):
            await client.ask("list")
        await client.ask("list", name="nope")
        await client.ask("nosuch")
        await client.raw(b"{bad")
        controller = daemon.controller
        assert (controller.command_counts["list"], controller.command_errors["list"]) == (4, 1)
        assert (controller.command_counts["unknown"], controller.command_errors["unknown"]) == (2, 2)
        assert sum(controller.command_seconds["list"].counts) == 4
        assert controller.command_counts["quit"] == 0
        assert controller.in_flight == 0


async def test_encoded_records_and_odd_texts_come_through():
    async with served(watchers()) as daemon:
        daemon.arbiter.journal.records = [b'{"seq":1,"data":{}}']
        odd = b"caf\xe9".decode(errors="surrogateescape")
        daemon.arbiter.watchers["web"].extra = {"cmd": odd}
        client = daemon.client()
        assert (await client.ask("events"))["records"] == [{"seq": 1, "data": {}}]
        assert (await client.ask("get", name="web", keys=["cmd"]))["options"] == {"cmd": odd}


async def test_a_command_of_a_third_party_may_answer_in_any_way(third_party):
    class Shape(Command):
        """Answer in the shape that is asked for."""

        name = "shape"
        properties = ["kind"]  # noqa: RUF012 - as programs for 0.19 write it

        def execute(self, arbiter, props):
            async def later():
                return {"late": arbiter.numwatchers()}

            def failing():
                raise LookupError("nothing found")

            return {
                "dict": lambda: {"a": 1},
                "list": lambda: [1, 2],
                "none": lambda: None,
                "later": later,
                "future": lambda: asyncio.ensure_future(later()),
                "odd": lambda: {"x": object()},
                "text": lambda: "text",
                "failing": failing,
                "os": lambda: os.kill(os.getpid(), 12345),
                "overtaken": lambda: (_ for _ in ()).throw(Overtaken("cancelled: it was")),
            }[props["kind"]]()

    async with served(watchers()) as daemon:
        client = daemon.client()

        async def shape(kind, **more):
            reply = await client.ask("shape", kind=kind, **more)
            return {key: value for key, value in reply.items() if key not in {"time", "id", "tb"}}

        assert await shape("dict") == {"status": "ok", "a": 1}
        assert await shape("list") == {"status": "ok", "results": [1, 2]}
        assert await shape("none") == {"status": "ok"}
        assert await shape("later") == {"status": "ok"}
        assert await shape("later", waiting=True) == {"status": "ok", "late": 2}
        assert await shape("future", waiting=True) == {"status": "ok", "late": 2}
        assert (await shape("odd"))["reason"].startswith("the answer has no JSON form")
        assert (await shape("text"))["errno"] == 5
        assert await shape("failing") == {"status": "error", "reason": "nothing found", "errno": 5}
        assert await shape("os") == {"status": "error", "reason": "[Errno 22] Invalid argument", "errno": 4}
        assert (await client.ask("shape"))["reason"] == "message invalid 'kind' is missing"


async def test_a_client_that_left_does_not_keep_others_waiting():
    async with served(watchers()) as daemon:
        web = daemon.arbiter.watchers["web"]
        web.hold = asyncio.get_running_loop().create_future()
        gone = daemon.client()
        await gone.send(b'{"command": "restart", "properties": {"name": "web", "waiting": true}}')
        await until(lambda: web.done)
        gone.socket.close(0)
        assert (await daemon.client().ask("numwatchers"))["status"] == "ok"
        web.hold.set_result(None)
        await until(lambda: daemon.controller.drops == 1)


async def test_many_requests_at_once_are_all_answered():
    async with served(watchers()) as daemon:
        client = daemon.client()
        for number in range(1000):
            await client.send(b'{"command": "status", "id": %d}' % number)
        ids = [json.loads((await client.receive())[-1])["id"] for _ in range(1000)]
    assert ids == list(range(1000))


async def test_a_message_that_is_too_large_costs_only_its_sender_the_connection():
    async with served(watchers()) as daemon:
        flooder = daemon.client()
        await flooder.send(b'{"command": "list", "more": "%b"}' % (b"x" * (17 * 1024 * 1024)))
        assert (await daemon.client().ask("numwatchers"))["status"] == "ok"
        assert (await flooder.ask("numwatchers"))["status"] == "ok"


async def test_an_error_of_a_socket_is_one_of_the_system_on_the_wire(third_party):
    class Opening(Command):
        """Opens."""

        name = "opening"

        def execute(self, arbiter, props):
            raise SocketError("socket 'web' cannot be bound: Address already in use", 98)

    async with served(watchers()) as daemon:
        reply = await daemon.client().ask("opening")
    assert (reply["errno"], reply["reason"]) == (4, "socket 'web' cannot be bound: Address already in use")
