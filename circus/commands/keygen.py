"""The command `keygen`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from circus.commands.base import Command, Result
from circus.commands.values import words
from circus.exc import ArgumentError, MessageError

if TYPE_CHECKING:
    from circus.ports import ArbiterLike


class KeyGen(Command):
    """Make a pair of CURVE keys, for circusd or for a client.

    The pair is written to a file that only you can read; one that is there already is left as it is, and that is an
    error. What is printed is the public key, which may be known to all: that of a client goes into an [access:NAME] of
    the daemon as `curve_key`, that of circusd, whose file is `curve_secret_key_file`, into CIRCUS_CURVE_SERVER of the clients.

    There is no request for it; circusctl answers by itself.

    Command line:

        circusctl keygen FILE
    """

    name = "keygen"
    changes = False

    def message(self, *args: str, **_: Any) -> str:
        """Make the pair, write the file, and give the public key."""
        from circus.keys import file_text, new_pair

        (path,) = words(args, 1)
        assert path is not None
        pair = new_pair()
        try:
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            raise ArgumentError(f"{path} is there already, and may be in use") from None
        except OSError as error:
            raise ArgumentError(f"{path}: {error.strerror}") from None
        with os.fdopen(file, "w") as text:
            text.write(file_text(pair))
        return pair.public

    def execute(self, arbiter: ArbiterLike, props: dict[str, Any]) -> Result:
        del arbiter, props
        raise MessageError("invalid message. circusctl answers this by itself")
