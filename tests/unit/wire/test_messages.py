"""Requests and replies: what is understood, what is answered, and in which order."""

import json

import msgspec
import pytest

from circus.exc import INVALID_JSON, MESSAGE_ERROR
from circus.resending import again
from circus.wire import messages
from circus.wire.messages import NULL, BadRequest, envelope, error_reply, masked, ok_reply, parse_request, payload
from circus.wire.snapshot import EventsAnswer

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def refused(body):
    with pytest.raises(BadRequest) as caught:
        parse_request(body)
    return caught.value


def test_a_request_is_read_once_into_a_struct():
    request = parse_request(b'{"command": "list", "properties": {"name": "web"}, "id": "x"}')
    assert (request.command, request.properties, bytes(request.id)) == ("list", {"name": "web"}, b'"x"')


def test_commands_are_matched_without_case():
    assert parse_request(b'{"command": "LIST"}').command == "list"


@pytest.mark.parametrize("text", ['"ab"', "7", "null", '{"a": 1.0}', "[1, 2]", "12345678901234567890123", "1.50"])
def test_any_id_comes_back_as_it_was_written(text):
    request = parse_request(f'{{"command": "list", "id": {text}}}'.encode())
    assert ok_reply(None, request.id, 1.0).endswith(f'"id":{text}}}'.encode())


def test_a_missing_id_is_null():
    assert json.loads(ok_reply(None, parse_request(b'{"command": "list"}').id, 1.0))["id"] is None


@pytest.mark.parametrize("none", [b"null", b"[]", b"{}"])
def test_properties_that_are_null_or_empty_are_none_at_all(none):
    assert parse_request(b'{"command": "list", "properties": %b}' % none).properties == {}


@pytest.mark.parametrize("body", [b"", b"  ", b"{bad", b"\xff\xfe", b'{"command": "a"', b'{"id":' + b"[" * 100_000])
def test_what_is_no_json_is_told_so(body):
    error = refused(body)
    assert (error.errno, str(error), error.id) == (INVALID_JSON, "json invalid", NULL)


@pytest.mark.parametrize("body", [b"[1, 2]", b'"x"', b"null", b"5"])
def test_json_that_is_no_object_is_told_so(body):
    assert refused(body).errno == MESSAGE_ERROR


@pytest.mark.parametrize("body", [b'{"id": 4}', b'{"id": 4, "command": null}'])
def test_a_missing_command_is_named(body):
    error = refused(body)
    assert (error.errno, str(error), bytes(error.id)) == (MESSAGE_ERROR, "message invalid 'command' is missing", b"4")


@pytest.mark.parametrize("body", [b'{"command": 5, "id": 1}', b'{"command": "list", "properties": [1], "id": 1}'])
def test_parts_of_the_wrong_type_are_told_with_the_id(body):
    error = refused(body)
    assert (error.errno, bytes(error.id)) == (MESSAGE_ERROR, b"1")


def test_an_id_that_is_no_text_is_not_echoed():
    assert refused(b'{"command": "list", "id": "\xff"}').id == NULL


def test_a_cast_is_known_also_when_it_is_wrong():
    assert parse_request(b'{"command": "list", "msg_type": "cast"}').cast
    assert refused(b'{"command": 5, "msg_type": "cast"}').cast


def test_one_frame_is_the_message():
    assert (envelope([b"{}"]), payload([b"{}"])) == ((), b"{}")


def test_the_empty_frame_of_a_req_socket_is_given_back():
    assert (envelope([b"", b"{}"]), payload([b"", b"{}"])) == ([b""], b"{}")
    assert envelope([b"", b"a", b"b"]) == [b""]
    assert not envelope([b""])


@pytest.mark.parametrize("frames", [[], [b"a", b"b"], [b"", b"a", b"b"], [b"a", b""]])
def test_other_numbers_of_frames_are_an_error(frames):
    with pytest.raises(BadRequest, match="expected one frame"):
        payload(frames)


def test_a_trace_context_is_taken_along():
    assert parse_request(json.dumps({"command": "list", "traceparent": TRACE}).encode()).traceparent == TRACE


@pytest.mark.parametrize(
    "wrong",
    [
        7,
        "",
        TRACE.upper(),
        TRACE[:-1],
        TRACE + "-x",
        "ff" + TRACE[2:],
        "00-" + "0" * 32 + TRACE[35:],
        TRACE[:36] + "0" * 16 + "-01",
    ],
)
def test_what_is_no_trace_context_is_left_out(wrong):
    assert parse_request(json.dumps({"command": "list", "traceparent": wrong}).encode()).traceparent is None


def test_a_later_version_of_the_trace_context_may_have_more_fields():
    assert messages.is_traceparent("01" + TRACE[2:] + "-more")


def test_a_reply_has_status_and_time_first_and_the_id_last():
    reply = json.loads(ok_reply({"watchers": ["a"]}, msgspec.Raw(b"1"), 2.5))
    assert list(reply.items()) == [("status", "ok"), ("time", 2.5), ("watchers", ["a"]), ("id", 1)]


def test_a_command_may_say_what_its_status_is():
    assert next(iter(json.loads(ok_reply({"status": "active"}, NULL, 1.0)).items())) == ("status", "active")


