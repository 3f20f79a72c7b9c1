"""Which files a command runs."""

from __future__ import annotations

import pathlib
import sys
from typing import Any

import pytest

from circus.plugins.command_reloader import command_files, signatures

PYTHON = sys.executable


@pytest.fixture
def home(tmp_path: pathlib.Path) -> pathlib.Path:
    for name in ("app.py", "conf.ini", "data.log", "pkg/__main__.py", "lib/tool.py", "bin/run"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("")
        path.chmod(0o755)
    return tmp_path


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"cmd": "bin/run --config conf.ini data.log"}, ["bin/run"]),
        ({"cmd": "run", "env": {"PATH": "{home}/bin"}}, ["bin/run"]),
        ({"cmd": f"{PYTHON} -u app.py conf.ini"}, [PYTHON, "app.py"]),
        ({"cmd": f"{PYTHON} -W ignore -X dev", "args": "app.py conf.ini"}, [PYTHON, "app.py"]),
        ({"cmd": f"{PYTHON}", "args": ["app.py", "a b"]}, [PYTHON, "app.py"]),
        ({"cmd": f"{PYTHON} -m pkg conf.ini"}, [PYTHON, "pkg/__main__.py"]),
        ({"cmd": f"{PYTHON} -m tool", "env": {"PYTHONPATH": "lib"}}, [PYTHON, "lib/tool.py"]),
        ({"cmd": f"{PYTHON} -m http.server"}, [PYTHON]),
        ({"cmd": f"{PYTHON} -c 'import app' app.py"}, [PYTHON]),
        ({"cmd": f"/usr/bin/env A=1 {PYTHON} app.py"}, ["/usr/bin/env", PYTHON, "app.py"]),
        ({"cmd": "$(circus.env.TOOL) conf.ini", "env": {"TOOL": "bin/run"}}, ["bin/run"]),
        ({"cmd": f"exec {PYTHON} app.py > data.log", "shell": True}, [PYTHON, "app.py"]),
        ({"cmd": "name of argv0", "executable": "bin/run", "env": {"PATH": "/nowhere"}}, ["bin/run"]),
        ({"cmd": "no-such-program conf.ini"}, []),
        ({"cmd": ""}, []),
    ],
)
def test_the_program_and_the_script_of_an_interpreter(
    home: pathlib.Path, options: dict[str, Any], found: list[str]
) -> None:
    env = {name: value.format(home=home) for name, value in options.get("env", {}).items()}
    files = command_files({"working_dir": str(home), **options, "env": env})
    assert files == [path if path.startswith("/") else str(home / path) for path in found]


def test_a_line_that_cannot_be_split_is_a_value_error() -> None:
    with pytest.raises(ValueError):
        command_files({"cmd": "run 'unclosed"})


def test_missing_files_have_no_signature(home: pathlib.Path) -> None:
    assert list(signatures([str(home / "app.py"), str(home / "gone.py")])) == [str(home / "app.py")]


def test_a_link_that_leads_elsewhere_changes_the_signature(home: pathlib.Path) -> None:
    link = home / "current"
    link.symlink_to("app.py")
    before = signatures([str(link)])
    link.unlink()
    link.symlink_to("data.log")
    assert signatures([str(link)]) != before
