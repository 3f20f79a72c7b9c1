"""The URLs of Redis servers."""

from __future__ import annotations

import pytest

from circus.plugins.redis_observer import Server, read_url


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("redis://localhost:6379/0", Server()),
        ("redis://h", Server(host="h")),
        ("redis://h:1/5", Server(host="h", port=1, database=5)),
        ("redis://:p%40w@h/", Server(host="h", password="p@w")),
        ("rediss://u:p@h:7", Server(host="h", port=7, tls=True, username="u", password="p")),
        ("unix:///run/r.sock", Server(path="/run/r.sock")),
        ("unix://:p@/run/r.sock?db=2", Server(path="/run/r.sock", password="p", database=2)),
    ],
)
def test_urls_that_name_a_server(url: str, server: Server) -> None:
    assert read_url(url) == server


@pytest.mark.parametrize("url", ["", "h:6379", "http://h/", "redis://h:port/", "redis://h/first", "redis://h:99999/"])
def test_what_names_no_server_is_a_value_error(url: str) -> None:
    with pytest.raises(ValueError):
        read_url(url)
