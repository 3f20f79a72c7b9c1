"""Logging to a syslog daemon that listens."""

from __future__ import annotations

import logging
import logging.handlers
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import logging, sys
from circus.logs import configure_logger
logger = logging.getLogger("circus")
configure_logger(logger, "info", sys.argv[1])
logger.info("hello")
"""
LINE = re.compile(rb"<(\d+)>[A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d circus\[\d+\] \[INFO\] hello\0?")


def facility(packet: bytes) -> int:
    """The facility of a packet whose form is right."""
    found = LINE.fullmatch(packet)
    assert found, packet
    return int(found[1]) >> 3


def log_to(output: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, output], check=True, capture_output=True, text=True, timeout=60
    )
    return done.stderr


@pytest.mark.parametrize(("suffix", "expected"), [("", "user"), ("?daemon", "daemon"), ("?local3", "local3")])
def test_over_udp(suffix: str, expected: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        log_to(f"syslog://127.0.0.1:{server.getsockname()[1]}{suffix}")
        server.settimeout(20)
        assert facility(server.recv(1000)) == logging.handlers.SysLogHandler.facility_names[expected]


def test_over_a_unix_socket(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "log"))
        server.settimeout(20)
        log_to(f"syslog://{tmp_path}/log?mail")
        assert facility(server.recv(1000)) == logging.handlers.SysLogHandler.LOG_MAIL


def test_an_unknown_facility_means_user_and_is_said(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "log"))
        server.settimeout(20)
        assert "no syslog facility 'nope', using user; there are " in log_to(f"syslog://{tmp_path}/log?nope")
        assert facility(server.recv(1000)) == logging.handlers.SysLogHandler.LOG_USER
