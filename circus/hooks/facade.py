"""What a hook sees of its watcher and of the arbiter: stand-ins that may be used from the hook's thread.

Owns the crossing from a hook's thread to the loop and refuses to know what the objects behind it do. Invariant: nothing
behind a facade is read, called or written outside the loop's thread, and no hook can wait for what waits for it.

- Reading an attribute, writing one or calling a method is done in the loop, and waited for at most
  `CARRY_LIMIT_SECONDS`. It never waits for what the watcher is doing, only for the loop to come round.
- Containers arrive as copies of that moment, objects behind a facade. Storing into a dict that was read from an
  attribute (`watcher.env['PORT'] = '8080'`) is carried to the dict itself.
- An operation (`start`, `stop`, `restart`, `reload`, `incr`, `decr`, `kill`, `quit`: whatever gives an awaitable) is
  only begun; what comes back is an `OperationHandle`, which may be ignored. Its `result(timeout)` waits for the end,
  but not in a hook of the watcher that the operation concerns: that watcher waits for the hook.
- Whoever uses a facade in the loop's own thread gets the same without any waiting.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import dataclasses
import enum
import inspect
import queue
import threading
import types
from collections.abc import Awaitable, Callable, ItemsView, Iterator, KeysView, Mapping, ValuesView
from collections.abc import Set as AbstractSet
from typing import Any

from circus import logger
from circus.exc import CircusError, HookError, Overtaken
from circus.hooks.mapping import CarriedDict

CARRY_LIMIT_SECONDS = 10.0

_PLAIN = (str, bytes, bytearray, int, float, complex, bool, type(None), enum.Enum, BaseException, type, range)


class OperationHandle(concurrent.futures.Future[Any]):
    """An operation that was begun in the loop: a future of another thread that is also fine to ignore.

    It cannot be cancelled; a stop or quit that overtakes it makes `result` raise `Overtaken`.
    """

    def __init__(self, name: str, forbidden: str | None, hook_thread: Callable[[], bool]) -> None:
        super().__init__()
        self._name = name
        self._forbidden = forbidden
        self._hook_thread = hook_thread
        self.set_running_or_notify_cancel()

    def __repr__(self) -> str:
        return f"<OperationHandle {self._name}: {'done' if self.done() else 'running'}>"

    def result(self, timeout: float | None = None) -> Any:
        """What the operation gives, waited for; `HookError` at once where waiting could never end."""
        self._refuse_deadlock()
        return super().result(timeout)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """The operation's error or None, waited for as in `result`."""
        self._refuse_deadlock()
        return super().exception(timeout)

    def _refuse_deadlock(self) -> None:
        if self._forbidden is not None and not self.done() and self._hook_thread():
            raise HookError(f"a hook cannot wait for {self._name}: {self._forbidden}")


