"""circus-exporter dashboards: write the dashboards, rules and provisioning that came with this installation.

Owns what is in the directory that it was told, as far as a list of its own there says so. Invariant: a file that
somebody else has written, or changed, is not touched without --force; before the first file is written it is clear
that none of them is in the way.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path, PurePath
from typing import Final

import msgspec

from circus.exc import CircusError

SHARE: Final = ("share", "circus", "dashboards")
LIST: Final = ".circus-dashboards.json"
DIRECTORY: Final = b"__DIR__"  # in files that need to know where they are
RUNBOOKS: Final = "https://docs.example.org/circus/runbooks/"
"""Where the runbooks of the shipped rules seem to be."""
_RUNBOOK: Final = re.compile(rb"(runbook_url: )" + re.escape(RUNBOOKS.encode()) + rb"(\w+)\.html$", re.MULTILINE)
_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s\"'`{}<>]+")
ALERT: Final = "{alert}"
_OUT: Final = (b"../../out/", b"../../")  # in a checkout what is built lies one further down


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """What an earlier run has written: the SHA-256 of each file."""

    files: dict[str, str]


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="circus-exporter dashboards",
        description="Write the dashboards for Grafana, the rules for Prometheus, and configurations that point at them.",
    )
    made.add_argument("--to", metavar="DIRECTORY", required=True, help="where to; it is made if it is not there")
    made.add_argument("--runbook-url", metavar="URL", help=f"where your copy of docs/runbooks is, for runbook_url in the rules; "
                      f"{ALERT} in it becomes the name of the alert, which is the last part of it otherwise")  # fmt: skip
    made.add_argument("--force", action="store_true", help="overwrite files that somebody else has written or changed")
    return made


def shipped() -> dict[str, Path]:
    """Every file that came with this installation, by its path below the directory that is to be written."""
    here = Path(__file__).resolve()
    if here.parents[1].name == "exporters":  # a checkout
        parts = [
            (here.parents[2] / "dashboards/out", ""),
            (here.parents[2] / "dashboards/provisioning", "provisioning/"),
        ]
        return {
            f"{below}{path.relative_to(root).as_posix()}": path
            for root, below in parts
            for path in sorted(root.rglob("*"))
            if path.is_file()
        }
    return _recorded() or _beside()


def _recorded() -> dict[str, Path]:
    """What the installer has written down; wherever it put shared files."""
    try:
        files = metadata.distribution("circus").files or []
    except metadata.PackageNotFoundError:
        return {}
    found = {name: Path(str(file.locate())) for file in files if (name := _below_share(file))}
    return found if all(path.is_file() for path in found.values()) else {}


def _below_share(file: PurePath) -> str:
    parts = file.parts
    for start in range(len(parts) - len(SHARE)):
        if parts[start : start + len(SHARE)] == SHARE:
            return "/".join(parts[start + len(SHARE) :])
    return ""


def _beside() -> dict[str, Path]:
    """In the nearest directory above this package that has such a share: `pip install --target` records another."""
    for above in Path(__file__).resolve().parents[1:]:
        root = above.joinpath(*SHARE)
        if root.is_dir():
            return {path.relative_to(root).as_posix(): path for path in sorted(root.rglob("*")) if path.is_file()}
    return {}


def contents(directory: Path, runbook_url: str | None = None) -> dict[str, bytes]:
    """What is to be written, with these addresses of runbooks, if they are given.

    Raises:
        CircusError: this installation has nothing, or that is no address.
    """
    found = shipped()
    if not found:
        raise CircusError(
            f"no dashboards came with this installation: {'/'.join(SHARE)} is nowhere; is it a whole one?"
        )
    place = os.fsencode(directory)
    for special, written in ((b"\\", b"\\\\"), (b'"', b'\\"'), (b"$", b"$$")):  # Grafana looks for variables
        place = place.replace(special, written)
    made = {}
    for name, path in found.items():
        text = path.read_bytes()
        if runbook_url is not None:
            text = _RUNBOOK.sub(_leading_to(runbook_url), text)
        made[name] = text.replace(*_OUT).replace(DIRECTORY, place) if name.endswith(".yml") else text
    return made


def _leading_to(url: str) -> Callable[[re.Match[bytes]], bytes]:
    if not _URL.fullmatch(url.replace(ALERT, "")):
        raise CircusError(f"--runbook-url {url}: expected an address, as https://wiki.example.org/circus/{ALERT}.html")
    pattern = url if ALERT in url else f"{url.rstrip('/')}/{ALERT}"
    return lambda found: found[1] + pattern.replace(ALERT, found[2].decode()).encode()


def _hash(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()


def _earlier(directory: Path) -> Mapping[str, str]:
    """The hashes of what an earlier run has written."""
    try:
        return msgspec.json.decode((directory / LIST).read_bytes(), type=Written).files
    except FileNotFoundError:
        return {}
    except msgspec.DecodeError as error:
        raise CircusError(
            f"{directory / LIST}: expected the list of an earlier run: {error}; remove it, and what is not of Circus will be told"
        ) from error


def write(directory: Path, made: Mapping[str, bytes], *, force: bool = False) -> list[str]:
    """Write the files, and tell what was done in lines. CircusError if some are in the way, and nothing is written then."""
    earlier = _earlier(directory)
    there = {name: _there(directory / name) for name in {*made, *earlier}}
    foreign = sorted(
        name for name, text in made.items()
        if (now := there[name]) is not None and now != text and _hash(now) != earlier.get(name)
    )  # fmt: skip
    if foreign and not force:
        listed = "".join(f"\n  {directory / name}" for name in foreign)
        raise CircusError(
            f"nothing is written: these are not as this command wrote them (--force overwrites them):{listed}"
        )
    told = []
    for name, text in sorted(made.items()):
        if there[name] == text:
            continue
        _put(directory / name, text)
        how = (
            "wrote"
            if there[name] is None
            else "overwrote, which was not as we wrote it:"
            if name in foreign
            else "updated"
        )
        told.append(f"{how} {directory / name}")
    for name in sorted({*earlier} - {*made}):
        now = there[name]
        if now is None:
            continue
        if _hash(now) == earlier[name]:
            (directory / name).unlink()
            told.append(f"removed {directory / name}, which is not shipped any more")
        else:
            told.append(f"left {directory / name}, which is not shipped any more, because it was changed")
    _put(
        directory / LIST,
        msgspec.json.encode(Written(files={name: _hash(made[name]) for name in made})),
    )
    same = sum(there[name] == text for name, text in made.items())
    return [*told, *([f"{same} files are as they should be"] if same else [])]


def _there(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _put(path: Path, text: bytes) -> None:
    """Whoever reads the file meanwhile sees the old one or the new one, whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f"{path.name}.{os.getpid()}~")
    try:
        half.write_bytes(text)
        half.replace(path)
    finally:
        half.unlink(missing_ok=True)


def main(argv: Sequence[str]) -> int:
    """The exit status."""
    arguments = parser().parse_args(argv)
    directory = Path(arguments.to).absolute()
    try:
        told = write(directory, contents(directory, arguments.runbook_url), force=arguments.force)
        if arguments.runbook_url is None:
            told.append(f"runbook_url in the rules begins with {RUNBOOKS}, where nothing is; --runbook-url says where your "
                        "copy of docs/runbooks is")  # fmt: skip
    except CircusError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"{error.filename or directory}: {error.strerror or error}\n")
        return 1
    sys.stdout.write("".join(f"{line}\n" for line in told))
    return 0
