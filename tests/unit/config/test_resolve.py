"""From a dotted name to the object."""

from __future__ import annotations

import json.decoder
import os
from pathlib import Path

import pytest

from circus.config.resolve import import_anew, missing_module, resolve_name


@pytest.mark.parametrize(
    ("dotted", "found"),
    [
        ("json.decoder.JSONDecoder", json.decoder.JSONDecoder),
        ("json.decoder:JSONDecoder", json.decoder.JSONDecoder),
        ("json.decoder:JSONDecoder.decode", json.decoder.JSONDecoder.decode),
        ("json.decoder.JSONDecoder.decode", json.decoder.JSONDecoder.decode),
        (" os.path.exists ", os.path.exists),
        ("json.decoder", json.decoder),
    ],
)
def test_a_name_leads_to_its_object(dotted: str, found: object) -> None:
    assert resolve_name(dotted) is found


@pytest.mark.parametrize(
    ("dotted", "reason"),
    [
        ("exists", "'exists' is not a dotted name such as package.module.name"),
        ("", "'' is not a dotted name such as package.module.name"),
        ("a..b", "'a..b' is not a dotted name such as package.module.name"),
        ("os:", "'os:' names nothing in the module 'os'"),
        ("no_such_thing.x", "cannot find 'no_such_thing.x': there is no module 'no_such_thing' (PYTHONPATH?)"),
        ("no_such_thing:x", "cannot find 'no_such_thing:x': there is no module 'no_such_thing' (PYTHONPATH?)"),
        ("json.nothing.x", "cannot find 'json.nothing.x': 'json' has no 'nothing'"),
        ("json.decoder.nothing", "cannot find 'json.decoder.nothing': 'json.decoder' has no 'nothing'"),
        ("json.decoder:JSONDecoder.x", "cannot find 'json.decoder:JSONDecoder.x': 'JSONDecoder' has no 'x'"),
    ],
)
def test_a_name_that_leads_nowhere_says_where_it_ends(dotted: str, reason: str) -> None:
    with pytest.raises(ImportError) as error:
        resolve_name(dotted)
    assert str(error.value) == reason


def test_a_module_that_raises_is_named_with_what_it_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "raises_at_import.py").write_text("1 / 0\n")
    with pytest.raises(ImportError, match="'raises_at_import' raised ZeroDivisionError: division by zero"):
        resolve_name("raises_at_import.x")


def test_a_package_may_hold_an_attribute_and_a_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    package = tmp_path / "package_of_this_test"
    package.mkdir()
    (package / "__init__.py").write_text("def here(): ...\n")
    (package / "deeper.py").write_text("def there(): ...\n")
    assert resolve_name("package_of_this_test.here").__name__ == "here"
    assert resolve_name("package_of_this_test.deeper.there").__name__ == "there"


def test_a_module_that_was_imported_runs_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    module = tmp_path / "changing_module.py"
    module.write_text("def hook():\n    return 1\n")
    import_anew("changing_module.hook")
    assert resolve_name("changing_module.hook")() == 1
    module.write_text("def hook():\n    return 'two'\n\ndef other():\n    return 3\n")
    assert resolve_name("changing_module.hook")() == 1
    import_anew("changing_module:other")
    assert resolve_name("changing_module.hook")() == "two"
    assert resolve_name("changing_module:other")() == 3
    module.write_text("raise SystemExit('not today')\n")
    with pytest.raises(ImportError, match="'changing_module' raised SystemExit: not today"):
        import_anew("changing_module.hook")


@pytest.mark.parametrize("dotted", ["json.decoder.JSONDecoder", "circus.exc.CircusError", "no_such_module.x", "x"])
def test_what_is_not_to_be_imported_again_stays(dotted: str) -> None:
    before = json.decoder.JSONDecoder
    import_anew(dotted)
    assert json.decoder.JSONDecoder is before


@pytest.mark.parametrize(
    ("dotted", "missing"),
    [
        ("json.decoder.JSONDecoder", None),
        ("json.nowhere:Class", None),  # what is in other people's packages is not looked into
        ("circus.plugins.CircusPlugin", None),
        ("circus.plugins.flapping.Flapping", None),
        ("circus.plugins.nosuch.Plugin", "circus.plugins.nosuch"),
        ("nowhere.at.All", "nowhere"),
        ("here.Plugin", None),
        (".Plugin", ""),
    ],
)
def test_a_module_that_is_missing_is_named(
    dotted: str, missing: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here.py").write_text("raise RuntimeError('nobody may import this')")
    monkeypatch.chdir(tmp_path)
    assert missing_module(dotted) == missing