class Loop:
    """The loop as a hook's thread reaches it, for the hooks of one watcher.

    `own` is that watcher and `arbiter` the arbiter: operations of theirs must not be waited for in a hook. While
    `carrying`, what is done in the loop is what a hook of that watcher asks for.
    """

    carrying = False

    def __init__(self, loop: asyncio.AbstractEventLoop, own: object, arbiter: object) -> None:
        self._loop = loop
        self._own = own
        self._arbiter = arbiter
        self._loop_thread: int | None = None
        self._hook_threads: set[int] = set()
        self._tasks: set[asyncio.Future[Any]] = set()
        self._closed = False

    def enter_loop(self) -> None:
        """Say that the present thread is the loop's; from there facades act directly."""
        self._loop_thread = threading.get_ident()

    def enter_hook(self) -> None:
        """Say that the present thread begins to run hooks."""
        self._hook_threads.add(threading.get_ident())

    def leave_hook(self) -> None:
        """Say that the present thread has run its last hook."""
        self._hook_threads.discard(threading.get_ident())

    def close(self) -> None:
        """Refuse further calls; operations that were begun go on."""
        self._closed = True

    def carry(self, what: str, function: Callable[[], Any]) -> Any:
        """Run `function` in the loop and give its result; `what` names it in errors."""
        if threading.get_ident() == self._loop_thread:
            return function()
        if self._closed:
            raise HookError(f"{what}: the watcher of this hook is gone")
        answer: concurrent.futures.Future[Any] = concurrent.futures.Future()

        def run() -> None:
            if not answer.set_running_or_notify_cancel():
                return  # the hook's patience ended before the loop came to it
            self.carrying = True
            try:
                answer.set_result(function())
            except BaseException as error:
                # It belongs to the hook that called; the loop must not see it, SystemExit least of all.
                answer.set_exception(error)
            finally:
                self.carrying = False

        try:
            self._loop.call_soon_threadsafe(run)
        except RuntimeError as error:
            raise HookError(f"{what}: the daemon has ended") from error
        try:
            return answer.result(CARRY_LIMIT_SECONDS)
        except TimeoutError as error:
            if not answer.cancel():
                return answer.result()  # it was begun after all, or the time-out is the method's own
            raise HookError(f"{what}: the daemon did not answer within {CARRY_LIMIT_SECONDS:g} s") from error

    def wrap(self, value: Any, *, live: bool = False, depth: int = 6) -> Any:
        """`value` as a hook may have it: plain data as it is, containers copied, objects behind a facade.

        `live` is for what an object holds on to: stores into its dict reach the object.
        """
        kind = type(value)
        if issubclass(kind, _PLAIN) or kind is Facade or kind is OperationHandle:
            return value
        if depth == 0:
            return Facade(self, value)
        below = depth - 1
        if isinstance(value, Mapping):
            copy = {key: self.wrap(item, depth=below) for key, item in value.items()}
            return CarriedDict(self.carry, value, copy) if live else copy
        if isinstance(value, tuple):
            items = [self.wrap(item, depth=below) for item in value]
            return kind(*items) if hasattr(kind, "_fields") else tuple(items)
        if isinstance(value, (list, KeysView, ItemsView, ValuesView)) or _lazy(value):
            return [self.wrap(item, depth=below) for item in value]
        if isinstance(value, AbstractSet):
            return set(value)
        if isinstance(value, (types.ModuleType, types.FunctionType)) or _frozen(value):
            return value
        return Facade(self, value)

    def settle(self, what: str, result: Any, target: object) -> Any:
        """A plain result wrapped, or the handle of an operation; in the loop's thread."""
        if not inspect.isawaitable(result):
            return self.wrap(result)
        handle = OperationHandle(what, self._forbidden(target), self._in_hook)
        task = asyncio.ensure_future(_awaited(result), loop=self._loop)
        self._tasks.add(task)

        def done(task: asyncio.Future[Any]) -> None:
            self._tasks.discard(task)
            if task.cancelled():
                handle.set_exception(Overtaken(f"cancelled: {what}"))
                return
            error = task.exception()
            if error is None:
                handle.set_result(self.wrap(task.result()))
                return
            if not isinstance(error, Overtaken):
                # The hook may well have ignored the handle: nobody else would tell.
                logger.warning("%s, asked for by a hook, failed: %s", what, error, exc_info=_trace(error))
            handle.set_exception(error)

        task.add_done_callback(done)
        return handle

    def _forbidden(self, target: object) -> str | None:
        if target is self._own:
            return "its watcher waits for this hook"
        if target is self._arbiter:
            return "operations of the arbiter wait for every watcher, and this one waits for the hook"
        return None

    def _in_hook(self) -> bool:
        return threading.get_ident() in self._hook_threads


