"""circusd: the daemon. Reads the arguments and the configuration, wires the parts, and turns errors into one line each.

Invariant: whatever is wrong before the first process starts ends in a sentence on standard error and a status that is
not 0; no traceback.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from circus import __version__, logger
from circus.daemon_line import LOG_LEVELS, Words, command_line, words_of
from circus.exc import CircusError, ConfigError
from circus.runtime.burden import import_lightly

if TYPE_CHECKING:
    from circus.handover import ArbiterRecord
    from circus.runtime.daemonize import DaemonHandle
    from circus.spec.arbiter import ArbiterSpec

__all__ = ["LOG_LEVELS", "command_line", "daemonize", "get_maxfd", "main", "run"]


def __getattr__(name: str) -> object:
    """Names that circus 0.19 had here for programs that become daemons themselves."""
    if name in {"MAXFD", "REDIRECT_TO", "daemonize", "get_maxfd"}:
        from circus import shims

        found: object = getattr(shims, name)
        return found
    raise AttributeError(f"module 'circus.circusd' has no attribute {name!r}")


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
    args = words_of(argv)
    if args.version:
        print(__version__)
        return 0
    if args.config is None:
        if args.check:
            command_line().error("--check needs a configuration file")
        command_line().print_usage()
        return 0
    if args.check:
        return _check(args.config)
    if args.trial is not None:
        return _try(args.trial)
    if "CIRCUSD_HANDOVER" in os.environ:
        return _take_over(args)
    import_lightly()
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


def _take_over(args: Words) -> int:
    """Go on where the program was that has executed this one. Its signals are blocked until we can take them."""
    import gc

    # Nobody is served until everything is imported, and a collection meanwhile would find nothing; `_run` allows it again.
    gc.disable()
    import_lightly()
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
    import_lightly()
    from circus.trying import tried

    try:
        tried(fd)
    except (CircusError, OSError, ValueError) as error:
        print(f"circusd: {error}", file=sys.stderr)
        return 1
    return 0


def _served(spec: ArbiterSpec, args: Words, handle: DaemonHandle | None, record: ArbiterRecord | None = None) -> int:
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


def _serve(spec: ArbiterSpec, args: Words, handle: DaemonHandle | None, record: ArbiterRecord | None) -> int:
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
        # What goes on after an upgrade was told when it was read, and may not be so any more.
        for warning in spec.warnings if record is None else ():
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


def _set_title(title: str) -> None:
    try:
        from setproctitle import setproctitle  # type: ignore[import-not-found,unused-ignore] # optional
    except ImportError:
        return
    setproctitle(title)


if __name__ == "__main__":
    main()
