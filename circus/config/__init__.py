"""From the text of a configuration to specs; and, for programs written for circus 0.19, to the dicts that it had here."""

from __future__ import annotations

from typing import Any

_OF_0_19 = {
    "DefaultConfigParser": "parser",
    "get_config": "as_dicts",
    "read_config": "parser",
    "rlimit_value": "as_dicts",
    "watcher_defaults": "as_dicts",
}

_ENDPOINTS = {
    "DEFAULT_ENDPOINT_DEALER": "DEFAULT_ENDPOINT",
    "DEFAULT_ENDPOINT_MULTICAST": "DEFAULT_MULTICAST_ENDPOINT",
    "DEFAULT_ENDPOINT_STATS": "DEFAULT_STATS_ENDPOINT",
    "DEFAULT_ENDPOINT_SUB": "DEFAULT_PUBSUB_ENDPOINT",
}


def __getattr__(name: str) -> Any:
    """Names that circus 0.19 had here, imported when somebody asks for them."""
    if name in _ENDPOINTS:
        from circus.spec import arbiter

        return getattr(arbiter, _ENDPOINTS[name])
    if name in _OF_0_19:
        from importlib import import_module

        return getattr(import_module(f"circus.config.{_OF_0_19[name]}"), name)
    raise AttributeError(f"module 'circus.config' has no attribute {name!r}")
