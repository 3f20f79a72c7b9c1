"""What circusd 0.19.0 does and what ours does, step by step, in the same run.

Each file of scripts/ is played against both daemons. What differs must be in differences.toml, with a reason; what is
there must still differ.
"""

from __future__ import annotations

import pathlib
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import pytest

from tests.helpers import differences, real, scripts
from tests.helpers.daemon import Daemon
from tests.helpers.differences import Difference, Entry
from tests.helpers.old_circus import OldDaemon
from tests.helpers.scripts import Player, Recording

pytestmark = pytest.mark.real

NAMES = scripts.names()
KNOWN = differences.entries(pathlib.Path(__file__).with_name("differences.toml"))


class Played(NamedTuple):
    """Both recordings of a script, or what went wrong."""

    old: Recording | BaseException
    new: Recording | BaseException

    def differences(self, name: str) -> list[Difference]:
        for side in self:
            if isinstance(side, BaseException):
                raise side
        assert isinstance(self.old, Recording)
        assert isinstance(self.new, Recording)
        return differences.compared(name, self.old, self.new)


def play(name: str, directory: pathlib.Path, kind: type[Daemon]) -> Recording | BaseException:
    script = scripts.load(name)
    env = {"PYTHONPATH": str(directory), **script.environment}
    daemon = kind(
        scripts.with_marker(script.ini),
        directory,
        env=env,
        options={"check_delay": 0.2, **script.options},
        module=script.module,
    )
    try:
        recording: Recording | BaseException = Player(script, daemon).play()
    except Exception as error:  # told by the test of this script
        recording = error
    forced = daemon.stop()
    if forced and kind is Daemon and isinstance(recording, Recording):
        return AssertionError("; ".join(forced))
    return recording


@pytest.fixture(scope="session")
def played(request: pytest.FixtureRequest) -> Iterator[dict[str, Played]]:
    """The recordings of the scripts that are selected, made once: the daemons mostly wait, so some run at a time."""
    real.old_circus("circusd")
    wanted = {
        item.callspec.params["name"]
        for item in request.session.items
        if getattr(item, "originalname", "") == "test_a_script_has_the_same_outcome" and hasattr(item, "callspec")
    } or set(NAMES)
    directory = pathlib.Path(tempfile.mkdtemp(prefix="circus-compat-"))
    with ThreadPoolExecutor(6) as pool:
        made = {
            name: [pool.submit(play, name, directory / name / kind.__name__, kind) for kind in (OldDaemon, Daemon)]
            for name in sorted(wanted)
        }
    yield {name: Played(*(future.result() for future in pair)) for name, pair in made.items()}
    shutil.rmtree(directory)


@pytest.mark.parametrize("name", NAMES)
def test_a_script_has_the_same_outcome(name: str, played: dict[str, Played]) -> None:
    found = played[name].differences(name)
    unknown = [one for one in found if not any(entry.explains(one) for entry in KNOWN)]
    assert not unknown, "not in differences.toml:\n" + "\n".join(map(str, unknown))


def test_every_listed_difference_is_still_there(played: dict[str, Played]) -> None:
    if set(played) != set(NAMES):
        pytest.skip("only some scripts were played")
    found = [one for name in NAMES for one in played[name].differences(name)]
    stale: list[Entry] = [entry for entry in KNOWN if not any(map(entry.explains, found))]
    assert not stale, "does not differ any more:\n" + "\n".join(map(str, stale))
