"""Who imports whom: the contracts of pyproject.toml hold, and the daemon stays light."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import sysconfig

from tests.helpers.daemon import REPOSITORY, script

# What the daemon never loads: these belong to exporters, to the terminal, or to nobody.
NOT_IN_THE_DAEMON = (
    "aiohttp",
    "circus_exporters",
    "opentelemetry",
    "prometheus_client",
    "rich",
    "textual",
    "tornado",
    "zmq.asyncio",
    "zmq.eventloop",
)


def modules_after(statement: str) -> set[str]:
    """The names in sys.modules of a fresh interpreter that ran the statement.

    Without `site`, since the hooks of an editable installation import more than we do.
    """
    program = f"import sys, json\n{statement}\nprint(json.dumps(sorted(sys.modules)))"
    path = os.pathsep.join([str(REPOSITORY), sysconfig.get_path("purelib")])
    done = subprocess.run(
        [sys.executable, "-S", "-c", program],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    return set(json.loads(done.stdout))


def test_the_import_contracts_hold() -> None:
    done = subprocess.run([script("lint-imports"), "--no-cache"], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_package_of_the_house_is_in_the_layers_or_would_fail_them(tmp_path: pathlib.Path) -> None:
    """A contract that cannot fail is worth nothing: a planted module must break it."""
    for package in ("circus", "dashboards", "exporters"):
        (tmp_path / package).symlink_to(REPOSITORY / package)
    (tmp_path / "circus").unlink()
    (tmp_path / "circus").mkdir()
    for entry in (REPOSITORY / "circus").iterdir():
        (tmp_path / "circus" / entry.name).symlink_to(entry)
    (tmp_path / "circus" / "stray.py").write_text("from circus import arbiter\n")
    (tmp_path / "pyproject.toml").write_text((REPOSITORY / "pyproject.toml").read_text())
    done = subprocess.run(
        [script("lint-imports"), "--no-cache"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": f"{tmp_path}:{tmp_path / 'exporters'}", "PATH": "/usr/bin:/bin"},
    )
    assert done.returncode != 0
    assert "stray" in done.stdout + done.stderr


def test_the_daemon_loads_nothing_that_belongs_to_exporters_or_to_the_terminal() -> None:
    loaded = modules_after("import circus.circusd, circus.arbiter, circus.controller, circus.stats.sampler")
    assert not loaded & set(NOT_IN_THE_DAEMON)


def test_the_daemon_does_without_what_costs_memory(tmp_path: pathlib.Path) -> None:
    """Each of these was in the daemon once, for a line or two: 5 MB together."""
    (tmp_path / "one.ini").write_text("[watcher:one]\ncmd = sleep 1000\nnumprocesses = 0\n")
    loaded = modules_after(
        "import circus.circusd as circusd\n"
        "async def nothing(*_): import circus.arbiter, circus.sighandler\n"
        "circusd._run = nothing\n"
        f"circusd.run(['--log-level', 'error', {str(tmp_path / 'one.ini')!r}])"
    )
    assert "circus.arbiter" in loaded
    burden = {
        "argparse",
        "ast",
        "asyncio.sslproto",
        "bz2",
        "dis",
        "hashlib",
        "inspect",
        "ipaddress",
        "locale",
        "msgspec.inspect",
        "pathlib",
        "random",
        "psutil",
        "shutil",
        "ssl",
        "tempfile",
        "typing_extensions",
        "urllib.parse",
    }
    assert not loaded & burden
    # What is there for programs that embed an arbiter, and for those written for 0.19.
    for_others = {
        "circus.api", "circus.commands.util", "circus.config.as_dicts", "circus.config.options", "circus.config.parser",
        "circus.runtime.own_launch", "circus.shims", "circus.stats.info", "circus.stats.worker", "circus.util",
    }  # fmt: skip
    assert not loaded & for_others


def test_what_the_daemon_does_without_is_there_for_hooks() -> None:
    loaded = modules_after(
        "from circus.runtime.burden import import_lightly\n"
        "import_lightly()\n"
        "import asyncio, msgspec\n"
        "assert not {'ssl', 'inspect', 'msgspec.inspect', 'asyncio.sslproto'} & sys.modules.keys()\n"
        "async def work(): pass\n"
        "assert asyncio.iscoroutinefunction(work)\n"
        "import inspect, ssl\n"
        "assert asyncio.coroutines.inspect.signature is inspect.signature\n"
        "assert msgspec.inspect.type_info(int) == msgspec.inspect.IntType()\n"
        "assert msgspec.json.schema(int) == {'type': 'integer'}\n"
        "from asyncio import sslproto\n"
        "assert issubclass(sslproto.SSLProtocol, asyncio.BufferedProtocol)\n"
    )
    assert {"inspect", "ssl", "msgspec.inspect", "asyncio.sslproto"} <= loaded


def test_a_callback_that_fails_does_not_end_a_loop_without_descriptors() -> None:
    program = (
        "from circus.runtime.burden import import_lightly\n"
        "import_lightly()\n"
        "import asyncio, resource, sys\n"
        "async def main():\n"
        "    resource.setrlimit(resource.RLIMIT_NOFILE, (3, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))\n"
        "    asyncio.get_running_loop().call_soon(int, 'nonsense')\n"
        "    asyncio.get_running_loop().call_soon(lambda: 1 / 0)\n"
        "    await asyncio.sleep(0.01)\n"
        "    return 'it goes on'\n"
        "print(asyncio.run(main()), 'inspect' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout == "it goes on False\n"
    assert "invalid literal for int" in done.stderr
    assert "division by zero" in done.stderr


def test_circusctl_starts_without_asyncio_msgspec_and_logging() -> None:
    loaded = modules_after("import circus.circusctl")
    assert not loaded & {"asyncio", "logging", "msgspec", "psutil", "importlib.metadata", "zmq"}


def test_circus_top_prints_once_without_the_terminal_library() -> None:
    loaded = modules_after("import circus.stats.client, circus.stats.top")
    assert not loaded & {"textual", "rich"}


def test_importing_circus_configures_no_logging() -> None:
    program = "import logging, circus; circus.logger; print(len(logging.getLogger().handlers))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0"