class Facade:
    """Stands for an object of the loop in a hook's thread; see the module for what it does and does not carry."""

    __slots__ = ("_facade_loop", "_facade_target")

    def __init__(self, loop: Loop, target: object) -> None:
        object.__setattr__(self, "_facade_loop", loop)
        object.__setattr__(self, "_facade_target", target)

    @property  # type: ignore[misc]  # so that isinstance in a hook says what it said in circus 0.19
    def __class__(self) -> type:
        return type(object.__getattribute__(self, "_facade_target"))

    def __getattr__(self, name: str) -> Any:
        loop, target = _behind(self)

        def read() -> Any:
            value = getattr(target, name)
            if inspect.isroutine(value):
                return _carried(loop, target, name, value)
            return loop.wrap(value, live=True)

        return loop.carry(f"reading {name} of {_title(target)}", read)

    def __setattr__(self, name: str, value: Any) -> None:
        loop, target = _behind(self)
        plain = unwrap(value)
        loop.carry(f"setting {name} of {_title(target)}", lambda: setattr(target, name, plain))

    def __delattr__(self, name: str) -> None:
        loop, target = _behind(self)
        loop.carry(f"deleting {name} of {_title(target)}", lambda: delattr(target, name))

    def __dir__(self) -> list[str]:
        return dir(_behind(self)[1])

    def __repr__(self) -> str:
        return f"<facade of {_title(_behind(self)[1])}>"

    def __str__(self) -> str:
        return str(_asked(self, str))

    def __eq__(self, other: object) -> bool:
        return bool(_behind(self)[1] == unwrap(other))

    def __hash__(self) -> int:
        return hash(_behind(self)[1])

    def __bool__(self) -> bool:
        return bool(_asked(self, bool))

    def __len__(self) -> int:
        return int(_asked(self, len))

    def __iter__(self) -> Iterator[Any]:
        return iter(_asked(self, list))

    def __contains__(self, item: object) -> bool:
        return bool(_asked(self, lambda target: unwrap(item) in target))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        loop, target = _behind(self)
        return _carried(loop, target, "call", target)(*args, **kwargs)

    def __getitem__(self, key: Any) -> Any:
        return _asked(self, lambda target: target[unwrap(key)])


def unwrap(value: Any) -> Any:
    """The object behind a facade; anything else as it is, lists and tuples of facades too."""
    if type(value) is Facade:
        return _behind(value)[1]
    if type(value) is list or type(value) is tuple:
        return type(value)(unwrap(item) for item in value)
    return value


def _behind(facade: Facade) -> tuple[Loop, Any]:
    get = object.__getattribute__
    return get(facade, "_facade_loop"), get(facade, "_facade_target")


def _asked(facade: Facade, question: Callable[[Any], Any]) -> Any:
    """The answer of the object behind to an operator; TypeError where it does not know the operator."""
    loop, target = _behind(facade)
    return loop.carry(f"asking {_title(target)}", lambda: loop.wrap(question(target)))


def _carried(loop: Loop, target: object, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        plain = [unwrap(arg) for arg in args]
        named = {key: unwrap(value) for key, value in kwargs.items()}
        what = f"{name} of {_title(target)}"
        return loop.carry(what, lambda: loop.settle(what, method(*plain, **named), target))

    call.__name__ = call.__qualname__ = name
    call.__doc__ = getattr(method, "__doc__", None)
    return call


async def _awaited(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


def _lazy(value: object) -> bool:
    """True for generators and the like, which only the loop may exhaust; files are iterators by accident."""
    return isinstance(value, Iterator) and not hasattr(value, "fileno")


def _frozen(value: object) -> bool:
    """True for records that cannot change: specs and msgspec structs need no facade."""
    kind = type(value)
    if dataclasses.is_dataclass(kind):
        return bool(kind.__dataclass_params__.frozen)  # type: ignore[attr-defined]  # typeshed does not know it
    return bool(getattr(getattr(kind, "__struct_config__", None), "frozen", False))


def _title(target: object) -> str:
    name = getattr(target, "name", None)
    kind = type(target).__name__.lower()
    return f"{kind} {name!r}" if isinstance(name, str) and name else kind


def _trace(error: BaseException) -> BaseException | None:
    """Errors made on purpose are one sentence; others are defects and need their traceback."""
    return None if isinstance(error, CircusError) else error


class HookThread(threading.Thread):
    """A thread that runs what it is given, in order, until told to leave; it never keeps the program alive."""

    def __init__(self, name: str, crossing: Loop) -> None:
        super().__init__(name=name, daemon=True)
        self._crossing = crossing
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()

    def give(self, work: Callable[[], None]) -> None:
        self._work.put(work)

    def leave(self) -> None:
        """End after the present work, whenever that is."""
        self._work.put(None)

    def run(self) -> None:
        self._crossing.enter_hook()
        try:
            while (work := self._work.get()) is not None:
                work()
        finally:
            self._crossing.leave_hook()
