"""What the command `options` answers."""

from __future__ import annotations

from circus.spec.convert import options_dict
from circus.spec.streams import StreamSpec
from circus.spec.watcher import HookSpec, WatcherSpec

KEYS_OF_0_19 = [
    "args",
    "close_child_stderr",
    "close_child_stdin",
    "close_child_stdout",
    "cmd",
    "copy_env",
    "env",
    "executable",
    "gid",
    "graceful_timeout",
    "max_age",
    "max_age_variance",
    "max_retry",
    "numprocesses",
    "on_demand",
    "priority",
    "respawn",
    "send_hup",
    "shell",
    "shell_args",
    "singleton",
    "stderr_stream_conf",
    "stdout_stream_conf",
    "stop_children",
    "stop_signal",
    "uid",
    "use_sockets",
    "warmup_delay",
    "working_dir",
]

NEW_KEYS = [
    "backoff",
    "backoff_jitter",
    "backoff_max",
    "capture",
    "hook_timeout",
    "kill_scope",
    "memory_limit",
    "memory_limit_after",
    "memory_limit_of",
    "metrics_memory",
    "on_failure",
    "orphans",
    "parent_death_signal",
    "propagate_trace",
    "stable_after",
]


def test_it_has_the_keys_of_0_19_and_the_new_ones_sorted() -> None:
    shown = options_dict(WatcherSpec(name="web", hooks={"before_start": HookSpec(target="a.b")}, rlimits={"core": 0}))
    assert list(shown) == sorted([*KEYS_OF_0_19, *NEW_KEYS])


def test_an_added_watcher_shows_null_where_0_19_did() -> None:
    shown = options_dict(WatcherSpec(name="web", cmd="/nonexistent"))
    assert [shown[key] for key in ("args", "env", "stdout_stream_conf", "stderr_stream_conf", "uid")] == [None] * 5


def test_a_watcher_from_a_file_shows_empty_streams_as_0_19_did() -> None:
    shown = options_dict(WatcherSpec(name="web", args="", env={}, origin="ini"))
    assert [shown[key] for key in ("args", "env", "stdout_stream_conf", "stderr_stream_conf")] == ["", {}, {}, {}]


def test_free_form_options_and_labels_are_shown() -> None:
    shown = options_dict(WatcherSpec(name="web", options={"flapping.max_retry": "3", "labels.team": "x"}))
    assert (shown["flapping.max_retry"], shown["labels.team"]) == ("3", "x")


def test_a_free_form_option_cannot_hide_a_real_one() -> None:
    assert options_dict(WatcherSpec(name="web", options={"stdout_stream_conf": "x"}))["stdout_stream_conf"] is None


def test_the_directory_of_circusd_is_shown_where_none_is_set() -> None:
    assert options_dict(WatcherSpec(name="web"), cwd="/srv")["working_dir"] == "/srv"
    assert options_dict(WatcherSpec(name="web", working_dir="/tmp"), cwd="/srv")["working_dir"] == "/tmp"


def test_what_is_shown_is_a_copy_made_of_json_types() -> None:
    env = {"A": "1"}
    spec = WatcherSpec(name="web", args=("a", "b"), env=env, stdout_stream=StreamSpec(options={"filename": "x"}))
    shown = options_dict(spec)
    assert shown["args"] == ["a", "b"]
    assert shown["env"] == env
    assert shown["env"] is not env
    assert shown["stdout_stream_conf"] == {"filename": "x"}
