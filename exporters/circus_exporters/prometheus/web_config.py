"""The file with certificates and passwords, in the shape that Prometheus' own exporters take.

Owns which keys there are and what may stand in them. It refuses to know sockets, and to look into the files that it
names. Invariant: a `WebConfig` that exists is complete; a key that asks for more than can be given is refused, because
passing over it would leave a door open that was meant to be closed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from circus.exc import ConfigError, Mistake

EXTRA: Final = "web-config"

_VERSIONS: Final = ("TLS12", "TLS13")
_CLIENT_AUTH: Final = ("NoClientCert", "VerifyClientCertIfGiven", "RequireAndVerifyClientCert")
_UNVERIFIED: Final = ("RequestClientCert", "RequireAnyClientCert")
_HASH: Final = re.compile(r"\$2[abxy]\$(0[4-9]|[12]\d|3[01])\$[./A-Za-z0-9]{53}")
_TLS_ELSEWHERE: Final = (
    "cert", "key", "client_ca", "client_allowed_sans", "cipher_suites", "curve_preferences",
    "prefer_server_cipher_suites",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsConfig:
    """Files are absolute; `client_auth` is one of NoClientCert, VerifyClientCertIfGiven, RequireAndVerifyClientCert."""

    cert_file: str
    key_file: str
    client_ca_file: str | None = None
    client_auth: str = "NoClientCert"
    min_version: str = "TLS12"
    max_version: str = "TLS13"

    @property
    def files(self) -> tuple[str, ...]:
        """All that is read to make a server of it."""
        return tuple(file for file in (self.cert_file, self.key_file, self.client_ca_file) if file is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebConfig:
    """`path` is the file; `users` has the bcrypt hash of the password of each, and is empty when everybody may ask."""

    path: str
    tls: TlsConfig | None = None
    users: Mapping[str, str] = field(default_factory=dict)


def load_web_config(path: str) -> WebConfig:
    """Read a file; ConfigError tells all that is wrong with it. Blocks for as long as the disk does."""
    try:
        import bcrypt  # noqa: F401 -- whoever checks passwords needs it; here it can be said in time
        import yaml
    except ImportError as error:
        raise ConfigError([_of_file(path, f"{error.name} is missing: pip install 'circus[{EXTRA}]'")]) from error
    try:
        document = yaml.safe_load(Path(path).read_bytes())
    except OSError as error:
        raise ConfigError([_of_file(path, f"cannot be read: {error.strerror}")]) from error
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or "this is no YAML"
        raise ConfigError([_of_file(path, str(problem), None if where is None else where.line + 1)]) from error
    return parse_web_config(document, path)


def _of_file(path: str, expected: str, line: int | None = None) -> Mistake:
    return Mistake(file=path, line=line, section=None, option=None, value=None, expected=expected)


def parse_web_config(document: object, path: str) -> WebConfig:
    """What a document says, as YAML gives it; files in it are relative to the file `path` itself."""
    reader = _Reader(path)
    sections = reader.section(None, document, ("tls_server_config", "http_server_config", "basic_auth_users"))
    tls = None
    if sections.get("tls_server_config") is not None:
        tls = _tls(reader, sections["tls_server_config"])
    reader.section("http_server_config", sections.get("http_server_config"), ("http2",))
    users = _users(reader, sections.get("basic_auth_users"))
    if reader.mistakes:
        raise ConfigError(reader.mistakes)
    return WebConfig(path=path, tls=tls, users=users)


class _Reader:
    """Collects what is wrong."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.mistakes: list[Mistake] = []

    def wrong(self, section: str | None, option: str | None, value: object, expected: str) -> None:
        self.mistakes.append(
            Mistake(
                file=self._path, line=None, section=section, option=option,
                value=None if value is None else str(value), expected=expected,
            )
        )  # fmt: skip

    def section(self, name: str | None, value: object, known: tuple[str, ...] | None) -> dict[str, Any]:
        """A mapping; with `known` keys all others are wrong."""
        if value is None:
            return {}
        if not isinstance(value, dict):
            self.wrong(name, None, None, "expected keys with values")
            return {}
        for key in value if known is not None else ():
            if key not in (known or ()):
                self.wrong(name, str(key), None, f"no such key here; there are {', '.join(known or ())}")
        return {str(key): each for key, each in value.items()}

    def word(self, section: str, values: Mapping[str, Any], key: str, allowed: tuple[str, ...]) -> str | None:
        value = values.get(key)
        if value is None or value in allowed:
            return value
        self.wrong(section, key, value, f"expected one of {', '.join(allowed)}")
        return None

    def file(self, section: str, values: Mapping[str, Any], key: str) -> str | None:
        value = values.get(key)
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            self.wrong(section, key, value, "expected the name of a file")
            return None
        return str(Path(self._path).absolute().parent / value)


def _tls(reader: _Reader, document: object) -> TlsConfig | None:
    name = "tls_server_config"
    known = ("cert_file", "key_file", "client_ca_file", "client_auth_type", "min_version", "max_version")
    values = reader.section(name, document, (*known, *_TLS_ELSEWHERE))
    for elsewhere in _TLS_ELSEWHERE:
        if values.get(elsewhere) not in (None, [], ""):
            reader.wrong(name, elsewhere, None, f"is not supported here; there are {', '.join(known)}")
    cert, key, authority = (reader.file(name, values, file) for file in ("cert_file", "key_file", "client_ca_file"))
    auth = values.get("client_auth_type") or "NoClientCert"
    if auth in _UNVERIFIED:
        expected = f"certificates that nobody verifies are not asked for; use one of {', '.join(_CLIENT_AUTH)}"
        reader.wrong(name, "client_auth_type", auth, expected)
    elif reader.word(name, {"client_auth_type": auth}, "client_auth_type", _CLIENT_AUTH):
        if authority is None and auth != "NoClientCert":
            reader.wrong(name, "client_auth_type", auth, "needs client_ca_file, which verifies them")
        elif authority is not None and auth == "NoClientCert":
            reader.wrong(name, "client_ca_file", values["client_ca_file"], "needs a client_auth_type that uses it")
    lowest = reader.word(name, values, "min_version", _VERSIONS) or _VERSIONS[0]
    highest = reader.word(name, values, "max_version", _VERSIONS) or _VERSIONS[-1]
    if lowest > highest:
        reader.wrong(name, "max_version", highest, f"is below min_version, which is {lowest}")
    if cert is None or key is None:
        reader.wrong(name, "cert_file" if cert is None else "key_file", None, "is missing")
        return None
    return TlsConfig(
        cert_file=cert, key_file=key, client_ca_file=authority, client_auth=auth, min_version=lowest,
        max_version=highest,
    )  # fmt: skip


def _users(reader: _Reader, document: object) -> dict[str, str]:
    name = "basic_auth_users"
    users = {}
    for user, told in reader.section(name, document, None).items():
        # What stands there may be the password itself, so it is not repeated.
        if not isinstance(told, str) or not _HASH.fullmatch(told):
            reader.wrong(name, user, None, "expected the bcrypt hash of a password, such as htpasswd -nBC 10 makes")
        elif ":" in user:
            reader.wrong(name, user, None, "a user's name cannot have a colon")
        else:
            users[user] = told
    return users
