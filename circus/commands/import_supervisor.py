"""The command `import`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from circus.commands.base import Command, Result
from circus.commands.values import words
from circus.exc import MessageError

if TYPE_CHECKING:
    from circus.importing.supervisor import Converted
    from circus.ports import ArbiterLike


class Import(Command):
    """Convert a configuration of supervisor into one for circusd.

    Reads a supervisord.conf with the files that it includes, and prints an ini file with a watcher for each program;
    `circusctl import supervisord.conf > circus.ini` keeps it, and `circusd --check circus.ini` looks at it. What could
    not be converted stands in it as a comment, and on standard error with file and line. Nothing is started, and no
    daemon is needed.

    The exit status is 0 when everything was converted, 3 when something was not, 1 when the file has mistakes.

    There is no request for it; circusctl answers by itself.

    Command line:

        circusctl import FILE
    """

    name = "import"
    changes = False

    def message(self, *args: str, **_: Any) -> Converted:
        """Convert the file; all that is wrong with it is in the ConfigError."""
        import platform

        from circus.importing.supervisor import convert_file

        (path,) = words(args, 1)
        assert path is not None
        return convert_file(path, os.environ, platform.node())

    def execute(self, arbiter: ArbiterLike, props: dict[str, Any]) -> Result:
        del arbiter, props
        raise MessageError("invalid message. circusctl answers this by itself")
