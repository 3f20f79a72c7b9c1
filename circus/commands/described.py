"""The help of commands, taken from docstrings when somebody wants it: a daemon never does."""

from __future__ import annotations


def dedented(doc: str) -> str:
    """A docstring without its indentation (`inspect` does the same, at a tenth of circusctl's time)."""
    first, _, rest = doc.strip().expandtabs().partition("\n")
    lines = rest.split("\n")
    margin = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    return "\n".join([first, *(line[margin:].rstrip() for line in lines)]).rstrip()


class Description:
    """The docstring of a class, dedented when somebody wants it: a daemon does not."""

    def __get__(self, instance: object, owner: type) -> str:
        return dedented(owner.__doc__ or "")
