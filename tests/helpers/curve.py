"""CURVE keys in files of a test, and sections that let them in."""

from __future__ import annotations

import pathlib
from typing import NamedTuple

from circus.keys import Keys, file_text, new_pair


class Key(NamedTuple):
    """A pair, and its file."""

    file: pathlib.Path
    public: str
    secret: str

    def to(self, server: Key) -> Keys:
        """What a client with this pair needs for that server."""
        return Keys(server.public, self.public, self.secret)

    def environ(self, server: Key) -> dict[str, str]:
        """The same for a program."""
        return {"CIRCUS_CURVE_KEY_FILE": str(self.file), "CIRCUS_CURVE_SERVER": server.public}


def make_key(directory: pathlib.Path, name: str) -> Key:
    """A new pair in a file of that name."""
    pair, file = new_pair(), directory / name
    file.touch(0o600, exist_ok=False)
    file.write_text(file_text(pair))
    return Key(file, *pair)


def lets_in(key: Key, role: str, name: str) -> str:
    """A section."""
    return f"[access:{name}]\nrole = {role}\ncurve_key = {key.public}\n"
