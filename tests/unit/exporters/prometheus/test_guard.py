"""Reading what a client says; the rest of the guard is tested with real connections."""

from __future__ import annotations

import base64

import pytest

from circus_exporters.prometheus.guard import credentials


def basic(text: bytes) -> str:
    return base64.b64encode(text).decode()


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (f"Basic {basic(b'alice:secret')}", ("alice", "secret")),
        (f"basic  {basic(b'alice:a:b')} ", ("alice", "a:b")),
        (f"Basic {basic('é:ü'.encode())}", ("é", "ü")),
        (f"Basic {basic(b':')}", ("", "")),
        (f"Basic {basic(b'alice')}", None),
        (f"Basic {basic(bytes([0xFF, 58]))}", None),
        ("Basic YWxpY2U6c2VjcmV0!", None),
        (f"Bearer {basic(b'alice:secret')}", None),
        ("Basic", None),
        ("", None),
    ],
)
def test_credentials_are_read(header: str, expected: tuple[str, str] | None) -> None:
    assert credentials(header) == expected
