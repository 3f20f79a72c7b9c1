"""circusd: the daemon. Reads the arguments and the configuration, wires the parts, and turns errors into one line each.

Invariant: whatever is wrong before the first process starts ends in a sentence on standard error and a status that is
not 0; no traceback.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import logging
import os
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from circus import __version__, logger
from circus.exc import CircusError, ConfigError

if TYPE_CHECKING:
    from circus.handover import ArbiterRecord
    from circus.runtime.daemonize import DaemonHandle
    from circus.spec.arbiter import ArbiterSpec

LOG_LEVELS = ("critical", "error", "warning", "info", "debug")


def __getattr__(name: str) -> object:
    """Names that circus 0.19 had here for programs that become daemons themselves."""
    if name in {"MAXFD", "REDIRECT_TO", "daemonize", "get_maxfd"}:
        from circus import shims

        found: object = getattr(shims, name)
        return found
    raise AttributeError(f"module 'circus.circusd' has no attribute {name!r}")


class _Formatter(argparse.HelpFormatter):
    """As wide as the terminal. argparse would ask shutil, whose compressors the daemon then kept: 0.5 MB."""

    def __init__(self, prog: str) -> None:
        try:
            columns = os.get_terminal_size().columns
        except OSError:
            columns = 80
        super().__init__(prog, width=columns - 2)


def command_line() -> argparse.ArgumentParser:
    """The command line, as `--help` tells it."""
    parser = argparse.ArgumentParser(prog="circusd", description="Run some watchers.", formatter_class=_Formatter)
    parser.add_argument("config", nargs="?", help="configuration file")
    parser.add_argument("--check", action="store_true", help="check the configuration file, start nothing")
    parser.add_argument(
        "--log-level",
        dest="loglevel",
        choices=[*LOG_LEVELS, *map(str.upper, LOG_LEVELS)],
        help="log level",
    )
    parser.add_argument("--log-output", dest="logoutput", help="where to log: - (standard error), a file, a syslog URL")
    parser.add_argument("--logger-config", dest="loggerconfig", help="logging configuration: .ini, .json or .yaml")
    parser.add_argument("--daemon", dest="daemonize", action="store_true", help="run in the background")
    parser.add_argument("--pidfile", dest="pidfile", help="file for the pid")
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    # For an upgrade: read what would be handed over from that descriptor, and start nothing.
    parser.add_argument("--trial", dest="trial", type=int, help=argparse.SUPPRESS)
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """The console script; ends the program."""
    global _words
    _words = sys.orig_argv[1:] if argv is None else None
    try:
        status = run(sys.argv[1:] if argv is None else argv)
    except KeyboardInterrupt:  # while the configuration is read
        status = 128 + signal.SIGINT
    sys.exit(status)


def run(argv: Sequence[str]) -> int:
    """Run the daemon to its end and return the exit status."""
    if os.getpid() == 1:
        # PID 1 has no default actions: until the loop takes the signals over, SIGTERM would be lost.
        _note_signals()
    parser = command_line()
    args = parser.parse_args(argv)
    if args.version:
        print(__version__)
        return 0
    if args.config is None:
        parser.print_usage()
        return 0
    if args.check:
        return _check(args.config)
    if args.trial is not None:
        return _try(args.trial)
    if "CIRCUSD_HANDOVER" in os.environ:
        return _take_over(args)
    _without_burden()
    from circus.config.build import load

    try:
        spec = load(args.config)
    except ConfigError as error:
        for mistake in error.mistakes:
            print(f"circusd: {mistake}", file=sys.stderr)
        return 1
    handle: DaemonHandle | None = None
    if args.daemonize:
        from circus.runtime import daemonize as background

        handle = background.daemonize()
    return _served(spec, args, handle)


def _take_over(args: argparse.Namespace) -> int:
    """Go on where the program was that has executed this one. Its signals are blocked until we can take them."""
    import gc

    # Nobody is served until everything is imported, and a collection meanwhile would find nothing; `_run` allows it again.
    gc.disable()
    _without_burden()
    from circus.handover import read
    from circus.runtime.image import handed_descriptor

    fd = handed_descriptor()
    try:
        record = read(-1 if fd is None else fd)
        spec = record.arbiter_spec()
    except (CircusError, OSError) as error:
        print(f"circusd: {error}", file=sys.stderr)
        return 1
    return _served(spec, args, None, record)


def _try(fd: int) -> int:
    """Everything that taking over takes but doing it; what is wrong is the last line of standard error."""
    _without_burden()
    from circus.trying import tried

    try:
        tried(fd)
    except (CircusError, OSError, ValueError) as error:
        print(f"circusd: {error}", file=sys.stderr)
        return 1
    return 0


def _served(
    spec: ArbiterSpec, args: argparse.Namespace, handle: DaemonHandle | None, record: ArbiterRecord | None = None
) -> int:
    try:
        return _serve(spec, args, handle, record)
    except (CircusError, OSError, RuntimeError, ValueError) as error:
        # One line for who started us, on the terminal if the log goes elsewhere (it may, by now, be a file).
        if handle is not None:
            handle.failed(f"circusd: {error}")
        elif not _logs_to_terminal():
            print(f"circusd: {error}", file=sys.stderr)
        logger.error("%s", error)
        return 1


_words: list[str] | None = None
"""What followed the interpreter on the command line; None in a program that calls `main` or `run` with words of its own."""

_early: list[int] = []
"""Signals to leave that came before the loop could take them over."""


def daemonize() -> None:
    """Go into the background; a name that programs take from circus 0.19."""
    from circus.runtime import daemonize as background

    background.daemonize().ready()


def get_maxfd() -> int:
    """The hard limit of open files, 1024 where there is none; a name that programs take from circus 0.19."""
    import resource

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return 1024 if hard == resource.RLIM_INFINITY else hard


def _note_signals() -> None:
    # Noted and not raised: an exception out of nowhere is swallowed, or worse, by half-made modules of others.
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        signal.signal(signum, lambda number, _: _early.append(number))


def _logs_to_terminal() -> bool:
    handlers = [*logging.getLogger("circus").handlers, *logging.getLogger().handlers]
    return any(getattr(handler, "stream", None) is sys.stderr for handler in handlers)


def _check(config: str) -> int:
    from circus.config.build import check

    found, warnings = check(config)
    mistakes = [str(mistake) for mistake in found] or _check_exporters(config)
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)
    for mistake in mistakes:
        print(f"error: {mistake}", file=sys.stderr)
    if not mistakes:
        print(f"{config}: ok")
    return 1 if mistakes else 0


def _check_exporters(config: str) -> list[str]:
    """What only the exporters themselves can tell, such as a certificate that does not fit its key."""
    import subprocess

    from circus.config.build import load

    spec = load(config, look_around=False)
    if not spec.exporters and not spec.alerts:
        return []
    words = [sys.executable, "-P", "-m", "circus_exporters.cli", "--config", config, "--check"]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    return done.stderr.splitlines() if done.returncode else []


def _serve(
    spec: ArbiterSpec, args: argparse.Namespace, handle: DaemonHandle | None, record: ArbiterRecord | None
) -> int:
    import asyncio

    from circus.logs import configure_logger
    from circus.pidfile import Pidfile
    from circus.runtime.fds import keep_to_ourselves

    keep_to_ourselves()
    # Ignored by a careless parent, it would make the kernel throw away the status of every worker.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    # From here on there may be something to tidy up.
    _note_signals()
    configure_logger(
        logger,
        args.loglevel or spec.loglevel or "info",
        args.logoutput or spec.logoutput or "-",
        args.loggerconfig or spec.loggerconfig,
    )
    if spec.umask is not None:
        os.umask(spec.umask)
    path = args.pidfile or spec.pidfile
    pidfile = Pidfile(path) if path else None
    if pidfile is not None:
        pidfile.create(os.getpid())
    try:
        for warning in spec.warnings:
            logger.warning("%s", warning)
        _set_title(spec.proc_name)
        return asyncio.run(_run(spec, handle, record))
    finally:
        if pidfile is not None:
            with contextlib.suppress(OSError):
                pidfile.unlink()


async def _run(spec: ArbiterSpec, handle: DaemonHandle | None, record: ArbiterRecord | None) -> int:
    import asyncio
    import gc

    from circus.arbiter import Arbiter
    from circus.runtime.image import Image
    from circus.runtime.memory import keep_little
    from circus.runtime.notify import READY, tell
    from circus.sighandler import Commanded, SysHandler

    arbiter = Arbiter.from_spec(spec, main=True)
    signals = SysHandler(Commanded(asyncio.get_running_loop(), arbiter))
    if _words is not None and sys.executable:
        arbiter.image = Image(_words, signals.hold, signals.let)
    if record is not None:
        arbiter.take_over(record)
    # Whoever started us may have blocked some; nobody could stop us then, and our workers would inherit it.
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    logger.info("Starting master on pid %s", os.getpid())
    try:
        if _early:
            logger.info("Got signal %s before anything was started", signal.Signals(_early[0]).name)
            return 0
        # What was imported lives as long as the daemon; a full collection need not look at it again and again.
        gc.collect()
        gc.freeze()
        gc.enable()
        if spec.debug_gc:
            gc.set_debug(gc.DEBUG_LEAK)
        keep_little()

        def ready() -> None:
            tell(READY)
            if handle is not None:
                handle.ready()

        await arbiter.run(ready)
    finally:
        # Nothing is left that a further signal could hasten, and it must not keep us from leaving well.
        signal.pthread_sigmask(signal.SIG_BLOCK, signals.SIGNALS)
        signals.stop()
        for signum in signals.SIGNALS:
            signal.signal(signum, signal.SIG_IGN)
    logger.info("Arbiter exiting")
    return arbiter.exit_status


def _without_burden() -> None:
    """Import asyncio without ssl and msgspec without typing_extensions: 5 MB and some milliseconds that a daemon on unix
    sockets and loopback never needs.

    Both are optional to those who import them, and stay importable for hooks that want them.
    """
    for module, burden in (("asyncio", "ssl"), ("msgspec", "typing_extensions")):
        if module in sys.modules or burden in sys.modules:
            continue
        sys.modules[burden] = None  # type: ignore[assignment] # the documented way to make an import fail
        try:
            importlib.import_module(module)
        finally:
            del sys.modules[burden]


def _set_title(title: str) -> None:
    try:
        from setproctitle import setproctitle  # type: ignore[import-not-found,unused-ignore] # optional
    except ImportError:
        return
    setproctitle(title)


if __name__ == "__main__":
    main()
