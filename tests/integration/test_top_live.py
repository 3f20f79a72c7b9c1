"""The live view: keys and what is on the screen, with a source that a test feeds by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from textual.pilot import Pilot
from textual.widgets import Static

from circus.stats.viewer.grid import Grid
from circus.stats.viewer.live import CircusTop
from circus.stats.viewer.view import View
from tests.fakes import fleet

T = fleet.STARTED + 1000


class Script:
    """A source that says what the test put into its view."""

    endpoint = "ipc:///run/stats"

    def __init__(self) -> None:
        self.view = View()
        self.problem: str | None = None
        self.silent: float | None = None
        self.runs = asyncio.Event()
        self.ended = False

    async def run(self, changed: Callable[[], None]) -> None:
        self.changed = changed
        self.runs.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.ended = True

    def silent_seconds(self) -> float | None:
        return self.silent

    def tell(self, name: str = "web", processes: int = 2, second: float = 0.0, cpu: float = 0.0) -> None:
        """A sample of a watcher; `cpu` in seconds more than before, of its last process."""
        found = [fleet.process(wid) for wid in range(1, processes + 1)]
        if found:
            found[-1].cpu_user_seconds = (found[-1].cpu_user_seconds or 0.0) + cpu
        sample = fleet.sample(name, time=T + second, processes=found)
        sample.totals.cpu_user_seconds += cpu
        self.view.take_sample(sample, second)
        self.view.take_daemon(fleet.daemon_sample(int(second) + 1, time=T + second), second)


@asynccontextmanager
async def running(script: Script, size: tuple[int, int] = (120, 24)) -> AsyncIterator[tuple[CircusTop, Pilot[None]]]:
    app = CircusTop(script)
    async with app.run_test(size=size) as pilot:
        await script.runs.wait()
        yield app, pilot


def screen(app: CircusTop) -> list[str]:
    """The lines of the table as they are drawn."""
    grid = app.query_one(Grid)
    return [grid.render_line(y).text.rstrip() for y in range(grid.size.height)]


def first_words(app: CircusTop) -> list[str]:
    return [line.split()[1] if line[0] in "▾▸" else line.split()[0] for line in screen(app)[1:] if line]


def text_of(app: CircusTop, name: str) -> str:
    return str(app.query_one(f"#{name}", Static).content)


async def test_before_data_it_waits() -> None:
    async with running(Script()) as (app, _):
        assert "*** Waiting for data ***" in "\n".join(screen(app))
        assert "Circus Top" in text_of(app, "head")


async def test_data_is_drawn_soon_after_it_came() -> None:
    script = Script()
    async with running(script) as (app, pilot):
        script.tell()
        script.changed()
        async with asyncio.timeout(10):
            while "web" not in "\n".join(screen(app)):
                await pilot.pause(0.02)
        assert "circusd 1.0.0" in text_of(app, "head")


async def test_watchers_stand_above_their_processes() -> None:
    script = Script()
    script.tell("web", 2)
    script.tell("api", 1)
    async with running(script) as (app, _):
        assert first_words(app) == ["api", "1001", "web", "1001", "1002"]
        assert screen(app)[0].split() == [
            "WATCHER", "/", "PID", "WID", "CPU", "(%)", "MEMORY", "(%)", "THREADS", "FDS", "AGE", "(s)", "RESTARTS",
            "STATE", "LAST", "EXIT",
        ]  # fmt: skip


async def test_keys_sort_and_sort_the_other_way_round() -> None:
    script = Script()
    for second, cpu in ((0.0, 0.0), (1.0, 0.5)):
        script.tell("web", 2, second, cpu)
        script.tell("api", 1, second, cpu / 2)
    async with running(script) as (app, pilot):
        await pilot.press("c")
        assert first_words(app) == ["web", "1002", "1001", "api", "1001"]
        assert "cpu↓" in text_of(app, "foot")
        await pilot.press("c")
        assert first_words(app) == ["api", "1001", "web", "1001", "1002"]
        await pilot.press("R")
        assert first_words(app)[0] == "web"
        await pilot.press("n")
        assert first_words(app)[0] == "api"
        assert "name↑" in text_of(app, "foot")


async def test_each_order_has_a_key() -> None:
    async with running(Script()) as (app, pilot):
        orders = []
        for key in "cmarn":
            await pilot.press(key)
            orders.append(app.order)
        assert orders == ["cpu", "memory", "age", "restarts", "name"]


async def test_a_filter_is_written_kept_and_ended() -> None:
    script = Script()
    script.tell("web", 2)
    script.tell("queue", 1)
    async with running(script) as (app, pilot):
        await pilot.press("slash", "q", "u")
        assert first_words(app) == ["queue", "1001"]
        await pilot.press("enter")
        assert first_words(app) == ["queue", "1001"]
        assert "filter: qu" in text_of(app, "foot")
        await pilot.press("escape")
        assert first_words(app)[0] == "queue"
        assert len(first_words(app)) == 5


async def test_a_watcher_is_folded_and_unfolded() -> None:
    script = Script()
    script.tell("api", 2)
    script.tell("web", 2)
    async with running(script) as (app, pilot):
        await pilot.press("space")
        assert first_words(app) == ["api", "web", "1001", "1002"]
        await pilot.press("down", "space")
        assert first_words(app) == ["api", "web"]
        await pilot.press("F")
        assert len(first_words(app)) == 6
        await pilot.press("F")
        assert first_words(app) == ["api", "web"]


async def test_the_cursor_stays_on_its_row_while_rows_move() -> None:
    script = Script()
    script.tell("api", 2)
    script.tell("web", 2)
    async with running(script) as (app, pilot):
        await pilot.press("down", "down", "down")
        grid = app.query_one(Grid)
        assert grid.cursor_row is not None
        before = grid.cursor_row.key
        assert before[0] == "web"
        await pilot.press("R")
        assert grid.cursor_row.key == before
        assert app.query_one(Grid).rows[0].watcher.name == "web"


async def test_the_cursor_scrolls_what_does_not_fit() -> None:
    script = Script()
    script.tell("web", 100)
    async with running(script) as (app, pilot):
        await pilot.press("end")
        assert first_words(app)[-1] == "1100"
        assert screen(app)[0].startswith("WATCHER / PID")
        await pilot.press("home")
        assert first_words(app)[0] == "web"
        await pilot.press("pagedown", "pagedown")
        assert "web" not in first_words(app)


async def test_a_narrow_terminal_shows_fewer_columns() -> None:
    script = Script()
    script.tell()
    async with running(script, size=(50, 20)) as (app, pilot):
        assert "THREADS" not in screen(app)[0]
        assert "CPU (%)" in screen(app)[0]
        await pilot.resize_terminal(150, 20)
        await pilot.pause()
        assert "THREADS" in screen(app)[0]


async def test_a_silent_daemon_is_told() -> None:
    script = Script()
    script.tell()
    async with running(script) as (app, _):
        script.silent = 5.0
        app.draw()
        assert "silent for 5s" in text_of(app, "foot")
        script.silent = None
        app.draw()
        assert "silent" not in text_of(app, "foot")


async def test_what_is_missing_is_told() -> None:
    script = Script()
    script.tell()
    script.problem = "no states, restarts and exits: Timed out."
    async with running(script) as (app, _):
        assert text_of(app, "foot") == script.problem


async def test_q_and_ctrl_c_leave_and_end_the_source() -> None:
    for key in ("q", "ctrl+c"):
        script = Script()
        async with running(script) as (app, pilot):
            await pilot.press(key)
            assert not app.is_running
        assert script.ended
        assert app.return_code == 0


async def test_ctrl_c_leaves_while_a_filter_is_written() -> None:
    script = Script()
    async with running(script) as (app, pilot):
        await pilot.press("slash", "q", "ctrl+c")
        assert not app.is_running


async def test_only_lines_that_changed_are_drawn_again() -> None:
    script = Script()
    script.tell("web", 3)
    async with running(script) as (app, pilot):
        await pilot.pause()
        grid = app.query_one(Grid)
        drawn: list[int] = []
        whole = grid.refresh

        def refresh(*regions: object, **keywords: bool) -> Grid:
            drawn.extend(getattr(region, "y", -1) for region in regions)
            return whole(*regions, **keywords)  # type: ignore[arg-type]  # passed on as it came

        grid.refresh = refresh  # type: ignore[method-assign,assignment]
        app.draw()
        assert drawn == []
        script.view.watchers["web"].processes[2].threads = 99
        app.draw()
        assert drawn == [3]
