"""Which reader this machine gets."""

from __future__ import annotations

import sys

import pytest

from circus.exc import CircusError
from circus.stats.psutil_reader import PsutilReaders
from circus.stats.readers import choose_readers


def test_linux_reads_proc(monkeypatch):
    monkeypatch.delenv("CIRCUS_STATS_READER", raising=False)
    assert type(choose_readers()).__name__ == ("Procfs" if sys.platform == "linux" else "PsutilReaders")


def test_the_variable_forces_a_reader(monkeypatch):
    monkeypatch.setenv("CIRCUS_STATS_READER", "psutil")
    assert isinstance(choose_readers(), PsutilReaders)


def test_an_unknown_reader_is_refused_with_its_name(monkeypatch):
    monkeypatch.setenv("CIRCUS_STATS_READER", "procsf")
    with pytest.raises(CircusError, match=r"CIRCUS_STATS_READER=procsf: .*use procfs or psutil"):
        choose_readers()
