"""Where the output of processes goes: the built-in streams, and how a stream is made from its configuration.

Owns the choice of the class and the meaning of a stream's section. Opens nothing.
Invariant: `get_stream` returns a callable or raises ValueError with a sentence that names the option.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, cast

from circus.config.interpolate import expand, names_in
from circus.config.resolve import import_anew, resolve_name
from circus.spec.streams import StreamSpec
from circus.stream.per_worker import PerWorker

if TYPE_CHECKING:
    from queue import Empty as Empty
    from queue import Queue as Queue

    from circus.ports import OutputStream
    from circus.stream.base import BaseStream as BaseStream
    from circus.stream.console import FancyStdoutStream as FancyStdoutStream
    from circus.stream.console import StdoutStream as StdoutStream
    from circus.stream.file_stream import FileStream as FileStream
    from circus.stream.file_stream import TimedRotatingFileStream as TimedRotatingFileStream
    from circus.stream.file_stream import WatchedFileStream as WatchedFileStream
    from circus.stream.queue_stream import QueueStream as QueueStream
    from circus.stream.redirector import Redirector as Redirector

__all__ = [
    "BaseStream",
    "Empty",
    "FancyStdoutStream",
    "FileStream",
    "Queue",
    "QueueStream",
    "Redirector",
    "StdoutStream",
    "TimedRotatingFileStream",
    "WatchedFileStream",
    "get_stream",
]

# The module of each; a daemon loads those of the classes that its configuration names.
_BUILT_IN: Final = {
    "FileStream": "file_stream",
    "WatchedFileStream": "file_stream",
    "TimedRotatingFileStream": "file_stream",
    "StdoutStream": "console",
    "FancyStdoutStream": "console",
    "QueueStream": "queue_stream",
}
_ELSEWHERE: Final = {
    **{name: f"circus.stream.{module}" for name, module in _BUILT_IN.items()},
    "BaseStream": "circus.stream.base",
    "Redirector": "circus.stream.redirector",
    "Empty": "queue",
    "Queue": "queue",
}
_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_INVALID = "stream configuration invalid"


def __getattr__(name: str) -> Any:
    """The stream classes, the redirector and the queues of 0.19's examples, imported when they are asked for."""
    if name not in _ELSEWHERE:
        raise AttributeError(f"module 'circus.stream' has no attribute {name!r}")
    return getattr(importlib.import_module(_ELSEWHERE[name]), name)


def get_stream(
    conf: StreamSpec | Mapping[str, Any] | None,
    reload: bool = False,
    *,
    variables: Mapping[str, str] | None = None,
) -> OutputStream | None:
    """Make the stream that a configuration asks for; None for an empty one.

    A mapping is 0.19's form: `class`, or `stream` (an object), or just the options. `variables` are put in place of
    `{name}` and `$(circus.name)` in options that are text. If there are variables and `wid` is none of them, options
    that name it get a stream for each worker. With `reload` the module of a class is imported anew.
    """
    if not conf:
        return None
    spec = conf if isinstance(conf, StreamSpec) else _spec_of(conf)
    if spec.cls is None and spec.stream is not None:
        if not callable(spec.stream):
            raise ValueError(f"{_INVALID}: stream is {spec.stream!r}, which cannot be called")
        return cast("OutputStream", spec.stream)
    if spec.cls is None and "filename" not in spec.options:
        raise ValueError(f"{_INVALID}: it has no class, no stream and no filename")
    if variables is None or "wid" in variables or not is_per_worker(spec):
        return _make(spec, variables, reload=reload)
    known, wanted = dict(variables), spec
    if reload:
        _class_of(spec.cls or "FileStream", reload=True)
    return PerWorker(lambda wid: _make(wanted, known | {"wid": str(wid)}))


def _make(spec: StreamSpec, variables: Mapping[str, str] | None, *, reload: bool = False) -> OutputStream:
    name = spec.cls or "FileStream"
    options = {key: _fill_in(value, variables) for key, value in spec.options.items()}
    try:
        stream = _class_of(name, reload=reload)(**options)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{_INVALID}: {name}: {error}") from error
    except (Exception, SystemExit) as error:  # a class of somebody else, which may do anything
        raise ValueError(f"{_INVALID}: {name}: {type(error).__name__}: {error}") from error
    if not callable(stream):
        raise ValueError(f"{_INVALID}: {name}: its instances cannot be called")  # noqa: TRY004 - as below
    return stream


def is_per_worker(spec: StreamSpec) -> bool:
    """Whether the options name the worker, so that each has a stream of its own."""
    texts = [value for value in spec.options.values() if isinstance(value, str)]
    return any("{wid}" in text or "wid" in names_in(text) for text in texts)


def _spec_of(conf: Mapping[str, Any]) -> StreamSpec:
    rest = {key: value for key, value in conf.items() if key not in ("class", "stream")}
    return StreamSpec(cls=conf.get("class"), stream=conf.get("stream"), options=rest)


def _class_of(name: str, *, reload: bool = False) -> Callable[..., OutputStream]:
    """A built-in class by its name, any other by its dotted path."""
    if name in _BUILT_IN:
        return cast("Callable[..., OutputStream]", __getattr__(name))
    if "." not in name and ":" not in name:
        raise ValueError(f"there is no such class; the built-in ones are {', '.join(_BUILT_IN)}")
    try:
        if reload:
            import_anew(name)
        found = resolve_name(name)
    except ImportError as error:
        raise ValueError(str(error)) from error
    if not callable(found):
        raise ValueError("is not a class")  # noqa: TRY004 - a wrong value in a configuration
    return cast("Callable[..., OutputStream]", found)


def _fill_in(value: object, variables: Mapping[str, str] | None) -> object:
    if not variables or not isinstance(value, str):
        return value
    return _PLACEHOLDER.sub(lambda found: variables.get(found[1], found[0]), expand(value, variables))
