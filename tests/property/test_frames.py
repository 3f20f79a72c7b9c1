"""Whatever bytes arrive, there is a request or an error that can be answered; and nothing ends the channel."""

import json
import math

from hypothesis import given
from hypothesis import strategies as st

from circus.exc import INVALID_JSON, MESSAGE_ERROR
from circus.wire.messages import BadRequest, Request, envelope, error_reply, masked, ok_reply, parse_request, payload

texts = st.text(st.characters(exclude_categories=["Cs"]))
numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)
envelopes = st.fixed_dictionaries(
    {},
    optional={
        "command": values | st.sampled_from(["list", "LIST", "quit"]),
        "properties": values,
        "id": values,
        "msg_type": values | st.just("cast"),
        "traceparent": values,
        "more": values,
    },
)


def cut(body, place):
    return body[: int(len(body) * place)]


bodies = (
    st.binary(max_size=200)
    | values.map(lambda value: json.dumps(value).encode())
    | envelopes.map(lambda value: json.dumps(value).encode())
    | st.builds(cut, envelopes.map(lambda value: json.dumps(value).encode()), st.floats(0, 1))
)


def outcome(read, given_to_it):
    """What is read, or the one error that may come instead."""
    try:
        return read(given_to_it)
    except BadRequest as error:
        return error


def same(left, right):
    """Equal as JSON; integers beyond the range of a double may be compared through one."""
    if isinstance(left, float) or isinstance(right, float):
        return math.isclose(left, right, rel_tol=1e-9, abs_tol=1e-300)
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    return left == right


@given(bodies)
def test_any_bytes_are_a_request_or_can_be_refused(body):
    found = outcome(parse_request, body)
    if isinstance(found, BadRequest):
        assert found.errno in {INVALID_JSON, MESSAGE_ERROR}
        assert json.loads(error_reply(str(found), found.errno, found.id, 1.0))["reason"]
    else:
        assert isinstance(found, Request)
        assert found.command == found.command.lower()
        assert json.loads(ok_reply(None, found.id, 1.0))["status"] == "ok"


@given(st.lists(st.binary(max_size=20), max_size=5))
def test_any_frames_are_one_message_or_can_be_refused(frames):
    found = outcome(payload, frames)
    if isinstance(found, BadRequest):
        assert found.errno == MESSAGE_ERROR
    else:
        assert [*envelope(frames), found] == frames


@given(values, st.dictionaries(texts, values))
def test_an_object_with_a_command_is_understood_and_its_id_comes_back(request_id, properties):
    body = json.dumps({"command": "list", "properties": properties, "id": request_id}).encode()
    request = parse_request(body)
    assert same(request.properties, properties)
    assert same(json.loads(ok_reply({}, request.id, 1.0))["id"], request_id)


@given(st.dictionaries(texts, values), st.floats(0, 1e10))
def test_what_a_command_tells_arrives(result, time):
    reply = json.loads(ok_reply(result, parse_request(b'{"command": "x", "id": 1}').id, time))
    assert list(reply)[-1] == "id"
    assert reply["id"] == 1
    told = {key: value for key, value in result.items() if key != "id"}
    assert same({key: reply[key] for key in told}, told)


@given(st.text(), st.integers(0, 6))
def test_any_reason_can_be_told(reason, errno):
    assert json.loads(error_reply(reason, errno, parse_request(b'{"command": "x"}').id, 1.0))["reason"] == reason


@given(st.dictionaries(texts, values))
def test_masking_keeps_the_keys(properties):
    assert masked(properties).keys() == properties.keys()
