"""Infos as circus 0.19 told them."""

from __future__ import annotations

import pytest

from circus.stats.psinfo import cpu_text, process_info, size_text, work_out
from circus.stats.readers import Description
from circus.wire.samples import ProcessSample

KEYS = ["mem_info1", "mem_info2", "cpu", "mem", "ctime", "pid", "username", "nice", "create_time", "age", "cmdline",
        "children"]  # fmt: skip


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0B"),
        (512, "512B"),
        (1023, "1023B"),
        (1024, "1.00K"),
        (1536, "1.50K"),
        (1024**2 - 1, "1024.00K"),
        (1024**2, "1.00M"),
        (30597447, "29.18M"),
        (5 * 1024**3, "5.00G"),
        (1024**4, "1.00T"),
        (None, "N/A"),
    ],
)
def test_sizes_for_people(size, text):
    assert size_text(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0:00.00"),
        (0.05, "0:00.05"),
        (0.27, "0:00.27"),
        (61.5, "1:01.50"),
        (59.999, "1:00.00"),
        (3675.0, "61:15.00"),
    ],
)
def test_cpu_time_for_people(seconds, text):
    assert cpu_text(seconds) == text


def sample(**fields):
    return ProcessSample(
        wid=1, pid=16347, generation=1, started=10.0,
        **{"state": "S", "resident_bytes": 1572864, "virtual_bytes": 2558525, **fields},
    )  # fmt: skip


SLEEP = Description("sleep", "root", 0, 0.0)


def info(of, described=SLEEP, memory=24 * 1024**3, **more):
    worked = work_out(of, described, memory)
    return process_info(of, described, **{"percent": 0.0, "create_time": 5.5, "age": 2.01, "worked": worked, **more})


def test_keys_and_forms_are_those_of_0_19():
    told = info(sample())
    assert list(told) == KEYS
    assert told == {
        "mem_info1": "1.50M", "mem_info2": "2.44M", "cpu": 0.0, "mem": 0.006, "ctime": "0:00.00", "pid": 16347,
        "username": "root", "nice": 0, "create_time": 5.5, "age": 2.01, "cmdline": "sleep", "children": [],
    }  # fmt: skip


def test_percentages_are_rounded():
    told = info(sample(), percent=12.3456, memory=1_000_000_000)
    assert (told["cpu"], told["mem"]) == (12.3, 0.157)


def test_a_zombie_has_no_niceness():
    assert info(sample(state="Z"), Description("sleep", "root", None, 0.0))["nice"] == "Zombie"


def test_what_is_not_known_says_so():
    told = info(sample(resident_bytes=None, virtual_bytes=None, cpu_user_seconds=1.0, cpu_system_seconds=0.5), None)
    assert [told[key] for key in ("mem_info1", "mem_info2", "mem", "username", "nice", "cmdline")] == ["N/A"] * 6
    assert told["ctime"] == "0:01.50"


def test_children_are_whole_infos():
    child = info(sample())
    assert info(sample(), children=[child])["children"] == [child]
