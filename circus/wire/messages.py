"""Requests and replies of the control channel: the JSON is read once, here, and written once, here.

Owns the shapes of circus 0.19 (key order included, `id` last and verbatim) and the frames around them; refuses to know
any command. Invariant: whatever bytes come in, parsing ends in a `Request` or a `BadRequest`, which can be answered.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

import msgspec

from circus.exc import INVALID_JSON, MESSAGE_ERROR, UNKNOWN_COMMAND, CircusError, MessageError

NULL: Final = msgspec.Raw(b"null")
CAST: Final = "cast"
AGAIN: Final = "again"
"""The word that repeats a request; no command, because the answer is that of the request."""

MASK: Final = "***"
_SECRET_WORDS: Final = ("password", "passwd", "secret", "token", "credential", "api_key", "apikey", "private_key")


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A command as a client sent it: `command` in lower case, `id` as the text it came in.

    `again`: that many seconds before this message was made the same was sent over a connection that was lost.
    """

    command: str
    properties: dict[str, Any]
    id: msgspec.Raw = NULL
    cast: bool = False
    traceparent: str | None = None
    again: float | None = None

    @property
    def waiting(self) -> bool:
        """True when the client wants the reply at the end of the work, not at its start."""
        return bool(self.properties.get("waiting"))

    @property
    def id_text(self) -> str | None:
        """The id for people and records; None when the client gave none."""
        text = bytes(self.id).decode(errors="replace")
        if text == "null":
            return None
        return shortened(text[1:-1] if text[:1] == '"' else text)


class BadRequest(MessageError):
    """A message that is not a request; carries what an answer to it needs."""

    def __init__(self, errno: int, reason: str, request_id: msgspec.Raw = NULL, *, cast: bool = False) -> None:
        super().__init__(reason)
        self.errno = errno
        self.id = request_id
        self.cast = cast


class UnknownCommand(CircusError):
    """No command of that name."""

    errno = UNKNOWN_COMMAND

    def __init__(self, command: str) -> None:
        super().__init__(f"unknown command: {command!r}")


class _Envelope(msgspec.Struct):
    """Any JSON object; whether the parts are what they must be is asked afterwards, when the id is known."""

    command: Any = None
    properties: Any = None
    id: msgspec.Raw = NULL
    msg_type: Any = None
    traceparent: Any = None


class _Repeated(msgspec.Struct):
    seconds: Annotated[float, msgspec.Meta(ge=0)]
    request: msgspec.Raw


class _Repetition(msgspec.Struct):
    properties: _Repeated


_decoder = msgspec.json.Decoder(_Envelope)
_repetitions = msgspec.json.Decoder(_Repetition)
_encoder = msgspec.json.Encoder()


def envelope(frames: Sequence[bytes]) -> Sequence[bytes]:
    """What goes before the reply: a REQ socket puts an empty frame before its message and wants one back."""
    return frames[:1] if len(frames) > 1 and not frames[0] else ()


def payload(frames: Sequence[bytes]) -> bytes:
    """The one frame of JSON among the frames after the peer's identity."""
    body = frames[len(envelope(frames)) :]
    if len(body) == 1:
        return body[0]
    raise BadRequest(MESSAGE_ERROR, f"message invalid: expected one frame of JSON, got {len(frames)} frames")


def parse_request(body: bytes) -> Request:
    """The request in one frame; raises BadRequest and nothing else."""
    request = _parsed(body)
    if request.command != AGAIN:
        return request
    try:
        repeated = _repetitions.decode(body).properties
    except msgspec.ValidationError as error:
        raise BadRequest(MESSAGE_ERROR, f"message invalid: 'again': {error}", request.id, cast=request.cast) from None
    # One that is repeated itself is a command of that name, which does not exist.
    return msgspec.structs.replace(_parsed(repeated.request), again=repeated.seconds)


def _parsed(body: bytes | msgspec.Raw) -> Request:
    try:
        envelope = _decoder.decode(body)
    except msgspec.ValidationError:
        raise BadRequest(MESSAGE_ERROR, "message invalid: expected a JSON object") from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise BadRequest(INVALID_JSON, "json invalid") from None
    request_id, cast = envelope.id.copy(), envelope.msg_type == CAST
    if not _is_text(bytes(request_id)):
        raise BadRequest(INVALID_JSON, "json invalid", cast=cast)
    if envelope.command is None:
        raise BadRequest(MESSAGE_ERROR, "message invalid 'command' is missing", request_id, cast=cast)
    if not isinstance(envelope.command, str):
        raise BadRequest(MESSAGE_ERROR, "message invalid 'command' isn't a string", request_id, cast=cast)
    # PHP, for one, writes an empty object as an empty array; circus 0.19 took it.
    properties = {} if envelope.properties in (None, []) else envelope.properties
    if not isinstance(properties, dict):
        raise BadRequest(MESSAGE_ERROR, "message invalid 'properties' isn't an object", request_id, cast=cast)
    return Request(
        command=envelope.command.lower(),
        properties=properties,
        id=request_id,
        cast=cast,
        traceparent=envelope.traceparent if is_traceparent(envelope.traceparent) else None,
    )


