"""The live view of circus-top: keys, and when the screen is drawn anew. The only module that starts Textual.

Owns the screen; refuses to know sockets. Invariant: what arrives within a moment is drawn once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Final, Protocol

import zmq
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input, Static

from circus.exc import CallError
from circus.stats.viewer import headline
from circus.stats.viewer.addresses import find_stats
from circus.stats.viewer.following import Following
from circus.stats.viewer.grid import Grid
from circus.stats.viewer.rows import Order, rows
from circus.stats.viewer.subscription import Subscription
from circus.stats.viewer.units import printable, span_text
from circus.stats.viewer.view import View
from circus.tunnel import tunnel

if TYPE_CHECKING:
    from circus.stats.top import Options

# One pass of the daemon comes as many messages.
DRAW_AFTER_SECONDS: Final = 0.1
_ORDERS: Final[dict[str, Order]] = {"c": "cpu", "m": "memory", "a": "age", "r": "restarts", "n": "name"}
_OTHER_KEYS: Final = "R reverse  / find  space fold  q quit"


class Source(Protocol):
    """What keeps a view up to date."""

    view: View
    problem: str | None

    @property
    def endpoint(self) -> str: ...
    async def run(self, changed: Callable[[], None]) -> None: ...
    def silent_seconds(self) -> float | None: ...


class CircusTop(App[None]):
    """Lines about the daemon, the table, and a line for keys and trouble."""

    TITLE = headline.TITLE
    ENABLE_COMMAND_PALETTE = False
    CSS = """
    Screen { layout: vertical; background: ansi_default; }
    #head { height: auto; text-wrap: nowrap; text-overflow: ellipsis; }
    Grid { height: 1fr; background: ansi_default; }
    #foot { height: 1; text-wrap: nowrap; text-overflow: ellipsis; }
    .trouble { color: ansi_red; text-style: bold; }
    #filter { display: none; height: 1; border: none; padding: 0; background: ansi_default; }
    #filter:focus { border: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+c", "quit", priority=True, show=False),
        Binding("q", "quit"),
        *(Binding(key, f"order({order!r})") for key, order in _ORDERS.items()),
        Binding("R", "reverse"),
        Binding("slash", "filter"),
        Binding("escape", "no_filter"),
        Binding("space,enter", "fold"),
        Binding("F", "fold_all"),
    ]

    def __init__(self, source: Source, order: Order = "name", *, reverse: bool = False, needle: str = "") -> None:
        super().__init__(ansi_color=True)
        self.animation_level = "none"
        self.source = source
        self.order: Order = order
        self.reversed = reverse
        self.needle = needle
        self.folded: set[str] = set()
        self._drawing = False
        self._writing = False
        self._told: dict[str, tuple[str, bool]] = {}

    def compose(self) -> ComposeResult:
        """The parts from top to bottom."""
        yield Static(id="head", markup=False)
        yield Grid()
        yield Static(id="foot", markup=False)
        yield Input(id="filter", placeholder="name, pid, state or last exit", compact=True, select_on_focus=False)

    def on_mount(self) -> None:
        """Begin to listen."""
        self._grid = self.query_one(Grid)
        self._grid.focus()
        self.draw()
        self.run_worker(self.source.run(self.changed))

    def changed(self) -> None:
        """Something is new: draw it soon."""
        if not self._drawing:
            self._drawing = True
            self.set_timer(DRAW_AFTER_SECONDS, self.draw)

    def draw(self) -> None:
        """Bring the screen up to date."""
        self._drawing = False
        view = self.source.view
        waiting = view.heard is None
        foot, trouble = self._foot()
        self._tell("head", self._head(waiting))
        self._tell("foot", foot, trouble=trouble)
        shown = rows(view, self.order, reverse=self.reversed, needle=self.needle, folded=self.folded)
        self._grid.show(shown, view.time, legacy=view.legacy, waiting=waiting)

    def action_order(self, order: Order) -> None:
        """Sort by this; once more: the other way round."""
        self.reversed = not self.reversed if order == self.order else False
        self.order = order
        self.draw()

    def action_reverse(self) -> None:
        """Sort the other way round."""
        self.reversed = not self.reversed
        self.draw()

    def action_fold(self) -> None:
        """Hide or show the processes of the watcher below the cursor."""
        row = self._grid.cursor_row
        if row is not None:
            self.folded ^= {row.watcher.name}
            self.draw()

    def action_fold_all(self) -> None:
        """Hide or show all processes."""
        names = set(self.source.view.watchers)
        self.folded = set() if names <= self.folded else names
        self.draw()

    def action_filter(self) -> None:
        """Ask what to look for."""
        self._write(begun=True)

    def action_no_filter(self) -> None:
        """Show everything again."""
        self.query_one(Input).value = ""
        self._write(begun=False)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter while it is written."""
        self.needle = event.value
        self.draw()

    def on_input_submitted(self) -> None:
        """Keep the filter and go back to the table."""
        self._write(begun=False)

    def _write(self, *, begun: bool) -> None:
        self._writing = begun
        field = self.query_one(Input)
        field.display = begun
        (field if begun else self._grid).focus()
        self.draw()

    def on_resize(self) -> None:
        """Another width has room for other words."""
        self.changed()

    def _tell(self, name: str, text: str, *, trouble: bool = False) -> None:
        before = self._told.get(name)
        if before != (text, trouble):
            self._told[name] = text, trouble
            static = self.query_one(f"#{name}", Static)
            static.set_class(trouble, "trouble")
            static.update(text, layout=before is None or text.count("\n") != before[0].count("\n"))

    def _head(self, waiting: bool) -> str:
        if waiting:
            return f"{headline.TITLE}   {self.source.endpoint}"
        return "\n".join(headline.lines(self.source.view, self.source.endpoint, self.size.width))

    def _foot(self) -> tuple[str, bool]:
        """The last line, and whether it tells of trouble."""
        source = self.source
        silent = source.silent_seconds()
        if silent is not None:
            return f"circusd is silent for {span_text(silent)}: gone or busy. Connecting again by itself.", True
        if source.view.refused:
            return f"{source.view.refused} messages were not understood: another release of circus?", True
        if source.problem:
            return printable(source.problem), True
        if self._writing:
            return "enter keeps the filter, escape ends it", False
        if self.needle:
            return f"filter: {printable(self.needle)}   / changes it, escape ends it", False
        return f"{self._order_keys()}  {_OTHER_KEYS}", False

    def _order_keys(self) -> str:
        arrow = "↑" if self.reversed != (self.order == "name") else "↓"
        return "  ".join(f"{key} {order}{arrow if order == self.order else ''}" for key, order in _ORDERS.items())


def live(options: Options, endpoint: str) -> int:
    """Show it until the user leaves; the exit status."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    view = View(options.process_timeout)
    subscription = Subscription(view, context, endpoint, now=time.monotonic(), ssh_server=options.ssh_server)
    try:
        following = Following(subscription, search=None if options.endpoint or options.ssh_server else find_stats)
        if options.ssh_server is not None:
            _tunnel_control(following, subscription, options.ssh_server, options.timeout)
        app = CircusTop(following, options.order, reverse=options.reverse, needle=options.needle)
        app.run(mouse=False)
    finally:
        subscription.close()
        context.term()
    return app.return_code or 0


def _tunnel_control(following: Following, subscription: Subscription, ssh_server: str, timeout: float) -> None:
    """Reach the control channel through a tunnel, made before there is a screen, because ssh may ask for a password."""
    end = time.monotonic() + timeout
    while subscription.control_endpoint is None and (left := end - time.monotonic()) > 0:
        subscription.receive(left)
    control = subscription.control_endpoint
    try:
        following.control = None if control is None else tunnel(control, ssh_server)
    except CallError as error:
        following.problem = f"no states, restarts and exits: {error}"
