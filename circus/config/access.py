"""The sections `[access:NAME]`, and whether the endpoints let in more than they should.

Owns every reason against a section. Unlike elsewhere an unknown option is a mistake, and a section that has one is not
left out but keeps everything from starting: what was meant to shut somebody out must not be passed over. Invariant: all
reasons are named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from circus.config.ini import Document, Entry, Section
from circus.config.platform import group_exists, reaches_network, user_exists
from circus.config.report import Report
from circus.config.values import Expander, read_known
from circus.exc import KeyFileError
from circus.keys import read_pair
from circus.spec.access import AccessSpec
from circus.spec.fields import ACCESS

EXPOSED = (
    "others than this machine can reach it, and would give commands as the user of circusd: set "
    "curve_secret_key_file (`circusctl keygen` makes the keys), or allow_insecure = True, or choose 127.0.0.1 or "
    "ipc:///PATH"
)


def build_access(
    sections: Iterable[tuple[Section, dict[str, Entry]]], text: Expander, report: Report, *, look_around: bool
) -> list[AccessSpec]:
    """The sections; `look_around` asks this machine whether it knows the users and groups."""
    built = []
    for section, entries in sections:
        for key, entry in section.entries.items():
            if key not in ACCESS:
                report.wrong(section, entry, f"no such option; there are {', '.join(ACCESS)}")
        values: dict[str, Any] = read_known(ACCESS, section, entries, text, report)
        if "role" not in entries:
            report.wrong(section, None, "needs role = read, operate or admin")
            values["role"] = "read"
        whom = [name for name in ACCESS if name != "role"]
        if not any(name in entries for name in whom):
            report.wrong(section, None, f"gives its role to nobody; name them with {' or '.join(whom)}")
        for option, exists in (("uid", user_exists), ("gid", group_exists)) if look_around else ():
            _check_known(values[option], exists, section, entries.get(option), report)
        built.append(AccessSpec(name=section.title.removeprefix("access:").strip(), **values))
    return sorted(built, key=lambda spec: spec.name)


def _check_known(
    names: Sequence[int | str],
    exists: Callable[[int | str], bool],
    section: Section,
    entry: Entry | None,
    report: Report,
) -> None:
    # An id that has no name yet is as good as any other.
    unknown = [name for name in names if isinstance(name, str) and not exists(name)]
    if unknown:
        report.wrong(section, entry, f"this machine does not know {', '.join(unknown)}")


def check_endpoints(
    circus: Mapping[str, Any], document: Document, access: Sequence[AccessSpec], report: Report
) -> None:
    """Say where somebody would be let in who should not be, and where an option cannot have an effect."""
    endpoint, curve = circus["endpoint"], circus["curve_secret_key_file"]
    section = document.sections.get("circus", Section(title="circus", file="", line=0))
    if curve is not None:
        _check_curve(circus, section, report)
    elif not circus["allow_insecure"] and reaches_network(endpoint):
        report.wrong(section, section.entries.get("endpoint"), EXPOSED)
    there = "clients are known by their curve_key" if curve is not None else "everybody is admin"
    word = f"uid and gid have no effect on {endpoint}, where {there}; they are known on unix sockets, endpoint = auto"
    for spec in access:
        written = document.sections[f"access:{spec.name}"]
        if curve is None and spec.curve_key:
            report.wrong(written, written.entries.get("curve_key"), "needs curve_secret_key_file in [circus]")
        if endpoint.startswith("tcp://") and (spec.uid or spec.gid):
            report.warn(written, None, word)


def _check_curve(circus: Mapping[str, Any], section: Section, report: Report) -> None:
    entry = section.entries.get("curve_secret_key_file")
    try:
        read_pair(circus["curve_secret_key_file"])
    except KeyFileError as error:
        report.wrong(section, entry, str(error))
    if not any(circus[option].startswith("tcp://") for option in ("endpoint", "pubsub_endpoint", "stats_endpoint")):
        report.warn(section, entry, "has no effect: unix sockets need no keys, the kernel tells who connects")
