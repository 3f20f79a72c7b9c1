"""Where the daemon's log goes."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from circus.exc import CircusError
from circus.logs import configure_logger

LINE = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d circus\[\d+\] \[INFO\] hello\n$")


@pytest.fixture(autouse=True)
def logger() -> Iterator[logging.Logger]:
    """The logger of circus; logging is put back afterwards."""
    root, subject = logging.getLogger(), logging.getLogger("circus")
    kept = root.handlers[:], root.level, subject.handlers[:], subject.level
    # A configuration may switch off every logger that it does not name.
    enabled = [
        each for each in root.manager.loggerDict.values() if isinstance(each, logging.Logger) and not each.disabled
    ]
    yield subject
    for handler in root.handlers:
        if handler not in kept[0]:
            handler.close()
    root.handlers[:], subject.handlers[:] = kept[0], kept[2]
    root.setLevel(kept[1])
    subject.setLevel(kept[3])
    for each in enabled:
        each.disabled = False


@pytest.mark.parametrize("output", ["-", "stdout"])
def test_both_words_mean_standard_error(
    output: str, logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logger(logger, "info", output)
    logger.info("hello")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert LINE.match(captured.err)


@pytest.mark.parametrize(
    ("level", "number"),
    [
        ("critical", logging.CRITICAL),
        ("ERROR", logging.ERROR),
        ("Warning", logging.WARNING),
        ("debug", logging.DEBUG),
        ("nonsense", logging.INFO),
        (logging.DEBUG, logging.DEBUG),
    ],
)
def test_the_level(level: str | int, number: int, logger: logging.Logger) -> None:
    configure_logger(logger, level)
    assert logger.getEffectiveLevel() == number


def test_there_is_one_handler_however_often_it_is_called(logger: logging.Logger, tmp_path: Path) -> None:
    configure_logger(logger, "info", str(tmp_path / "log"))
    configure_logger(logger, "info", "-")
    assert len(logging.getLogger().handlers) == 1


def test_a_file_that_is_moved_away_is_made_anew(logger: logging.Logger, tmp_path: Path) -> None:
    configure_logger(logger, "info", str(tmp_path / "log"), "default")
    logger.info("hello")
    (tmp_path / "log").rename(tmp_path / "old")
    logger.info("hello")
    assert LINE.match((tmp_path / "old").read_text())
    assert LINE.match((tmp_path / "log").read_text())


def test_a_file_that_cannot_be_is_said(logger: logging.Logger, tmp_path: Path) -> None:
    with pytest.raises(CircusError, match=r"^cannot log to .*/nowhere/log: No such file or directory$"):
        configure_logger(logger, "info", str(tmp_path / "nowhere" / "log"))


def test_a_syslog_port_that_is_none_is_said(logger: logging.Logger) -> None:
    with pytest.raises(CircusError, match=r"^cannot log to syslog://host:x\?user: 'x' is not a port$"):
        configure_logger(logger, "info", "syslog://host:x?user")


def test_a_json_file(logger: logging.Logger, tmp_path: Path) -> None:
    config = {
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {"file": {"class": "logging.FileHandler", "filename": str(tmp_path / "log")}},
        "root": {"level": "INFO", "handlers": ["file"]},
    }
    (tmp_path / "logging.json").write_text(json.dumps(config))
    configure_logger(logger, "debug", "-", str(tmp_path / "logging.json"))
    logger.info("hello")
    assert (tmp_path / "log").read_text() == "hello\n"


def test_an_ini_file(logger: logging.Logger, tmp_path: Path) -> None:
    (tmp_path / "logging.ini").write_text(
        "[loggers]\nkeys=root,circus\n[handlers]\nkeys=file\n[formatters]\nkeys=\n"
        "[logger_root]\nlevel=INFO\nhandlers=file\n"
        "[logger_circus]\nlevel=INFO\nhandlers=\nqualname=circus\n"
        f"[handler_file]\nclass=FileHandler\nargs=('{tmp_path}/log',)\n"
    )
    configure_logger(logger, "debug", "-", str(tmp_path / "logging.ini"))
    logger.info("hello")
    assert (tmp_path / "log").read_text() == "hello\n"


def test_yaml_is_read_where_it_can_be(logger: logging.Logger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)  # makes the import fail, as where PyYAML is missing
    with pytest.raises(CircusError, match=r"logging\.yaml: reading \.yaml needs PyYAML: pip install pyyaml$"):
        configure_logger(logger, "info", "-", str(tmp_path / "logging.yaml"))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("logging.txt", "", "expected a file that ends in .ini, .json or .yaml"),
        ("logging.json", "{", "JSONDecodeError: "),
        ("logging.json", "[]", "logger configuration .*: "),
        ("logging.json", '{"version": 1, "handlers": {"x": {"class": "no.Such"}}}', "Unable to configure handler 'x'"),
        ("logging.ini", "nonsense", "is invalid"),
        ("logging.ini", "[loggers]\n", "logger configuration .*: "),
    ],
)
def test_a_file_with_mistakes_is_an_error_and_no_traceback(
    name: str, text: str, message: str, logger: logging.Logger, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(CircusError, match=message):
        configure_logger(logger, "info", "-", str(tmp_path / name))


def test_a_missing_file_is_said(logger: logging.Logger) -> None:
    with pytest.raises(CircusError, match=r"^logger configuration /nowhere\.json: No such file or directory$"):
        configure_logger(logger, "info", "-", "/nowhere.json")
