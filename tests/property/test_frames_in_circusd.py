"""Random frames and requests at a real circusd: each is answered, and the daemon and its memory stay what they were."""

from __future__ import annotations

import json
import pathlib
import re

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from circus.commands import get_commands
from tests.conftest import CircusD
from tests.helpers.bad_input import complaint, documented
from tests.helpers.channels import Caller
from tests.helpers.daemon import Daemon
from tests.helpers.waiting import DEADLINE

INI = """
[watcher:web]
cmd = sleep 1000
"""
COMMANDS = get_commands()
# What would end the daemon or all its watchers, and what makes watchers without end.
TAME = sorted(set(COMMANDS) - {"quit", "restart", "add", "reload", "upgrade"})

texts = st.text(max_size=30)
leaves = st.none() | st.booleans() | st.integers() | st.floats() | texts | st.sampled_from(["web", "*", "TERM", "all"])
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=10
)


@st.composite
def requests(draw: st.DrawFn) -> list[bytes]:
    """A request as a client might send it, with some properties that the command knows and some values that it does not."""
    command = draw(st.sampled_from(TAME))
    known = documented(COMMANDS[command])
    names = draw(st.lists(st.sampled_from([*known, "waiting", "name"]) | texts, max_size=5))
    properties = {name: draw(values) for name in names}
    properties |= {name: value for name, value in known.items() if draw(st.booleans())}
    # Waiting for what waits for something else is no defect, but takes as long as that.
    properties.pop("waiting", None)
    return [json.dumps({"command": command, "properties": properties, "id": 1}).encode()]


deep = st.builds(
    lambda depth, opening: (opening * depth).encode(), st.integers(1, 100_000), st.sampled_from(["[", '{"a":'])
)
large = st.integers(1, 2_000_000).map(
    lambda size: b'{"command": "list", "properties": {"name": "' + b"x" * size + b'"}}'
)
one_frame = st.binary(max_size=300) | values.map(lambda value: json.dumps(value).encode()) | deep | large
frames = (
    requests() | st.lists(one_frame, min_size=1, max_size=1) | st.lists(st.binary(max_size=50), min_size=1, max_size=6)
)


def resident_bytes(pid: int) -> int:
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"^VmRSS:\s*(\d+) kB", status, re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


def is_cast(parts: list[bytes]) -> bool:
    """True for a request that asked for silence."""
    try:
        told = json.loads(parts[-1])
    except (ValueError, RecursionError):
        return False
    return isinstance(told, dict) and told.get("msg_type") == "cast"


def asked(daemon: Daemon, caller: Caller, parts: list[bytes]) -> None:
    caller.send_raw(*parts)
    if not is_cast(parts):
        reply = caller.receive_raw(DEADLINE)
        assert reply is not None, f"no answer to {parts!r}"
        assert complaint(reply) is None
    assert daemon.returncode is None


def test_any_frames_are_answered_and_the_daemon_stays_as_it_was(circusd: CircusD) -> None:
    daemon = circusd(INI)
    with daemon.caller() as caller:
        checked = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))

        @checked
        @given(frames)
        def each(parts: list[bytes]) -> None:
            asked(daemon, caller, parts)

        each()
    assert daemon.ok("numwatchers")["numwatchers"] >= 0
    assert "Traceback" not in daemon.log_text()


def test_memory_stays_flat_under_a_flood_of_bad_requests(circusd: CircusD) -> None:
    daemon = circusd(INI)
    flood = [
        b"",
        b"\xff\xfe" * 50,
        b"[" * 10_000,
        b'{"command": "nosuch", "id": "' + b"x" * 10_000 + b'"}',
        b'{"command": "get", "properties": {"name": "web", "keys": ["' + b"y" * 10_000 + b'"]}}',
        b'{"command": "set", "properties": {"name": "web", "options": {"' + b"z" * 10_000 + b'": 1}}}',
        b'{"command": "stop", "properties": {"name": "' + b"n" * 10_000 + b'", "waiting": true}}',
    ]

    def pour(times: int) -> None:
        for _ in range(times):
            with daemon.caller() as caller:
                for body in flood:
                    caller.send_raw(body)
                for _ in flood:
                    assert complaint(caller.receive_raw()) is None

    pour(200)  # whatever is kept for good has been made by then, and the journal has had its share
    before = resident_bytes(daemon.pid)
    pour(400)
    grown = resident_bytes(daemon.pid) - before
    assert grown < 8_000_000, f"{grown} bytes more after 2,800 bad requests"
