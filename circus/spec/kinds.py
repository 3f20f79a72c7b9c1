"""The kinds of values that options have: how text becomes the value, and which typed values pass.

Owns no option and no default. Invariant: what `parse` returns is accepted by `accepts`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from circus.keys import is_key
from circus.spec.scalars import Platform, to_bool, to_mask, to_signum, to_size, to_user

# Integers travel as JSON; one beyond 64 bits could not be told to anybody.
_HIGHEST = 2**63 - 1

MOST_PROCESSES = 100_000
"""Of one watcher; a number beyond it is a slip of the hand, and would only fill the memory."""


def _never(_: object) -> bool:
    return False


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


class Kind(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """`word` names the kind in the reference, `expected` says in a mistake what should have been there, and
    `complaint` is what 0.19 answers to a typed value that does not fit (after the option's name).
    """

    word: str
    expected: str
    complaint: str
    parse: Callable[[str, Platform], object]
    accepts: Callable[[object], bool]
    typed: Callable[[object], bool] = _never
    """True for a value of the right type that may be out of its bounds."""


def integer(low: int = -_HIGHEST - 1, high: int = _HIGHEST) -> Kind:
    """Whole numbers within bounds."""
    expected = "a whole number"
    if high != _HIGHEST:
        expected = f"a whole number from {low} to {high}"
    elif low > -_HIGHEST:
        expected = f"a whole number, {low} or more"

    def parse(text: str, _: Platform) -> int:
        number = int(text)
        if not low <= number <= high:
            raise ValueError(text)
        return number

    def accepts(value: object) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high

    return Kind(
        word="integer",
        expected=expected,
        complaint="isn't an integer",
        parse=parse,
        accepts=accepts,
        typed=_is_integer,
    )


def number(low: float | None = None, *, above: float | None = None, unit: str = "seconds", high: float = 1e9) -> Kind:
    """Finite numbers, with `low` allowed and `above` not; at most `high`, which for seconds is thirty years."""
    expected = f"a number of {unit}" if unit else "a number"
    if low is not None:
        expected += f", {low:g} or more"
    if above is not None:
        expected += f", more than {above:g}"
    if high < 1e9:
        expected += f", at most {high:g}"

    def fits(value: float) -> bool:
        return (
            abs(value) <= high  # not so for nan, nor for whole numbers that no float can hold
            and (low is None or value >= low)
            and (above is None or value > above)
        )

    def parse(text: str, _: Platform) -> float:
        value = float(text)
        if not fits(value):
            raise ValueError(text)
        return value

    def accepts(value: object) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool) and fits(value)

    return Kind(
        word=unit or "number",
        expected=expected,
        complaint="isn't a number",
        parse=parse,
        accepts=accepts,
        typed=_is_number,
    )


def choice(*words: str) -> Kind:
    """One of a few words, in any case; kept in the case of this list."""
    by_fold = {word.lower(): word for word in words}

    def parse(text: str, _: Platform) -> str:
        try:
            return by_fold[text.strip().lower()]
        except KeyError:
            raise ValueError(text) from None

    listed = f"{', '.join(words[:-1])} or {words[-1]}"
    return Kind(
        word=" | ".join(words),
        expected=listed,
        complaint=f"isn't {listed}",
        parse=parse,
        accepts=lambda value: value in words,
    )


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_optional_text(value: object) -> bool:
    return value is None or isinstance(value, str)


def _is_text_map(value: object) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(key, str) and isinstance(each, str) for key, each in value.items()
    )


def _parse_signal(text: str, platform: Platform) -> int:
    signum = to_signum(text, platform.signals)
    if not 1 <= signum <= platform.highest_signal:
        raise ValueError(text)
    return signum


def _parse_size(text: str, _: Platform) -> int:
    size = int(text) if text.strip().isdecimal() else to_size(text)
    if not 0 <= size <= _HIGHEST:
        raise ValueError(text)
    return size


def _parse_endpoint(text: str, _: Platform) -> str:
    scheme, found, rest = text.partition("://")
    if text != "auto" and not (found and scheme and rest):
        raise ValueError(text)
    return text


def _parse_multicast(text: str, _: Platform) -> str:
    host, _colon, port = text.removeprefix("udp://").rpartition(":")
    if text and not (text.startswith("udp://") and host and port.isdecimal() and int(port) < 65536):
        raise ValueError(text)
    return text


def _parse_logger_file(text: str, _: Platform) -> str | None:
    if text and text != "default" and not text.endswith((".ini", ".json", ".yaml")):
        raise ValueError(text)
    return text or None


def _parse_host(text: str, _: Platform) -> str:
    host = text.strip()
    if not host or "/" in host or any(map(str.isspace, host)):
        raise ValueError(text)
    if ":" in host:
        from ipaddress import IPv6Address  # rare

        IPv6Address(host)
    return host


def _words(text: str) -> list[str]:
    return text.replace(",", " ").split()


def _parse_keys(text: str, _: Platform) -> tuple[str, ...]:
    keys = tuple(_words(text))
    if not all(map(is_key, keys)):
        raise ValueError(text)
    return keys


def _parse_http_url(text: str, _: Platform) -> str:
    from urllib.parse import urlsplit  # rare

    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
        raise ValueError(text)
    return text


def _is_args(value: object) -> bool:
    return value is None or isinstance(value, str) or (isinstance(value, list | tuple) and all(map(_is_text, value)))


def _is_user(value: object) -> bool:
    return value is None or isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool))


INTEGER = integer()
COUNT = integer(0)
SIZE = Kind(
    word="size",
    expected="a number of bytes such as 500000000, 512M or 2G",
    complaint="isn't a number of bytes",
    parse=_parse_size,
    accepts=lambda value: _is_integer(value) and COUNT.accepts(value),
    typed=_is_integer,
)
PROCESSES = integer(0, MOST_PROCESSES)
SECONDS = number(0)
BOOLEAN = Kind(
    word="boolean",
    expected="yes, true, on, 1, no, false, off or 0",
    complaint="isn't a valid boolean",
    parse=lambda text, _: to_bool(text),
    accepts=lambda value: isinstance(value, bool),
)
TEXT = Kind(word="text", expected="text", complaint="isn't a string", parse=lambda text, _: text, accepts=_is_text)
OPTIONAL_TEXT = Kind(
    word="text",
    expected="text",
    complaint="isn't a string",
    parse=lambda text, _: text or None,
    accepts=_is_optional_text,
)
ARGS = Kind(
    word="text",
    expected="text",
    complaint="isn't a string or a list of strings",
    parse=lambda text, _: text,
    accepts=_is_args,
)
SIGNAL = Kind(
    word="signal",
    expected="a signal of this machine, such as TERM, SIGTERM, 15 or SIGRTMIN+2",
    complaint="isn't an integer",
    parse=_parse_signal,
    accepts=lambda value: isinstance(value, int) and not isinstance(value, bool) and 0 < value < 256,
)
USER = Kind(
    word="name or id",
    expected="a name or a numeric id",
    complaint="isn't an integer or string",
    parse=lambda text, _: to_user(text),
    accepts=_is_user,
)
MASK = Kind(
    word="octal",
    expected="an octal mask such as 022",
    complaint="isn't a mask",
    parse=lambda text, _: to_mask(text) if text else None,
    accepts=lambda value: value is None or (isinstance(value, int) and 0 <= value <= 0o777),
)
MODE = Kind(
    word="octal",
    expected="an octal mode such as 0660",
    complaint="isn't a mode",
    parse=MASK.parse,
    accepts=MASK.accepts,
)
USERS = Kind(
    word="names or ids",
    expected="names or numeric ids, with blanks or commas between them",
    complaint="isn't a list of names or ids",
    parse=lambda text, _: tuple(user for word in _words(text) if (user := to_user(word)) is not None),
    accepts=lambda value: isinstance(value, tuple) and all(map(_is_user, value)),
)
CURVE_KEYS = Kind(
    word="keys",
    expected="public keys of 40 characters, as `circusctl keygen` prints them",
    complaint="isn't a list of keys",
    parse=_parse_keys,
    accepts=lambda value: isinstance(value, tuple) and all(isinstance(key, str) and is_key(key) for key in value),
)
PORT = integer(0, 65535)
HOST = Kind(
    word="host",
    expected="a host name or address, without port",
    complaint="isn't a host",
    parse=_parse_host,
    accepts=_is_text,
)
ENDPOINT = Kind(
    word="address",
    expected="an address such as tcp://127.0.0.1:5555 or ipc:///run/circus.sock, or auto",
    complaint="isn't an address",
    parse=_parse_endpoint,
    accepts=_is_text,
)
HTTP_URL = Kind(
    word="URL",
    expected="http://HOST:PORT or https://HOST:PORT",
    complaint="isn't a URL",
    parse=_parse_http_url,
    accepts=_is_text,
)
MULTICAST = Kind(
    word="address",
    expected="udp://GROUP:PORT, or nothing to switch discovery off",
    complaint="isn't an address",
    parse=_parse_multicast,
    accepts=_is_text,
)
LOGGER_FILE = Kind(
    word="path",
    expected="default, or a file that ends in .ini, .json or .yaml",
    complaint="isn't a string",
    parse=_parse_logger_file,
    accepts=_is_optional_text,
)
TEXT_MAP = Kind(
    word="environment",
    expected="an [env:NAME] section",
    complaint="isn't a valid object",
    parse=lambda text, _: text,
    accepts=lambda value: value is None or _is_text_map(value),
)
