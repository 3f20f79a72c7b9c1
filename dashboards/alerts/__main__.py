"""`python -m dashboards.alerts --config FILE --to DIRECTORY`: the rules with thresholds of your own.

Owns the command line. Invariant: nothing is written unless everything could be made.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from dashboards.alerts import files
from dashboards.alerts.settings import DEFAULT, Settings, WrongSetting


def main(argv: Sequence[str] | None = None) -> int:
    """The exit status: 1 for settings that cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m dashboards.alerts", description="Make rule files for Prometheus.")
    parser.add_argument(
        "--config", type=Path, default=DEFAULT, help="file of thresholds, a copy of dashboards/config.yaml"
    )
    parser.add_argument("--to", type=Path, required=True, help="directory for the files circus-*.yml")
    arguments = parser.parse_args(argv)
    try:
        made = files(Settings.load(arguments.config))
        arguments.to.mkdir(parents=True, exist_ok=True)
        for path, text in made.items():
            (arguments.to / PurePosixPath(path).name).write_text(text)
    except (OSError, WrongSetting) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
