"""CURVE keys: how they are written, the files that hold them, and what a client needs of them.

Owns the files; refuses to know sockets. The format is that of other programs with zmq (`zmq.auth`), keys are 40
characters of Z85. circusctl may import this on its start, so it imports next to nothing. Invariant: a secret key is read
from no file that others can read.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from typing import NamedTuple

from circus.exc import KeyFileError

ENV_KEY_FILE = "CIRCUS_CURVE_KEY_FILE"
ENV_SERVER = "CIRCUS_CURVE_SERVER"

LENGTH = 40
_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
_MOST_BYTES = 64 * 1024

# What means something to ini files and to shells; keys with these are drawn anew, some hundred times.
_AWKWARD = frozenset("$#!&*?<>(){}")


class Pair(NamedTuple):
    """A public key and its secret."""

    public: str
    secret: str


class Keys(NamedTuple):
    """What a client has: the public key of the circusd that it means, and a pair of its own."""

    server: str
    public: str
    secret: str


def is_key(text: str) -> bool:
    """Whether this is 32 bytes in Z85."""
    if len(text) != LENGTH or set(text) - set(_ALPHABET):
        return False
    groups = [text[at : at + 5] for at in range(0, LENGTH, 5)]
    return all(sum(_ALPHABET.index(c) * 85 ** (4 - i) for i, c in enumerate(group)) < 2**32 for group in groups)


def new_pair() -> Pair:
    """A new pair, whose public key can be written into an ini file and a shell as it is."""
    import zmq  # only for whoever makes keys

    while True:
        public, secret = (key.decode() for key in zmq.curve_keypair())
        if public[0].isalnum() and not _AWKWARD & set(public):
            return Pair(public, secret)


def file_text(pair: Pair) -> str:
    """A key file."""
    return (
        "# CURVE key pair of Circus: whoever has the secret key is let in.\n"
        f'metadata\ncurve\n    public-key = "{pair.public}"\n    secret-key = "{pair.secret}"\n'
    )


def read_pair(path: str) -> Pair:
    """The pair in a file; KeyFileError where there is none, or others could have read it."""
    found = _read(path, private=True)
    if not {"public-key", "secret-key"} <= found.keys():
        raise KeyFileError(f"{path} holds no pair of keys; `circusctl keygen FILE` makes one")
    return Pair(found["public-key"], found["secret-key"])


def public_key(text: str) -> str:
    """A public key that is written out, or stands in a file of that name."""
    if is_key(text):
        return text
    if not os.path.exists(text):
        raise KeyFileError(f"{text!r} is neither a public key of {LENGTH} characters nor a file with one")
    found = _read(text, private=False)
    if "public-key" not in found:
        raise KeyFileError(f"{text} holds no public key")
    return found["public-key"]


def given(key_file: str | None, server: str | None, environ: Mapping[str, str]) -> Keys | None:
    """The keys of a program by its options, and by its environment where those say nothing."""
    return client_keys(key_file or environ.get(ENV_KEY_FILE), server or environ.get(ENV_SERVER))


def client_keys(key_file: str | None, server: str | None) -> Keys | None:
    """The keys of a client, by the file of its own pair and the public key of circusd (or a file with it)."""
    if not key_file and not server:
        return None
    if not key_file or not server:
        missing = f"your key file (--curve-key, {ENV_KEY_FILE})"
        if key_file:
            missing = f"the public key of circusd (--curve-server, {ENV_SERVER})"
        raise KeyFileError(f"CURVE needs {missing} too")
    pair = read_pair(key_file)
    return Keys(public_key(server), pair.public, pair.secret)


def keys_of(environ: Mapping[str, str]) -> Keys | None:
    """The keys that an environment names, None when it names none."""
    return given(None, None, environ)


def _read(path: str, *, private: bool) -> dict[str, str]:
    try:
        with open(path, "rb") as file:
            found = os.fstat(file.fileno())
            text = file.read(_MOST_BYTES).decode(errors="replace")
    except OSError as error:
        raise KeyFileError(f"the key file {path} cannot be read: {error.strerror or error}") from None
    if private and (stat.S_IMODE(found.st_mode) & 0o077 or found.st_uid not in {0, os.geteuid()}):
        raise KeyFileError(f"the key file {path} must be yours and closed to others: chmod 600 {path}")
    if is_key(text.strip()):  # what `circusctl keygen` has printed
        return {"public-key": text.strip()}
    keys = {}
    for line in text.splitlines():
        name, equals, value = line.strip().partition("=")
        if equals and name.strip() in {"public-key", "secret-key"}:
            key = value.strip(" \t'\"")
            if not is_key(key):
                raise KeyFileError(f"{path}: the {name.strip()} is no key of {LENGTH} characters")
            keys[name.strip()] = key
    return keys
