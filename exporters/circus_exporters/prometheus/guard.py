"""Who may see the page: TLS and passwords, as the web configuration has them now.

Owns the TLS context and what is remembered of passwords. It refuses to know what is on the page. Invariants: without a
web configuration everybody may; with one nobody gets in by a fault of it, because one that cannot be read is never put
in the place of one that could.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
import secrets
import ssl
from collections.abc import Iterable
from pathlib import Path

from aiohttp import web

from circus.exc import ConfigError, Mistake
from circus_exporters.prometheus.web_config import TlsConfig, WebConfig, load_web_config

logger = logging.getLogger("circus_exporters.prometheus")

_VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
_VERIFY = {
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
# A file with what tells it from the one that stood there before: inode, time of change, size; None while it is missing.
_FileState = tuple[str, tuple[int, int, int] | None]
_NOBODY = "$2b$10$" + "." * 53  # no password has this hash


class Guard:
    """The guard of one site. `path` is the web configuration, None for none; `context` is None for plain HTTP.

    `fine` is whether the file as it is now is in force.
    """

    def __init__(self, path: str | None) -> None:
        self._path = path
        self._users: dict[str, str] = {}
        self._seen: tuple[_FileState, ...] = ()
        self._salt = secrets.token_bytes(16)
        self._right: set[bytes] = set()
        self._checking = asyncio.Semaphore(1)
        self.context: ssl.SSLContext | None = None
        self.fine: bool | None = None

    @property
    def needed(self) -> bool:
        """False when there is nothing to look after."""
        return self._path is not None

    async def load(self) -> None:
        """Read everything for the first time; ConfigError says what is wrong."""
        if self._path is not None:
            await asyncio.to_thread(self._load, self._path)

    async def renew(self) -> bool:
        """Look whether a file has changed and take it in; True when the port must be opened anew.

        What is wrong with the new one is logged, once for each change, and the old one stays in force.
        """
        if self._path is None or not await asyncio.to_thread(self._changed, self._path):
            return False
        before = self.context
        try:
            await asyncio.to_thread(self._load, self._path)
        except ConfigError as error:
            self.fine = False
            logger.error("the web configuration has changed and is not taken: %s", error)  # noqa: TRY400 -- a sentence
            return False
        logger.info("the web configuration has changed and is in force")
        return self.context is not before

    async def allows(self, request: web.BaseRequest) -> bool:
        """True when the request has a password that is right, or needs none."""
        if not self._users:
            return True
        given = credentials(request.headers.get("Authorization", ""))
        return given is not None and await self._knows(*given)

    async def _knows(self, user: str, password: str) -> bool:
        """It is slow on purpose to compare with a hash, so what was right is remembered (not the password itself), and
        it is done in a thread, one at a time: a flood of wrong passwords may keep one core busy and no more.
        """
        told = self._users.get(user, _NOBODY)
        key = hashlib.blake2b(repr((user, told, password)).encode(), key=self._salt).digest()
        if key in self._right:
            return True
        async with self._checking:
            right = await asyncio.to_thread(_is_password, password, told)
        if right:
            self._right.add(key)
        return right

    def _load(self, path: str) -> None:
        seen = _state_of((path,))
        self._seen = seen  # also if it is wrong: one line for each change
        config = load_web_config(path)
        if config.tls is not None:
            seen = _state_of((path, *config.tls.files))
            self._seen = seen
        context = None if config.tls is None else tls_context(config, config.tls)
        self.context, self._users, self.fine = context, dict(config.users), True
        self._right = set()

    def _changed(self, path: str) -> bool:
        return _state_of((path, *(file for file, _ in self._seen[1:]))) != self._seen


def _state_of(files: Iterable[str]) -> tuple[_FileState, ...]:
    found: list[_FileState] = []
    for file in files:
        try:
            told = Path(file).stat()
        except OSError:
            found.append((file, None))
        else:
            found.append((file, (told.st_ino, told.st_mtime_ns, told.st_size)))
    return tuple(found)


def credentials(header: str) -> tuple[str, str] | None:
    """(user, password) of an Authorization header; None when it has none of the kind Basic."""
    kind, _, given = header.strip().partition(" ")
    if kind.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(given.strip(), validate=True).decode().partition(":")
    except ValueError:
        return None
    return (user, password) if colon else None


def tls_context(config: WebConfig, tls: TlsConfig) -> ssl.SSLContext:
    """A server's context; ConfigError says which file will not do. Reads files."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version, context.maximum_version = _VERSIONS[tls.min_version], _VERSIONS[tls.max_version]
    option, file = "key_file", tls.key_file
    try:
        Path(file).open("rb").close()  # OpenSSL does not say which of the two it could not read
        option, file = "cert_file", tls.cert_file
        context.load_cert_chain(tls.cert_file, tls.key_file, password=_no_password)
        if tls.client_ca_file is not None:
            option, file = "client_ca_file", tls.client_ca_file
            context.load_verify_locations(tls.client_ca_file)
            context.verify_mode = _VERIFY[tls.client_auth]
    except (OSError, ValueError) as error:
        raise ConfigError(
            [
                Mistake(
                    file=config.path, line=None, section="tls_server_config", option=option, value=file,
                    expected=_reason(error, option),
                )
            ]
        ) from error  # fmt: skip
    return context


def _no_password() -> str:
    """OpenSSL would ask a terminal for it, and there is none."""
    raise ValueError("the key needs a password")


def _reason(error: Exception, option: str) -> str:
    if not isinstance(error, ssl.SSLError):
        return f"cannot be used: {getattr(error, 'strerror', None) or error}"
    if error.reason == "KEY_VALUES_MISMATCH":
        return "does not belong to the key in key_file"
    what = "certificates" if option == "client_ca_file" else "certificate and key"
    return f"expected PEM files with {what}: {(error.reason or str(error)).replace('_', ' ').lower()}"


def _is_password(password: str, told: str) -> bool:
    import bcrypt

    try:
        return bcrypt.checkpw(password.encode(), told.encode())
    except ValueError:  # longer than bcrypt takes
        return False
