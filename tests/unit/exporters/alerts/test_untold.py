"""What the journal shows of deliveries."""

from __future__ import annotations

from typing import Any

from circus_exporters.alerts.untold import Untold
from tests.fakes import fleet

FIRING = {"alert": "leak", "kind": "memory", "severity": "info", "since": 5.0}


def untold(*records: tuple[str, dict[str, Any]]) -> Untold:
    made = Untold("host-1")
    for seq, (name, data) in enumerate(records, 1):
        made.take(fleet.record(seq, name, "web" if name in ("alert.firing", "alert.resolved") else None, data=data))
    return made


def delivered(notify: str, *seqs: int, name: str = "alert.delivered") -> tuple[str, dict[str, Any]]:
    return name, {"notify": notify, "type": "exec", "count": len(seqs), "alerts": list(seqs)}


def silence(number: int = 1) -> dict[str, Any]:
    return {"id": number, "alert": "*", "watcher": "web", "wid": None, "since": 0.0, "until": 1e12, "author": "",
            "comment": ""}  # fmt: skip


def test_what_still_fires_is_not_over() -> None:
    assert list(untold(("alert.firing", FIRING), delivered("ops", 1)).ended()) == []


def test_deliveries_are_counted_by_notifier() -> None:
    found = untold(
        ("alert.firing", FIRING), delivered("ops", 1), delivered("pager", 1, name="alert.failed"),
        ("alert.resolved", {"alert": "leak", "reason": "recovered", "firing": 1}), delivered("ops", 1),
    )  # fmt: skip
    (past,) = found.ended()
    assert past.told == {"ops": 2}
    assert past.refused == {"pager"}
    assert not past.silent
    assert past.alert.ended == fleet.STARTED + 4
    assert found.notifiers == {"ops", "pager"}


def test_what_was_silenced_was_to_be_told_to_nobody() -> None:
    over = ("alert.resolved", {"alert": "leak", "reason": "recovered", "firing": 2})
    (past,) = untold(("alert.silenced", silence()), ("alert.firing", FIRING), over).ended()
    assert past.silent
    (past,) = untold(
        ("alert.silenced", silence()), ("alert.unsilenced", {**silence(), "reason": "command"}), ("alert.firing", FIRING),
        ("alert.resolved", {"alert": "leak", "reason": "recovered", "firing": 3}),
    ).ended()  # fmt: skip
    assert not past.silent


def test_records_whose_beginning_the_journal_has_let_go_of_say_nothing() -> None:
    found = untold(delivered("ops", 77), ("alert.resolved", {"alert": "leak", "reason": "gone", "firing": 77}))
    assert list(found.ended()) == []
