"""The environment that a configuration gives."""

from __future__ import annotations

from tests.unit.config.conftest import Ini


def env(ini: Ini, text: str, watcher: str = "web", **environ: str) -> dict[str, str]:
    spec = ini.load(f"[watcher:{watcher}]\ncmd = x\n{text}", environ)
    return dict(spec.watchers[0].env or {})


def test_without_sections_it_is_empty(ini: Ini) -> None:
    assert env(ini, "") == {}


def test_env_is_for_every_watcher(ini: Ini) -> None:
    assert env(ini, "[env]\nA = 1") == {"A": "1"}


def test_the_title_of_the_section_is_no_variable(ini: Ini) -> None:
    assert "__name__" not in env(ini, "[env]\nA = 1\n[env:web]\nB = 2")


def test_patterns_choose_watchers_with_case_and_the_last_section_wins(ini: Ini) -> None:
    text = "[env:api, w*]\nA = 1\nB = 1\n[env:web]\nB = 2\n[env:WEB]\nC = 3\n[env]\nA = 0\nD = 0"
    assert env(ini, text) == {"A": "1", "B": "2", "D": "0"}


def test_the_last_section_wins_whether_it_gives_a_name_or_a_pattern(ini: Ini) -> None:
    assert env(ini, "[env:web]\nA = 1\nB = 1\n[env:w?b]\nA = 2\n[env:api, web]\nB = 3") == {"A": "2", "B": "3"}
    assert env(ini, "[env:[vw]eb]\nA = 1\n[env:web, *]\nA = 2\n[env:[!w]*]\nA = 3") == {"A": "2"}


def test_dollar_names_are_of_the_daemon_and_nothing_where_there_is_none(ini: Ini) -> None:
    text = "[env]\nA = $HOME/x:$NOPE:$lower:${HOME}\nB = $A\n[env:web]\nC = $HOME"
    assert env(ini, text, HOME="/h") == {"A": "/h/x::$lower:${HOME}", "B": "", "C": "/h"}


def test_variables_in_env_see_what_the_daemon_inherited(ini: Ini) -> None:
    assert env(ini, "[env]\nA = $(circus.env.X)-$(circus.env.B)\nB = 2", X="1") == {
        "A": "1-$(circus.env.B)",
        "B": "2",
    }


def test_variables_in_a_pattern_section_stay_as_they_are(ini: Ini) -> None:
    assert env(ini, "[env:web]\nA = $(circus.env.X)", X="1") == {"A": "$(circus.env.X)"}


def test_what_is_inherited_is_not_in_the_spec_and_so_never_rewritten(ini: Ini) -> None:
    spec = ini.load("[watcher:web]\ncmd = x\ncopy_env = True\n[env]\nB = 1", {"A": " $HOME "})
    assert spec.watchers[0].env == {"B": "1"}


def test_the_shared_environment_is_told_too(ini: Ini) -> None:
    assert ini.load("[env]\nA = $X", {"X": "1"}).env == {"A": "1"}


def test_the_text_of_a_watcher_sees_inherited_then_env_then_its_own_sections(ini: Ini) -> None:
    text = (
        "[watcher:web]\ncmd = $(circus.env.A) $(circus.env.B) $(circus.env.C)\n[env]\nB = b\nC = c\n[env:w*]\nC = own"
    )
    assert ini.load(text, {"A": "a", "B": "-", "C": "-"}).watchers[0].cmd == "a b own"


def test_a_typed_option_sees_env_first_and_its_own_sections_for_the_rest(ini: Ini) -> None:
    text = "[watcher:web]\ncmd = x\nnumprocesses = $(circus.env.N)\nmax_retry = $(circus.env.M)\n[env]\nN = 2\n[env:web]\nN = 3\nM = 4"
    watcher = ini.load(text).watchers[0]
    assert (watcher.numprocesses, watcher.max_retry) == (2, 4)


def test_an_override_of_the_name_counts_for_patterns(ini: Ini) -> None:
    spec = ini.load("[watcher:web]\ncmd = x\nname = api\n[env:api]\nA = 1")
    assert (spec.watchers[0].name, spec.watchers[0].env) == ("api", {"A": "1"})
