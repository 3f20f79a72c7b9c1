"""Where the daemon's own log goes.

Owns the handler of the root logger. Only the programs call this; nothing happens at import, and what an output does not
need is not imported.
Invariant: after `configure_logger` there is exactly one place that is logged to, or an error that says why not.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING, Any

from circus.exc import CircusError

if TYPE_CHECKING:
    from logging.handlers import SysLogHandler

LOG_FORMAT = "%(asctime)s %(name)s[%(process)d] [%(levelname)s] %(message)s"
LOG_DATE_FORMAT = "%Y-%m-%d %H:%M:%S"
SYSLOG_DATE_FORMAT = "%b %d %H:%M:%S"
LOG_LEVELS = {
    "critical": logging.CRITICAL,
    "error": logging.ERROR,
    "warning": logging.WARNING,
    "info": logging.INFO,
    "debug": logging.DEBUG,
}
_SYSLOG = "syslog://"
_SYSLOG_PORT = 514


def configure_logger(
    logger: logging.Logger,
    level: str | int = "INFO",
    output: str = "-",
    loggerconfig: str | None = None,
    name: str | None = None,  # noqa: ARG001 - 0.19's signature, and without effect there too
) -> None:
    """Send what is logged to `output`, or set logging up from a file.

    Args:
        logger: of the program; with a file as `loggerconfig` it only gets its level there.
        level: a word in any case (an unknown one means info) or a number.
        output: `-` or `stdout` for standard error (as 0.19 did), `syslog://host[:port]?facility`,
            `syslog:///path?facility`, or a file, which others may move away.
        loggerconfig: `default` or nothing for the above, else a file that ends in .ini, .json or .yaml.
        name: nothing; 0.19 has it.

    Raises:
        CircusError: the output cannot be written to or the file cannot be used.
    """
    if loggerconfig and loggerconfig.lower() != "default":
        _configure_from_file(loggerconfig)
        return
    number = LOG_LEVELS.get(level.lower(), logging.INFO) if isinstance(level, str) else level
    handler = _handler(output)
    date_format = SYSLOG_DATE_FORMAT if output.startswith(_SYSLOG) else LOG_DATE_FORMAT
    handler.setFormatter(logging.Formatter(LOG_FORMAT, date_format))
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
        if isinstance(old, logging.FileHandler):
            old.close()
    root.addHandler(handler)
    root.setLevel(number)
    logger.setLevel(logging.NOTSET)
    logger.propagate = True


def _handler(output: str) -> logging.Handler:
    if output in {"-", "stdout"}:
        return logging.StreamHandler(sys.stderr)
    if output.startswith(_SYSLOG):
        return _syslog_handler(output)
    from logging.handlers import WatchedFileHandler

    try:
        return WatchedFileHandler(output)
    except OSError as error:
        raise CircusError(f"cannot log to {output}: {error.strerror}") from error


def _syslog_handler(output: str) -> SysLogHandler:
    from logging.handlers import SysLogHandler

    where, _, facility = output.removeprefix(_SYSLOG).partition("?")
    # 0.19 took user for a facility that is none, without a word; it still starts, with one.
    if facility and facility not in SysLogHandler.facility_names:
        known = ", ".join(sorted(SysLogHandler.facility_names))
        sys.stderr.write(f"{output}: no syslog facility {facility!r}, using user; there are {known}\n")
        facility = "user"
    address: str | tuple[str, int] = where
    if not where.startswith("/"):
        host, _, port = where.partition(":")
        if port and not port.isdecimal():
            raise CircusError(f"cannot log to {output}: {port!r} is not a port")
        address = (host or "localhost", int(port or _SYSLOG_PORT))
    try:
        # A syslogd that is not there yet is no error: the handler tries again with each record.
        return SysLogHandler(address, SysLogHandler.facility_names[facility or "user"])
    except OSError as error:
        raise CircusError(f"cannot log to {output}: {error.strerror or error}") from error


def _configure_from_file(path: str) -> None:
    """Hand a file to the logging package, with its errors as sentences."""
    import logging.config

    suffix = os.path.splitext(path)[1].lower()
    try:
        if suffix == ".ini":
            logging.config.fileConfig(path, disable_existing_loggers=True)
        elif suffix == ".json":
            logging.config.dictConfig(_load_json(path))
        elif suffix == ".yaml":
            logging.config.dictConfig(_load_yaml(path))
        else:
            raise CircusError(f"logger configuration {path}: expected a file that ends in .ini, .json or .yaml")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ImportError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else f"{type(error).__name__}: {error}"
        raise CircusError(f"logger configuration {path}: {reason}") from error


def _load_json(path: str) -> Any:
    import json

    with open(path, encoding="utf-8") as file:
        return json.load(file)


def _load_yaml(path: str) -> Any:
    try:
        import yaml  # type: ignore[import-untyped,import-not-found,unused-ignore]  # optional
    except ImportError:
        raise CircusError(f"logger configuration {path}: reading .yaml needs PyYAML: pip install pyyaml") from None
    with open(path, encoding="utf-8") as file:
        try:
            return yaml.safe_load(file)
        except yaml.YAMLError as error:
            raise CircusError(f"logger configuration {path}: {error}") from error
