"""A page that somebody follows from top to bottom: files saved, commands typed, programs left running.

A block of code is what the words above it say:

    … save it as `NAME` …        the block is that file
    … add this to `NAME` …       it is appended to that file
    ```console                   commands after `$ `, each with the lines that it prints

and, in comments that no reader sees,

    <!-- keeps running -->       the last command of the block goes on in another terminal, as circusd does unasked
    <!-- after a while -->       what is shown last may take some time, so the last command is typed again until then
    <!-- not run: REASON -->     nothing is done with the block; the reason names the test that does it

Shown lines may have other numbers, and `…` stands for lines or the rest of one. Invariant: a block that is none of
these is an error, so that nothing on a page can be passed over by mistake.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.helpers.page import missing, type_in
from tests.helpers.ports import reserved_port
from tests.helpers.waiting import DEADLINE, wait_until

PORTS = ("8080", "9090", "9093", "9464", "5001")
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SAVED = re.compile(r"\bsave\b[^`]*?\bas\s+`([^`]+)`", re.IGNORECASE)
_ADDED = re.compile(r"\badd\b[^`]*?\bto\s+`([^`]+)`", re.IGNORECASE)
_NOT_RUN = re.compile(r"<!-- not run: (.+?) -->")
_FOREGROUND = re.compile(r"(?:[A-Z_]+=\S* )*circusd (?!.*--(?:check|daemon|version))")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One block of code, and the words between it and the one before."""

    language: str
    text: str
    above: str

    @property
    def not_run(self) -> str | None:
        found = _NOT_RUN.search(self.above)
        return found[1] if found is not None else None

    def file(self) -> tuple[str, str] | None:
        """The name of the file that it is, and whether it is written anew (`w`) or appended to (`a`)."""
        found = [(match.start(), match[1], mode) for pattern, mode in ((_SAVED, "w"), (_ADDED, "a"))
                 for match in pattern.finditer(self.above)]  # fmt: skip
        return max(found)[1:] if found else None

    def commands(self) -> Iterator[tuple[str, list[str]]]:
        for part in re.split(r"^\$ ", self.text, flags=re.MULTILINE)[1:]:
            command, *shown = part.splitlines()
            while command.endswith("\\") and shown:
                command = f"{command}\n{shown.pop(0).removeprefix('>')}"
            yield command, shown


def read(page: str) -> list[Block]:
    """The blocks of a page in their order."""
    found, end = [], 0
    for fence in _FENCE.finditer(page):
        found.append(Block(language=fence[1], text=fence[2], above=page[end : fence.start()]))
        end = fence.end()
    return found


class Session:
    """One walk through a page in a directory, with endpoints and ports of its own."""

    def __init__(self, page: str, directory: pathlib.Path) -> None:
        self.page = page
        self.directory = directory
        self.running: list[tuple[subprocess.Popen[bytes], bool]] = []
        self.env = dict(os.environ)

    def follow(self) -> None:
        """Do all that the page says; programs left running have to end by themselves if the page does not say else."""
        with contextlib.ExitStack() as held:
            runtime = held.enter_context(tempfile.TemporaryDirectory(prefix="circus-"))
            path = f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}"
            self.env |= {"PATH": path, "CIRCUS_RUNTIME_DIR": runtime, "COLUMNS": "120", "PYTHONUNBUFFERED": "1"}
            page = self.page
            for port in PORTS:
                if port in page:
                    page = page.replace(port, str(held.enter_context(reserved_port())))
            held.callback(self._leave)
            for block in read(page):
                self._take(block)
            for process, stays in self.running:
                if not stays:
                    assert process.wait(DEADLINE) == 0, process.args

    def _take(self, block: Block) -> None:
        if block.not_run is not None:
            return
        if block.language == "console":
            *_, last = commands = list(block.commands())
            for command, shown in commands:
                is_last = command is last[0]
                keeps = is_last and "<!-- keeps running -->" in block.above
                if keeps or _FOREGROUND.match(command):
                    self._leave_running(command, shown, stays=keeps)
                elif is_last and "<!-- after a while -->" in block.above:
                    self._until(command, shown)
                else:
                    type_in(command, shown, self.directory, self.env)
            return
        file = block.file()
        assert file is not None, f"what is to be done with this block? {block.text}"
        name, mode = file
        with (self.directory / name).open(mode) as out:
            out.write(block.text if mode == "w" else f"\n{block.text}")

    def _until(self, command: str, shown: Sequence[str]) -> None:
        told: list[str] = []

        def good() -> bool:
            try:
                type_in(command, shown, self.directory, self.env)
            except AssertionError as error:
                told[:] = [str(error)]
                return False
            return True

        wait_until(good, 3 * DEADLINE, lambda: told, pause=0.3)

    def _leave_running(self, command: str, shown: Sequence[str], *, stays: bool) -> None:
        output = self.directory / f".output-{len(self.running)}"
        with output.open("wb") as out:
            process = subprocess.Popen(
                ["bash", "-c", f"exec env {command}"],
                cwd=self.directory,
                env=self.env,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        self.running.append((process, stays))

        def there() -> bool:
            assert process.poll() is None, f"{command} ended: {output.read_text()}"
            return not missing(shown, output.read_text())

        wait_until(there, what=lambda: f"{command}: {missing(shown, output.read_text())} not in {output.read_text()}")
        if not stays:
            self._until("circusctl status", ["…"])

    def _leave(self) -> None:
        for process, stays in reversed(self.running):
            if process.poll() is None:  # Ctrl-C reaches all that the terminal runs, a pipe too
                os.killpg(process.pid, signal.SIGINT if stays else signal.SIGTERM)
                process.wait(DEADLINE)
