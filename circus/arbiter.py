"""The arbiter of circus 0.19: its constructor, and how a program that embeds it starts and stops it.

What it does is the supervisor's. Invariant: `start` and `stop` may be called by a program with a loop and by one
without, before, during and after the arbiter's life.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import zmq

from circus.assembly import Assembly
from circus.exc import AlreadyExist
from circus.publisher import EventPublisher
from circus.runtime.loop import Done, run, running_loop
from circus.sockets import CircusSocket
from circus.spec.arbiter import DEFAULT_STATS_ENDPOINT, ArbiterSpec
from circus.upgrading import Upgrading
from circus.watcher import Watcher

logger = logging.getLogger("circus")


class Arbiter(Upgrading):
    """One daemon's worth of watchers, with the constructor of circus 0.19; `from_spec` is what circusd uses.

    Args:
        watchers: made beforehand.
        endpoint, pubsub_endpoint: the control and the events endpoint.
        check_delay: seconds between two safety sweeps.
        prereload_fn: called with the arbiter before each reload of everything.
        context: a zmq context to use.
        loop: the asyncio loop (or tornado's, around one) in which `start` is to work, instead of blocking.
        stats_endpoint: the stats endpoint.
        plugins: mappings with `use`, the dotted name of the class, and the options of the plugin.
        sockets: made beforehand, not bound yet.

    All others, `new` ones too, are as in `[circus]` of an ini file; `access` are dicts like `[access:NAME]`, with `name`.
    """

    socket_event = False  # each on_demand watcher waits for its own sockets
    ssh_server: str | None = None
    _exclusive_running_command = None
    _life: asyncio.Task[None] | None = None
    _provided_loop = _ending = _restarting = False  # the last one for programs that have 0.19's main loop

    def __init__(  # noqa: PLR0917 - 0.19's signature
        self,
        watchers: Iterable[Watcher],
        endpoint: str,
        pubsub_endpoint: str,
        check_delay: float = 1.0,
        prereload_fn: Callable[[Arbiter], object] | None = None,
        context: zmq.Context[zmq.Socket[bytes]] | None = None,
        loop: Any = None,
        statsd: bool = False,
        stats_endpoint: str | None = None,
        statsd_close_outputs: bool = False,  # noqa: ARG002 - there is no such process any more
        multicast_endpoint: str | None = None,
        plugins: Iterable[Mapping[str, Any]] | None = None,
        sockets: Iterable[CircusSocket] | None = None,
        warmup_delay: float = 0,
        httpd: bool = False,
        httpd_host: str = "localhost",
        httpd_port: int = 8080,
        httpd_close_outputs: bool = False,  # noqa: ARG002 - as above
        debug: bool = False,
        debug_gc: bool = False,
        ssh_server: str | None = None,
        proc_name: str = "circusd",
        pidfile: str | None = None,
        loglevel: str | None = None,
        logoutput: str | None = None,
        loggerconfig: str | None = None,
        fqdn_prefix: str | None = None,
        umask: int | None = None,
        endpoint_owner: str | None = None,
        **new: Any,
    ) -> None:
        from circus.config.options import new_options, plugin_specs, web_sockets, without_double

        made = without_double(watchers)
        spec = ArbiterSpec(
            endpoint=endpoint,
            pubsub_endpoint=pubsub_endpoint,
            stats_endpoint=stats_endpoint or DEFAULT_STATS_ENDPOINT,
            asked=frozenset({"endpoint", "pubsub_endpoint", *(["stats_endpoint"] if stats_endpoint else [])}),
            endpoint_owner=endpoint_owner,
            multicast_endpoint=multicast_endpoint or "",
            check_delay=float(check_delay),
            warmup_delay=float(warmup_delay),
            statsd=statsd,
            umask=umask,
            httpd=httpd,
            httpd_host=httpd_host,
            httpd_port=httpd_port,
            debug=debug,
            debug_gc=debug_gc,
            pidfile=pidfile,
            loglevel=loglevel,
            logoutput=logoutput,
            loggerconfig=loggerconfig,
            fqdn_prefix=fqdn_prefix,
            proc_name=proc_name,
            watchers=tuple(watcher.spec for watcher in made),
            plugins=plugin_specs(plugins or ()),
            sockets=web_sockets(httpd, httpd_host, httpd_port),
            **new_options(new),
        )
        super().__init__(spec, watchers=made, sockets=sockets or (), context=context)
        self.prereload_fn, self.ssh_server = prereload_fn, ssh_server
        self._take_loop(loop)

    @classmethod
    def from_spec(cls, spec: ArbiterSpec, *, environ: Mapping[str, str] | None = None, main: bool = False) -> Arbiter:
        """An arbiter of a configuration; `main` says that it is the program itself (circusd)."""
        arbiter = cls.__new__(cls)
        Assembly.__init__(arbiter, spec, environ=environ, main=main)
        return arbiter

    @classmethod
    def load_from_config(cls, config_file: str, loop: Any = None) -> Arbiter:
        """An arbiter of an ini file; ConfigError has every mistake in it."""
        from circus.config.build import load

        spec = load(config_file)
        arbiter = cls((), spec.endpoint, spec.pubsub_endpoint)  # for what the constructor of a subclass adds
        Assembly.__init__(arbiter, spec, watchers=map(Watcher.from_spec, spec.watchers))
        arbiter._take_loop(loop)
        return arbiter

    def _take_loop(self, loop: Any) -> None:
        # What tornado calls a loop is one around asyncio's.
        self.loop, self._provided_loop = getattr(loop, "asyncio_loop", loop), loop is not None

    @staticmethod
    def get_arbiter_config(config: Mapping[str, Any]) -> dict[str, Any]:
        """What of a configuration (as `circus.config.get_config` gives it) is the arbiter's own."""
        return {key: value for key, value in config.items() if key not in ("watchers", "plugins", "sockets")}

    @staticmethod
    def get_watcher_config(config: Mapping[str, Any], name: str) -> dict[str, Any] | None:
        """A watcher of such a configuration, None when it has none of that name."""
        return next((dict(each) for each in config.get("watchers", ()) if each["name"] == name), None)

    @staticmethod
    def get_plugin_config(config: Mapping[str, Any], name: str) -> dict[str, Any] | None:
        """A plugin of such a configuration, None when it has none of that name."""
        return next((dict(each) for each in config.get("plugins", ()) if each["name"] == name), None)

    # -- life -----------------------------------------------------------------------------------------------------

    run = Upgrading.serve

    def start(self, cb: Callable[[Any], object] | None = None) -> Any:
        """Start everything. Without a loop (given or running) it blocks until the end, and what it returns is done; SIGTERM
        and the like then work as they do for circusd. In a loop it returns at once, and what it returns can be awaited:
        the start of all watchers. `cb` is called after that, with its future.

        Raises:
            EndpointError: a channel cannot be bound; also from what is awaited.
        """
        self._ending = False
        loop = self.loop if self._provided_loop else running_loop()
        if loop is None:
            run(self._serve_as_program(cb))
            return Done(False)
        begun = loop.create_task(self._begin())
        if cb is not None:
            begun.add_done_callback(cb)
        return begun

    async def _begin(self) -> bool:
        opened = asyncio.get_running_loop().create_future()
        self._life = asyncio.ensure_future(self.serve(lambda: opened.set_result(None)))
        await asyncio.wait([self._life, opened], return_when=asyncio.FIRST_COMPLETED)
        if not opened.done():
            return bool(self._life.result())  # told to leave before there was anything
        await asyncio.wait([self._booting])
        return False

    async def _serve_as_program(self, cb: Callable[[Any], object] | None) -> None:
        from circus.sighandler import taken_over

        with taken_over(asyncio.get_running_loop(), self):
            begun = asyncio.ensure_future(self._begin())
            if cb is not None:
                begun.add_done_callback(cb)
            await begun
            assert self._life is not None
            await self._life

    def stop(self) -> Any:
        """Stop everything and close, from any thread; after the end, or before the start, it does nothing.

        What it returns can be awaited in the loop of the arbiter; in another thread it has a `result(timeout)`.
        """
        if not self.running:
            return Done()
        self._ending = True
        if not self._loop.is_running() or running_loop() is self._loop:
            return self._loop.create_task(self._end())
        return asyncio.run_coroutine_threadsafe(self._end(), self._loop)

    def quit(self) -> Awaitable[None]:
        """As `stop`, when a client or a signal asks for it; a `stop` of a subclass is called then too, before anything."""
        if not self._ending and type(self).stop not in (Arbiter.stop, ThreadedArbiter.stop):
            self._ending = True
            try:
                if asyncio.iscoroutine(stopped := self.stop()):
                    self._spawn_task(stopped)
            except Exception:  # of a program; everything ends all the same
                logger.exception("stop of %s failed", type(self).__name__)
        return super().quit()

    async def _end(self) -> None:
        await self.quit()
        await self._closed.wait()

    stop_controller_and_close_sockets = Upgrading.close

    # -- what programs look at --------------------------------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        """What a `[circus]` section has is an attribute, as in circus 0.19 (`arbiter.pidfile`, `arbiter.debug`)."""
        if name in ArbiterSpec.__dataclass_fields__:
            return getattr(self.spec, name)
        raise AttributeError(f"an arbiter has no attribute {name!r}")

    @property
    def ctrl(self) -> Any:
        """The controller; before there is one something whose attributes can be set, as embedding programs do."""
        return self._controller if self.running else SimpleNamespace()

    def _ensure_ioloop(self) -> None:
        """Nothing, for programs that start it in a thread of their own: `start` makes the loop."""

    @property
    def evpub_socket(self) -> EventPublisher | None:
        """Where events go out: `send_multipart([topic, message])` publishes one. None before there is one."""
        return self._publisher if self.running else None

    @property
    def context(self) -> zmq.Context[zmq.Socket[bytes]]:
        """The zmq context in use."""
        return self._channels.context if self.running else self._zmq or zmq.Context.instance()

    @property
    def fqdn(self) -> str:
        """The full name of this host, with the configured prefix before an `@`. Asking for it may take a while."""
        import socket

        name, prefix = socket.getfqdn(), self.spec.fqdn_prefix
        return f"{prefix}@{name}" if prefix else name

    @property
    def endpoint_owner_mode(self) -> bool:
        """Whether the control endpoint is a unix socket that belongs to another user."""
        return bool(self.endpoint_owner) and self.endpoint.startswith("ipc://")

    # -- watchers -------------------------------------------------------------------------------------------------

    async def start_watcher(self, watcher: Watcher) -> None:
        """Start one with autostart, and wait for the warm-up delay after it."""
        if watcher.autostart:
            await self.fleet.start([watcher])

    async def manage_watchers(self) -> None:
        """A safety sweep: look for deaths that nobody told."""
        self.reap_processes()

    def reap_processes(self) -> None:
        """Collect the processes that have ended; each is reported once, as always."""
        self._reaper.sweep()

    def add_watcher(self, name: str, cmd: str, **kw: Any) -> Watcher:
        """Take in a watcher with these options; it is stopped until somebody starts it.

        Raises:
            AlreadyExist: there is one of that name, compared without case.
            ConfigError: an option is wrong.
        """
        watcher = Watcher(name, cmd, **kw)
        if name.lower() in {known.name.lower() for known in self.watchers}:
            raise AlreadyExist(f"{name!r} already exist")
        if self.running:
            self.take_in(watcher)
        else:
            self._made[name.lower()] = watcher
            self.fleet.add(watcher)
            self.spec = replace(self.spec, watchers=(*self.spec.watchers, watcher.spec))
        return watcher

    async def rm_watcher(self, name: str, nostop: bool = False) -> None:
        """Forget a watcher, and stop it unless `nostop`; KeyError when there is none of that name."""
        watcher = self.get_watcher(name)
        self._made.pop(name.lower(), None)
        if self.running:
            await self.remove(watcher, stop=not nostop)
            return
        self.fleet.forget(watcher)
        self.spec = replace(self.spec, watchers=tuple(spec for spec in self.spec.watchers if spec != watcher.spec))


class ThreadedArbiter(threading.Thread, Arbiter):
    """An arbiter in a thread of its own, which has a loop of its own. Signals stay with the program.

    `start` returns when clients can connect, and raises what kept them from it; `stop` may be called from any thread,
    and waits for the end unless it is called in the arbiter's own.
    """

    def __init__(self, *args: Any, **kw: Any) -> None:
        threading.Thread.__init__(self, name="circus")
        Arbiter.__init__(self, *args, **kw)
        self._provided_loop = False
        self._serving = threading.Event()
        self._failure: BaseException | None = None

    def start(self) -> None:  # type: ignore[override]  # that of a thread
        """Start the thread, and the arbiter in it."""
        threading.Thread.start(self)
        self._serving.wait()
        if self._failure is not None:
            self.join()
            raise self._failure

    def run(self) -> None:  # type: ignore[override]  # that of a thread
        """What the thread does."""
        try:
            run(self.serve(self._serving.set))
        except BaseException as error:
            if self._serving.is_set():
                raise
            self._failure = error
        finally:
            self._serving.set()

    def stop(self) -> Any:
        """Stop everything and end the thread."""
        ending = super().stop()
        if self.is_alive() and threading.current_thread() is not self:
            self.join()
        return ending
