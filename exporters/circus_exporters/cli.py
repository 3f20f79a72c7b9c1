"""circus-exporter: what to export, from which daemon, and where to serve it.

Owns the command line. Invariant: a wrong option or file ends in a sentence on standard error and status 1, never in a
traceback; secrets of a document on standard input are never echoed.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import logging
import os
import sys
from collections.abc import Sequence

import msgspec

from circus import __version__
from circus.client import find_endpoint, use_keys
from circus.config.build import load
from circus.exc import CircusError, ConfigError
from circus.keys import ENV_KEY_FILE, ENV_SERVER, given
from circus.spec.exporters import ExporterDocument
from circus.wire import endpoints
from circus_exporters import dashboards
from circus_exporters.app import LINGER_SECONDS, App, check, read_sections
from circus_exporters.prometheus.options import DEFAULT_HOST, DEFAULT_PORT, read_options

LEVELS = ("debug", "info", "warning", "error")


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0.0 <= seconds < float("inf"):
        raise ValueError
    return seconds


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="circus-exporter",
        description="Serve the metrics of a Circus daemon to Prometheus, push its traces and metrics over OTLP, watch for alerts.",
        epilog="Without --stdin, --config and --endpoint it looks for a daemon where circusctl does. "
        "`circus-exporter dashboards --to DIRECTORY` writes dashboards and alert rules for these metrics.",
    )
    source = made.add_mutually_exclusive_group()
    source.add_argument(
        "--stdin", action="store_true", help="read addresses and options as JSON, as circusd gives them"
    )
    source.add_argument("--config", metavar="FILE", help="the daemon's configuration: its endpoint and [exporter:…]")
    source.add_argument("--endpoint", metavar="ENDPOINT", help="the daemon's control endpoint")
    made.add_argument("--curve-key", metavar="FILE", help=f"CURVE keys of the exporter ({ENV_KEY_FILE})")
    made.add_argument("--curve-server", metavar="KEY", help=f"public key of circusd, or its file ({ENV_SERVER})")
    made.add_argument("--host", help=f"address to serve metrics on (default {DEFAULT_HOST})")
    made.add_argument("--port", help=f"port to serve metrics on (default {DEFAULT_PORT}, 0 for any free one)")
    made.add_argument(
        "--web-config", metavar="FILE", help="certificates and passwords, as Prometheus' exporters take it"
    )
    made.add_argument("--check", action="store_true", help="check options and the web configuration, serve nothing")
    made.add_argument(
        "--linger", type=_seconds, default=LINGER_SECONDS, metavar="SECONDS",
        help="how long to go on serving circus_up 0 without a daemon (default %(default)g)",
    )  # fmt: skip
    made.add_argument("--log-level", choices=LEVELS, default="info", help="default %(default)s")
    made.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    return made


def read_document(text: bytes) -> ExporterDocument:
    """The document that circusd wrote; CircusError says what is wrong with it, without repeating it."""
    try:
        return msgspec.json.decode(text, type=ExporterDocument)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CircusError(f"standard input: expected the document that circusd gives its exporter: {error}") from error


def document_of(arguments: argparse.Namespace) -> ExporterDocument:
    """What to do, by the command line: from standard input, a configuration, an endpoint, or what can be found."""
    if arguments.stdin:
        document = read_document(sys.stdin.buffer.read())
    elif arguments.config is not None:
        document = _from_config(arguments.config)
    else:
        endpoint = arguments.endpoint or find_endpoint()
        endpoints.parse(endpoint)
        document = ExporterDocument(endpoint=endpoint, pubsub_endpoint="", stats_endpoint="", exporters={})
    given = {"host": arguments.host, "port": arguments.port, "web_config": arguments.web_config}
    given = {name: text for name, text in given.items() if text is not None}
    read_options(given, where="command line")
    sections = {name: dict(options) for name, options in document.exporters.items()}
    if given or not (sections or document.alerts):
        sections.setdefault("prometheus", {}).update(given)
    return dataclasses.replace(document, exporters=sections)


def _from_config(path: str) -> ExporterDocument:
    spec = load(path, look_around=False)
    wrong = [
        mistake for mistake in spec.omitted if (mistake.section or "").startswith(("exporter:", "alert:", "notify:"))
    ]
    if wrong:  # circusd runs without such an exporter; here it is all there is to do
        raise ConfigError(wrong)
    addresses = {name: getattr(spec, name) for name in endpoints.AUTO_NAMES}
    if endpoints.AUTO in addresses.values():
        assert spec.config_file is not None
        auto = endpoints.auto_endpoints(spec.config_file, os.environ, os.getuid())
        addresses = {name: auto[name] if text == endpoints.AUTO else text for name, text in addresses.items()}
    exporters, alerts, notify = (
        {section.name: dict(section.options) for section in sections}
        for sections in (spec.exporters, spec.alerts, spec.notify)
    )
    return ExporterDocument(
        **addresses, exporters=exporters, alerts=alerts, notify=notify, config_file=spec.config_file
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the exporter, or write its dashboards; the exit status."""
    words = sys.argv[1:] if argv is None else argv
    if words[:1] == ["dashboards"]:
        return dashboards.main(words[1:])
    arguments = parser().parse_args(words)
    logging.basicConfig(
        stream=sys.stderr, level=arguments.log_level.upper(),
        format="%(asctime)s circus-exporter[%(process)d] [%(levelname)s] %(message)s", datefmt="%Y-%m-%d %H:%M:%S",
    )  # fmt: skip
    try:
        document = document_of(arguments)
        use_keys(document.keys or given(arguments.curve_key, arguments.curve_server, os.environ))
        if arguments.check:
            return _check(document)
        return asyncio.run(_run(arguments, document))
    except CircusError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        return 130


def _check(document: ExporterDocument) -> int:
    """0 when all sections can be served; otherwise everything that keeps them from it is told."""
    problems = asyncio.run(check(read_sections(document)))
    sys.stderr.write("".join(f"{problem}\n" for problem in problems))
    return 1 if problems else 0


async def _run(arguments: argparse.Namespace, document: ExporterDocument) -> int:
    return await App(document, child=arguments.stdin, linger=arguments.linger).run()


if __name__ == "__main__":
    sys.exit(main())