def test_a_command_cannot_change_the_id():
    assert ok_reply({"id": 5}, msgspec.Raw(b"1"), 1.0).count(b'"id"') == 1


def test_a_list_is_told_as_results():
    assert json.loads(ok_reply([1, 2], NULL, 1.0))["results"] == [1, 2]


def test_numbers_may_be_keys():
    assert json.loads(ok_reply({"info": {42: {}}}, NULL, 1.0))["info"] == {"42": {}}


def test_encoded_records_are_spliced_in():
    answer = EventsAnswer(boot="b", records=[msgspec.Raw(b'{"seq":1}')], first=1, next=1)
    reply = json.loads(ok_reply(answer, msgspec.Raw(b'"i"'), 1.0))
    assert list(reply) == ["status", "time", "boot", "records", "first", "next", "id"]
    assert reply["records"] == [{"seq": 1}]


def test_text_that_is_no_utf8_is_escaped():
    odd = b"caf\xe9".decode(errors="surrogateescape")
    assert json.loads(ok_reply({"cmd": odd}, msgspec.Raw(b"1"), 1.0)) == {
        "status": "ok",
        "time": 1.0,
        "cmd": odd,
        "id": 1,
    }


@pytest.mark.parametrize("result", [{"x": object()}, 5, "text", {"x": object(), "odd": "\udce9"}])
def test_a_result_without_json_form_is_a_value_error(result):
    with pytest.raises(ValueError):
        ok_reply(result, NULL, 1.0)


def test_an_error_has_the_keys_of_old_and_no_traceback():
    reply = json.loads(error_reply("why", 3, msgspec.Raw(b"9"), 1.0))
    assert list(reply.items()) == [
        ("status", "error"),
        ("reason", "why"),
        ("tb", None),
        ("time", 1.0),
        ("errno", 3),
        ("id", 9),
    ]


def test_secrets_do_not_reach_records():
    told = masked(
        {"name": "web", "options": {"env": {"A": "1"}, "db_password": "x", "list": [{"token": "t"}]}, "waiting": True}
    )
    assert told == {
        "name": "web",
        "options": {"env": {"A": "***"}, "db_password": "***", "list": [{"token": "***"}]},
        "waiting": True,
    }


def test_the_record_of_a_huge_request_is_small():
    told = masked({"name": "A" * 8_000_000, "many": [{"a": 1}] * 100_000, "B" * 8_000_000: 1, "text": ["x" * 999] * 99})
    assert len(json.dumps(told)) < 100_000
    assert told["name"] == "A" * 1000 + "… (8000000 characters)"
    assert told["many"][0] == {"a": 1}


def test_what_does_not_fit_into_a_record_is_counted():
    assert masked({"list": [1] * 100_000})["list"][-1].startswith("… 96")
    assert masked({str(number): number for number in range(100_000)})["…"].endswith(" more")


def test_a_record_of_a_deep_request_ends_where_it_is_deep():
    deep = "bottom"
    for _ in range(900):
        deep = [{"a": deep}]
    assert "…" in json.dumps(masked({"deep": deep}), ensure_ascii=False)


def test_a_long_id_is_short_where_people_read_it():
    request = parse_request(b'{"command": "list", "id": "%b"}' % (b"x" * 1_000_000))
    assert len(request.id_text) < 1100
    assert len(bytes(request.id)) == 1_000_002


def test_a_reason_that_quotes_megabytes_is_cut():
    reason = json.loads(error_reply("program " + "x" * 1_000_000, 3, NULL, 1.0))["reason"]
    assert reason.startswith("program xxx")
    assert reason.endswith("(1000008 characters)")
    assert len(reason) < 20_000


def test_what_is_sent_again_is_the_request_itself_with_its_id():
    request = parse_request(b'{"command": "list", "properties": {"name": "web"}, "id": "x"}')
    repeated = parse_request(again(b'{"command": "list", "properties": {"name": "web"}, "id": "x"}', 1.25))
    assert (request.again, repeated.again) == (None, 1.25)
    assert msgspec.structs.replace(repeated, again=None) == request


@pytest.mark.parametrize(
    ("properties", "problem"),
    [
        (b"{}", "Object missing required field `seconds`"),
        (b'{"seconds": -1, "request": {}}', "Expected `float` >= 0"),
        (b'{"seconds": "x", "request": {}}', "Expected `float`, got `str`"),
        (b'{"seconds": 1}', "Object missing required field `request`"),
    ],
)
def test_what_is_no_repetition_is_told_so_under_its_own_id(properties, problem):
    error = refused(b'{"command": "again", "id": 4, "properties": %b}' % properties)
    assert (error.errno, bytes(error.id)) == (MESSAGE_ERROR, b"4")
    assert str(error).startswith(f"message invalid: 'again': {problem}")


def test_what_is_wrong_in_a_repeated_request_is_told_under_its_id():
    error = refused(again(b'{"id": 5}', 1.0))
    assert (str(error), bytes(error.id)) == ("message invalid 'command' is missing", b"5")


def test_a_repetition_is_not_repeated():
    assert parse_request(again(again(b'{"command": "list"}', 1.0), 2.0)).command == "again"
