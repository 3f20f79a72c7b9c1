"""Whatever two files and whatever was set by hand: once a plan is done, what runs is what the file says."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from circus.planning import Plan, merged, plan
from circus.spec.arbiter import ArbiterSpec
from circus.spec.sockets import SocketSpec
from circus.spec.watcher import WatcherSpec

NAMES = st.sampled_from(["a", "b", "c", "A"])
VALUES = st.fixed_dictionaries(
    {},
    optional={
        "cmd": st.sampled_from(["x", "y", "x $(circus.sockets.s)"]),
        "numprocesses": st.integers(0, 3),
        "priority": st.integers(0, 2),
        "env": st.one_of(st.none(), st.dictionaries(st.sampled_from("AB"), st.sampled_from("12"), max_size=2)),
        "rlimits": st.dictionaries(st.sampled_from(["core", "nofile"]), st.one_of(st.none(), st.just(5)), max_size=2),
        "send_hup": st.booleans(),
        "use_sockets": st.booleans(),
    },
)
SOCKETS = st.lists(st.builds(SocketSpec, name=st.just("s"), port=st.integers(1, 2)), max_size=1)


@st.composite
def files(draw: st.DrawFn) -> ArbiterSpec:
    names = draw(st.lists(NAMES, max_size=3, unique_by=str.lower))
    watchers = tuple(WatcherSpec(name=name, origin="ini", **({"cmd": "x"} | draw(VALUES))) for name in names)
    return ArbiterSpec(watchers=watchers, sockets=tuple(draw(SOCKETS)), pidfile=draw(st.sampled_from([None, "p"])))


def population(spec: ArbiterSpec) -> list[WatcherSpec]:
    return list(spec.watchers)


def done(running: dict[str, WatcherSpec], found: Plan) -> dict[str, WatcherSpec]:
    """What runs when all steps are done."""
    after = dict(running)
    for step in found.steps:
        if step.action == "removed":
            del after[step.name]
    for step in found.steps:
        if step.after is not None:
            assert (step.action == "added") is (step.name not in after)
            now = after.get(step.name)
            after[step.name] = (
                step.after if now is None or step.before is None else merged(now, step.before, step.after)
            )
    return after


@settings(deadline=None)
@given(old=files(), new=files(), third=files())
def test_what_runs_is_what_the_file_says(old: ArbiterSpec, new: ArbiterSpec, third: ArbiterSpec) -> None:
    running = {spec.name: spec for spec in old.watchers}
    for before, after in ((old, new), (new, third), (third, old)):
        found = plan(running.values(), before, after, population)
        if found.refusals:
            return
        running = done(running, found)
        assert running == {spec.name: spec for spec in after.watchers}
        assert not plan(running.values(), found.spec, after, population).sections()


@settings(deadline=None)
@given(old=files(), new=files(), by_hand=st.dictionaries(NAMES, VALUES, max_size=2), added=VALUES)
def test_what_was_set_by_hand_stays_where_the_files_agree(
    old: ArbiterSpec, new: ArbiterSpec, by_hand: dict[str, dict[str, object]], added: dict[str, object]
) -> None:
    running = {spec.name: replace(spec, **by_hand.get(spec.name, {})) for spec in old.watchers}  # type: ignore[arg-type]
    running["extra"] = WatcherSpec(name="extra", **({"cmd": "x"} | added))  # type: ignore[arg-type]
    was = {spec.name: spec for spec in old.watchers}
    found = plan(running.values(), old, new, population)
    after = done(running, found)
    assert after.pop("extra") == running["extra"]
    assert set(after) == {spec.name for spec in new.watchers}
    for shall in new.watchers:
        for name in ("cmd", "numprocesses", "priority", "send_hup", "use_sockets"):
            if shall.name in was and getattr(was[shall.name], name) == getattr(shall, name):
                assert getattr(after[shall.name], name) == getattr(running[shall.name], name)
            else:
                assert getattr(after[shall.name], name) == getattr(shall, name)
