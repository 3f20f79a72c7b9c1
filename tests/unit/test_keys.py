"""CURVE keys and their files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import zmq
import zmq.auth

from circus.exc import KeyFileError
from circus.keys import Keys, client_keys, file_text, given, is_key, new_pair, public_key, read_pair

PAIR = new_pair()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_text(file_text(PAIR))
    path.chmod(0o600)
    return path


def test_a_new_pair_is_one_and_its_public_key_needs_no_quotes() -> None:
    for pair in (new_pair() for _ in range(5)):
        assert zmq.curve_public(pair.secret.encode()) == pair.public.encode()
        assert not set("$#!&*?<>(){};'\" \\,") & set(pair.public)
        assert pair.public[0].isalnum()


@pytest.mark.parametrize("text", ["", "x", "a" * 39, "a" * 41, "#" * 40, "é" * 40, " " * 40, "a" * 39 + ","])
def test_what_is_no_key(text: str) -> None:
    assert not is_key(text)


def test_every_key_of_libzmq_is_one() -> None:
    for _ in range(50):
        assert all(is_key(key.decode()) for key in zmq.curve_keypair())


def test_a_file_is_read(file: Path) -> None:
    assert read_pair(str(file)) == PAIR
    assert public_key(str(file)) == PAIR.public
    assert public_key(PAIR.public) == PAIR.public


def test_what_keygen_prints_is_a_file_with_a_public_key(tmp_path: Path) -> None:
    printed = tmp_path / "server.pub"
    printed.write_text(f"{PAIR.public}\n")
    assert public_key(str(printed)) == PAIR.public


def test_files_are_those_of_pyzmq(file: Path, tmp_path: Path) -> None:
    assert zmq.auth.load_certificate(file) == (PAIR.public.encode(), PAIR.secret.encode())
    public, secret = zmq.auth.create_certificates(tmp_path, "theirs")
    Path(secret).chmod(0o600)
    assert read_pair(secret).public == public_key(public)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602])
def test_a_file_that_others_can_read_or_write_is_refused(file: Path, mode: int) -> None:
    file.chmod(mode)
    with pytest.raises(KeyFileError, match=f"chmod 600 {file}"):
        read_pair(str(file))
    assert public_key(str(file)) == PAIR.public


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_somebody_else_is_refused(file: Path) -> None:
    os.chown(file, 61_234, -1)
    with pytest.raises(KeyFileError, match="must be yours"):
        read_pair(str(file))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "holds no pair of keys"),
        (f"{PAIR.public}\n", "holds no pair of keys"),
        (f'public-key = "{PAIR.public}"', "holds no pair of keys"),
        ('secret-key = "abc"', "the secret-key is no key of 40 characters"),
        ("\x00\xff" * 100, "holds no pair of keys"),
    ],
    ids=["empty", "a bare key", "half a pair", "a short secret", "binary"],
)
def test_a_file_without_keys_is_said_to_be_one(file: Path, text: str, expected: str) -> None:
    file.write_text(text)
    with pytest.raises(KeyFileError, match=expected):
        read_pair(str(file))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="cannot be read: No such file"):
        read_pair(str(tmp_path / "none"))
    with pytest.raises(KeyFileError, match="neither a public key of 40 characters nor a file"):
        public_key(str(tmp_path / "none"))


def test_a_client_needs_both(file: Path) -> None:
    server = new_pair().public
    assert client_keys(None, None) is None
    assert client_keys(str(file), server) == Keys(server, *PAIR)
    with pytest.raises(KeyFileError, match="public key of circusd"):
        client_keys(str(file), None)
    with pytest.raises(KeyFileError, match="your key file"):
        client_keys(None, server)


def test_options_come_before_the_environment(file: Path) -> None:
    mine, theirs = new_pair().public, new_pair().public
    environ = {"CIRCUS_CURVE_KEY_FILE": str(file), "CIRCUS_CURVE_SERVER": theirs}
    assert given(None, None, environ) == Keys(theirs, *PAIR)
    assert given(None, mine, environ) == Keys(mine, *PAIR)
    assert given(str(file), mine, {}) == Keys(mine, *PAIR)
    assert given(None, None, {}) is None
