"""The table of the live view: only the lines that can be seen are made, and only those that changed are drawn.

Owns scrolling, the cursor and colours; refuses to know where rows come from. Invariant: the cursor stays on its row
while rows move, and on its place when the row is gone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final

from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from circus.stats.viewer.columns import Placed, heading, layout, line
from circus.stats.viewer.headline import WAITING
from circus.stats.viewer.rows import Row, RowKey

_PLAIN: Final = Style()
_HEADING: Final = Style(bold=True, reverse=True)
_WATCHER: Final = Style(bold=True)
_CURSOR: Final = Style(reverse=True)
_COLOURS: Final = {
    "active": Style(color="green"),
    "running": _PLAIN,
    "starting": Style(color="yellow"),
    "stopping": Style(color="yellow"),
    "reloading": Style(color="yellow"),
    "waiting": Style(color="cyan"),
    "stopped": Style(dim=True),
    "backoff": Style(color="red"),
    "fatal": Style(color="red", bold=True),
}

Drawn = tuple[str, Style, Style, int, int]
"""The text of a line, its style, the style of one part of it and where that begins and ends."""


class Grid(ScrollView, can_focus=True):
    """Shows rows below a heading that stays."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("pagedown", "page(1)", show=False),
        Binding("home", "move(-1000000000)", show=False),
        Binding("end", "move(1000000000)", show=False),
    ]
    DEFAULT_CSS = """
    Grid { overflow-x: hidden; overflow-y: auto; scrollbar-size-vertical: 1; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.rows: Sequence[Row] = ()
        self._time: float | None = None
        self._legacy = False
        self._waiting = True
        self._placed: list[Placed] = []
        self._cursor = 0
        self._cursor_key: RowKey | None = None
        self._drawn: dict[int, Drawn] = {}

    @property
    def cursor_row(self) -> Row | None:
        """The row below the cursor."""
        return self.rows[self._cursor] if self._cursor < len(self.rows) else None

    def show(self, rows: Sequence[Row], time: float | None, *, legacy: bool, waiting: bool) -> None:
        """Show these rows from now on. `time` is the daemon's; `waiting`: nothing was heard yet."""
        self.rows, self._time, self._legacy, self._waiting = rows, time, legacy, waiting
        self._follow_cursor()
        self._place()
        height = len(rows) + 1
        if self.virtual_size.height != height:
            self.virtual_size = Size(self.size.width, height)
        self._redraw()

    def on_resize(self) -> None:
        """Another width has room for other columns."""
        self._place()
        self._drawn.clear()
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """One line of the screen."""
        width = self.size.width
        drawn = self._drawn.get(y)
        if drawn is None:
            drawn = self._drawn[y] = self._draw(y)
        text, style, part_style, begin, end = drawn
        if begin == end:
            return Strip([Segment(text, style)]).adjust_cell_length(width, style)
        segments = [Segment(text[:begin], style), Segment(text[begin:end], part_style), Segment(text[end:], style)]
        return Strip(segments).adjust_cell_length(width, style)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Every line is another one now."""
        self._drawn.clear()
        super().watch_scroll_y(old_value, new_value)

    def action_move(self, by: int) -> None:
        """Move the cursor by so many rows."""
        if not self.rows:
            return
        self._cursor = min(max(self._cursor + by, 0), len(self.rows) - 1)
        self._cursor_key = self.rows[self._cursor].key
        self._scroll_to_cursor()
        self._redraw()

    def action_page(self, by: int) -> None:
        """Move the cursor by so many screens."""
        self.action_move(by * max(self.size.height - 2, 1))

    # -- inside -------------------------------------------------------------------------------------------------------

    def _place(self) -> None:
        self._placed = layout(self.size.width, self.rows, legacy=self._legacy)

    def _follow_cursor(self) -> None:
        """Find the row of the cursor again; who never moved it looks at the top."""
        if self._cursor_key is None:
            return
        for index, row in enumerate(self.rows):
            if row.key == self._cursor_key:
                if index != self._cursor:
                    self._cursor = index
                    self._scroll_to_cursor()
                return
        self._cursor = min(self._cursor, max(len(self.rows) - 1, 0))

    def _scroll_to_cursor(self) -> None:
        top, seen = round(self.scroll_y), max(self.size.height - 1, 1)
        if self._cursor < top:
            self.scroll_to(y=self._cursor, animate=False)
        elif self._cursor >= top + seen:
            self.scroll_to(y=self._cursor - seen + 1, animate=False)

    def _redraw(self) -> None:
        """Draw the lines that look different now."""
        width = self.size.width
        for y in range(self.size.height):
            drawn = self._draw(y)
            if self._drawn.get(y) != drawn:
                self._drawn[y] = drawn
                self.refresh(Region(0, y, width, 1))

    def _draw(self, y: int) -> Drawn:
        if self._waiting:
            text = WAITING.center(self.size.width) if y == self.size.height // 2 else ""
            return text, _PLAIN, _PLAIN, 0, 0
        if y == 0:
            return heading(self._placed).ljust(self.size.width), _HEADING, _HEADING, 0, 0
        index = round(self.scroll_y) + y - 1
        if index >= len(self.rows):
            return "", _PLAIN, _PLAIN, 0, 0
        row = self.rows[index]
        text = line(row, self._placed, self._time)
        if index == self._cursor:
            return text, _CURSOR, _CURSOR, 0, 0
        style = _WATCHER if row.process is None else _PLAIN
        state = (row.process or row.watcher).state
        begin, end = self._state_part()
        return text, style, _COLOURS.get(state or "", _PLAIN), begin, end

    def _state_part(self) -> tuple[int, int]:
        """Where the column of states begins and ends."""
        begin = 0
        for column, width in self._placed:
            if column.title == "STATE":
                return begin, begin + width
            begin += width + 1
        return 0, 0
