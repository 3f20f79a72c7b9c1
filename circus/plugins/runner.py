"""circus-plugin: runs one plugin class, as circusd does for each plugin section, or by hand.

Owns the command line. Invariant: the program ends with status 0 when the plugin was stopped or is not active, and with
another one, and a line that says why, when it could not be run.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from circus import __version__, logger
from circus.client import find_endpoint, use_keys
from circus.config.resolve import resolve_name
from circus.exc import CircusError
from circus.keys import ENV_KEY_FILE, ENV_SERVER, Keys, given
from circus.logs import configure_logger
from circus.plugins.base import CircusPlugin
from circus.spec.plugins import CONFIG_ON_STDIN, KEYS_ON_STDIN, PluginSpec, plugin_watcher
from circus.wire.endpoints import DEFAULT_EVENTS, EVENTS_SOCKET, sibling


def get_plugin_cmd(  # noqa: PLR0917 - the signature of circus 0.19
    config: Mapping[str, str],
    endpoint: str,
    pubsub: str,
    check_delay: float,
    ssh_server: str | None,
    debug: bool = False,
    loglevel: str | None = None,
    logoutput: str | None = None,
) -> str:
    """The command line that runs a plugin by hand or by another supervisor, its options included as JSON."""
    import shlex

    options = {key: value for key, value in config.items() if key != "use"}
    resolve_name(config["use"])
    spec = plugin_watcher(
        PluginSpec(name=config["use"], use=config["use"]),
        endpoint,
        pubsub,
        check_delay,
        debug=debug,
        loglevel=loglevel,
        logoutput=logoutput,
        ssh=ssh_server,
    )
    words = [
        f"--config={json.dumps(options)}" if word == f"--config={CONFIG_ON_STDIN}" else word for word in spec.args or ()
    ]
    return shlex.join([sys.executable, *words])


def main(argv: Sequence[str] | None = None) -> None:
    """The console script; ends the program."""
    sys.exit(run(sys.argv[1:] if argv is None else argv))


def run(argv: Sequence[str]) -> int:
    """Run the plugin that the arguments name, to its end, and return the exit status."""
    parser = _parser()
    args = parser.parse_args(argv)
    if args.version:
        sys.stdout.write(f"{__version__}\n")
        return 0
    if args.plugin is None:
        parser.print_usage()
        return 0
    try:
        configure_logger(logger, args.loglevel, args.logoutput)
    except CircusError as error:
        sys.stderr.write(f"circus-plugin: {error}\n")
        return 1
    endpoint = args.endpoint or find_endpoint()
    pubsub = args.pubsub or sibling(endpoint, EVENTS_SOCKET) or DEFAULT_EVENTS
    logger.info("Loading the plugin...")
    logger.info("Endpoint: %r", endpoint)
    logger.info("Pub/sub: %r", pubsub)
    try:
        config = _config(args.config)
        use_keys(_keys(args, config.pop(KEYS_ON_STDIN, None)))
        factory: Callable[..., CircusPlugin] = resolve_name(args.plugin)
        if name := getattr(factory, "name", ""):
            configure_logger(logger, args.loglevel, args.logoutput, name=name)
        plugin = factory(endpoint, pubsub, args.check_delay, args.ssh, **config)
    except ImportError as error:
        logger.error("The plugin cannot be loaded: %s", error)
        return 1
    except CircusError as error:
        logger.error("The plugin %s cannot be made: %s", args.plugin, error)
        return 1
    except Exception:  # the constructor is other people's code
        logger.exception("The plugin %s cannot be made", args.plugin)
        return 1
    if not plugin.active:
        logger.info("The plugin is not active: not started")
        plugin.stop()
        return 0
    logger.info("Starting")
    try:
        # In the loop rather than anywhere: the plugin is between two events then, and can still ask circusd.
        plugin.loop.add_signal_handler(signal.SIGTERM, plugin.stop)
        plugin.start()
    except KeyboardInterrupt:
        pass
    except CircusError as error:
        logger.error("The plugin failed: %s", error)
        return 1
    except Exception:
        logger.exception("The plugin failed")
        return 1
    finally:
        logger.info("Stopping")
        plugin.stop()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="circus-plugin", description="Runs a plugin.")
    parser.add_argument("--endpoint", help="the control endpoint of circusd (found as circusctl finds it)")
    parser.add_argument("--pubsub", help="the events endpoint of circusd (beside the other one)")
    parser.add_argument(
        "--config", help="options of the plugin: KEY:VALUE:::KEY:VALUE, a JSON object, or - for JSON on standard input"
    )
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    parser.add_argument("--check-delay", type=float, default=5.0, help="the check_delay of circusd, in seconds")
    parser.add_argument("plugin", nargs="?", help="dotted name of the plugin's class")
    parser.add_argument("--log-level", dest="loglevel", default="info", help="log level")
    parser.add_argument("--log-output", dest="logoutput", default="-", help="where to log")
    parser.add_argument("--curve-key", metavar="FILE", help=f"your CURVE keys ({ENV_KEY_FILE})")
    parser.add_argument("--curve-server", metavar="KEY", help=f"public key of circusd, or its file ({ENV_SERVER})")
    parser.add_argument("--ssh", help="server to reach circusd through: user@host:port")
    return parser


def _keys(args: argparse.Namespace, told: Any) -> Keys | None:
    """The keys that circusd gave, else those of the command line."""
    if isinstance(told, Mapping):
        return Keys(**told)
    return given(args.curve_key, args.curve_server, os.environ)


def _config(text: str | None) -> dict[str, Any]:
    """The options, in any of the three spellings; ValueError when they are not a JSON object where they should be."""
    if text is None:
        return {}
    if text == CONFIG_ON_STDIN:
        text = sys.stdin.read()
    elif not text.lstrip().startswith("{"):
        pairs = (item.split(":", 1) for item in text.split(":::"))
        return {pair[0].strip(): pair[1].strip() for pair in pairs if len(pair) == 2}
    config = json.loads(text)
    if not isinstance(config, dict):
        raise ValueError("the options of the plugin are not a JSON object")  # noqa: TRY004 - reported with the others
    return config
