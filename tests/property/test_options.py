"""Whatever values options get over the wire: they are in force, or refused with a sentence, and can be told in JSON."""

from __future__ import annotations

import contextlib
import json
import tempfile

from hypothesis import example, given, settings
from hypothesis import strategies as st

from circus.commands.options_of import checked, from_text
from circus.events.bus import Bus
from circus.exc import ArgumentError, CircusError
from circus.hooks import resolve_hooks
from circus.launcher import Launcher
from circus.runtime.clock import SystemClock
from circus.sockets import CircusSockets
from circus.spec.convert import options_dict
from circus.spec.diff import flat, watcher_changes
from circus.spec.fields import STREAM, WATCHER
from circus.spec.typed import updated
from circus.spec.watcher import HOOK_NAMES, WatcherSpec
from circus.wire.changes import told_changes
from circus.wire.messages import ok_reply

WEB = WatcherSpec(name="web", cmd="sleep 1")
STREAMS = ("stdout_stream", "stderr_stream")

# No slash: streams are opened when they are set, and that is to be in the directory of the test.
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/"), max_size=8)
plain = st.none() | st.booleans() | st.integers(-3, 70000) | st.integers() | st.floats() | texts
values = st.recursive(
    plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=8
)
stream_options = st.fixed_dictionaries(
    {},
    optional={
        "class": st.sampled_from(["FileStream", "WatchedFileStream", "TimedRotatingFileStream", "StdoutStream", "os.getcwd", "x.Y"]) | values,
        "filename": st.just("/dev/null") | values,
        "stream": values,
        **dict.fromkeys(set(STREAM) - {"class", "filename"}, values),
    },
)  # fmt: skip
names = (
    st.sampled_from(sorted(WATCHER))
    | st.sampled_from([f"hooks.{name}" for name in HOOK_NAMES])
    | st.builds("{}.{}".format, st.sampled_from(STREAMS), st.sampled_from(sorted(STREAM)) | texts)
    | st.sampled_from(["rlimit_nofile", "rlimit_core", "rlimit_nothing", "labels.a", "hooks", "retry_in", *STREAMS])
    | texts
)
options = st.dictionaries(names, values | stream_options, max_size=4)


@settings(deadline=None, max_examples=500)
@given(given_options=options)
@example({"stdout_stream": {"class": 3}})
@example({"stdout_stream": {"class": "FileStream", "filename": {}}})
@example({"stdout_stream": {"class": "FileStream", "filename": 0}})
@example({"stdout_stream.filename": "\0"})
@example({"cmd": "a\0b"})
@example({"env": {"A=B": "\0"}})
@example({"uid": 2**70})
@example({"working_dir": "\0"})
@example({"rlimit_nofile": 2**62})
@example({"hooks.before_start": {"a": 1}})
def test_options_are_in_force_or_refused(given_options: dict[str, object]) -> None:
    with tempfile.TemporaryDirectory() as directory, contextlib.chdir(directory):
        try_out(given_options)


def try_out(given_options: dict[str, object]) -> None:
    launcher = Launcher(WEB, {}, CircusSockets(), Bus(SystemClock()))
    try:
        spec = updated(WEB, checked(given_options))
        launcher.recipe(spec)
        resolve_hooks(spec.hooks)
    except (CircusError, ValueError, OSError):
        return
    json.dumps(told_changes(watcher_changes(WEB, spec)))
    ok_reply({"options": options_dict(spec)}, b"1", 0.0)  # type: ignore[arg-type]  # an id
    flat(spec)


@settings(deadline=None)
@given(name=names, text=texts)
def test_texts_of_a_command_line_are_read_or_refused(name: str, text: str) -> None:
    try:
        value = from_text(name, text)
    except ArgumentError:
        return
    json.dumps(value)