def _is_text(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def is_traceparent(value: object) -> bool:
    """True for a W3C trace context of version 00 (or a later one, whose first four fields are the same)."""
    if not isinstance(value, str) or not value.isascii():
        return False
    parts = value.split("-")
    if len(parts) < 4 or [len(part) for part in parts[:4]] != [2, 32, 16, 2]:
        return False
    if any(set(part) - set("0123456789abcdef") for part in parts[:4]) or parts[0] == "ff":
        return False
    if parts[0] == "00" and len(parts) != 4:
        return False
    return set(parts[1]) != {"0"} and set(parts[2]) != {"0"}


def ok_reply(result: object, request_id: msgspec.Raw, time: float) -> bytes:
    """The reply to a command that went well: `result` is its dict or struct, a list, or None.

    Keys of the result win over `status` and `time`, as in circus 0.19, where `status` of one watcher is its state.
    Raises ValueError when the result has no JSON form.
    """
    head: dict[str, Any] = {"status": "ok", "time": time}
    if isinstance(result, msgspec.Struct):
        if {"status", "time"}.issubset(result.__struct_fields__):
            return _with_id(_encode(result), request_id)
        head |= {name: getattr(result, name) for name in result.__struct_fields__}
    elif isinstance(result, Mapping):
        head |= result
    elif isinstance(result, list | tuple):
        head["results"] = result
    elif result is not None:
        raise ValueError(f"a command answers with a dict, a list or nothing, not with {type(result).__name__}")
    head.pop("id", None)
    return _with_id(_encode(head), request_id)


def error_reply(reason: str, errno: int, request_id: msgspec.Raw, time: float, warnings: Sequence[str] = ()) -> bytes:
    """The reply to a command that failed. There is no traceback in it: those belong into the daemon's log.

    A reason quotes what was asked, which may have been megabytes; so it is cut where it is much longer than a list of
    mistakes in a configuration. `warnings` of such a configuration are a key where there are any.
    """
    told = {"status": "error", "reason": shortened(reason, _REASON), "tb": None, "time": time, "errno": errno}
    return _with_id(_encode({**told, "warnings": warnings} if warnings else told), request_id)


def _with_id(body: bytes, request_id: msgspec.Raw) -> bytes:
    return b'%b,"id":%b}' % (body[:-1], bytes(request_id))


def _encode(value: object) -> bytes:
    try:
        try:
            return _encoder.encode(value)
        except UnicodeEncodeError:
            # Arguments and environments may hold bytes that are no UTF-8 (Python's lone surrogates). JSON can carry
            # them escaped, as circus 0.19 did; msgspec only writes UTF-8.
            return json.dumps(value, default=msgspec.to_builtins).encode()
    except (TypeError, OverflowError, RecursionError, msgspec.EncodeError) as error:
        raise ValueError(f"the answer has no JSON form: {error}") from error


def masked(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Properties for a record that others read and the journal keeps.

    Values of environments, and of keys that sound secret, are hidden; what is long, deep or much is cut, and says so
    with an ellipsis: a request may have megabytes, and there are thousands of records.
    """
    return _Masking().mapping(properties, _DEPTH)


_TEXT: Final = 1_000
_REASON: Final = 16_000


def shortened(text: str, most: int = _TEXT) -> str:
    """A text for a record: its beginning, and how long it was."""
    return text if len(text) <= most else f"{text[:most]}… ({len(text)} characters)"


_DEPTH: Final = 20
_MOST: Final = 4_000


class _Masking:
    """One document's way into a record; `_left` is how many more characters and values it may have."""

    def __init__(self) -> None:
        self._left = _MOST

    def mapping(self, value: Mapping[Any, Any], depth: int, *, hide: bool = False) -> dict[str, Any]:
        told: dict[str, Any] = {}
        for key, item in value.items():
            if self._left <= 0:
                told["…"] = f"{len(value) - len(told)} more"
                break
            name = self._text(str(key))
            told[name] = MASK if hide else self._value(name.lower(), item, depth)
        return told

    def _value(self, name: str, value: Any, depth: int) -> Any:
        if any(word in name for word in _SECRET_WORDS) and value not in (None, "", True, False):
            return MASK
        if isinstance(value, str):
            return self._text(value)
        self._left -= 1
        if isinstance(value, Mapping | list):
            if depth == 0:
                return "…"
            if isinstance(value, Mapping):
                return self.mapping(value, depth - 1, hide=name == "env")
            told: list[Any] = []
            for item in value:
                if self._left <= 0:
                    told.append(f"… {len(value) - len(told)} more")
                    break
                told.append(self._value(name, item, depth - 1))
            return told
        return value

    def _text(self, text: str) -> str:
        self._left -= 1 + min(len(text), _TEXT)
        return shortened(text)
