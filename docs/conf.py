"""The site: `make docs` builds it from the Markdown beside this file, with every warning an error.

Owns what GitHub does by itself and a site does not: navigation, which is the list of links in index.md (and in
the index of a directory), so that a page that is in none is an error; links that leave this directory, which become the name of a file in the checkout; and the
drawings of state machines. Invariant: the pages stay plain Markdown, readable where they are.
"""

from __future__ import annotations

import re
import shutil
from typing import Any, Final

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.ext.graphviz import graphviz
from sphinx.util.docutils import SphinxDirective

from circus import __version__

project: Final = "Circus"
version = release = __version__
html_title: Final = f"Circus {__version__}"
html_theme: Final = "furo"
html_copy_source: Final = False
html_show_copyright: Final = False
extensions: Final = ["myst_parser", "sphinx.ext.graphviz"]
exclude_patterns: Final = ["_build"]
nitpicky: Final = True
myst_heading_anchors: Final = 4  # as GitHub makes them, so links are checked with what stands behind the #
myst_fence_as_directive: Final = ["mermaid"]
graphviz_output_format: Final = "svg"
pygments_style: Final = "friendly"

_PART: Final = re.compile(r"^## (.+?)$(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_LINK: Final = re.compile(r"\[([^\]]+)\]\(([^)#\s]+\.md)\)")
_OUTSIDE: Final = re.compile(r"\[([^\]]+)\]\(((?:\.\./)+)([^)\s]+)\)")
_MOVE: Final = re.compile(r"^ *(\[\*\]|\w+) --> (\[\*\]|\w+)(?:: (.*))?$", re.MULTILINE)


def read_source(app: Sphinx, docname: str, source: list[str]) -> None:
    """Change the text of a page on its way into the site."""
    del app
    depth = docname.count("/")
    text = _OUTSIDE.sub(lambda link: _checkout(link, depth), source[0])
    if docname.rpartition("/")[2] == "index":
        text = f"{text}\n\n{_navigation(text)}"
    source[0] = text


def _checkout(link: re.Match[str], depth: int) -> str:
    """A link that leaves the documentation as a name; others stay."""
    words, ups, rest = link.groups()
    return link[0] if ups.count("/") <= depth else f"{words} (`{rest}` in the checkout)"


def _navigation(index: str) -> str:
    """A hidden table of contents for each part of the index, with its links in their order."""
    trees, seen = [], set[str]()
    for title, part in _PART.findall(index):
        links = {target: words for words, target in reversed(_LINK.findall(part)) if target not in seen}
        seen |= set(links)
        entries = [f"{_titled(words)} <{target.removesuffix('.md')}>" for target, words in reversed(links.items())]
        trees.append("\n".join([f"```{{toctree}}\n:hidden:\n:caption: {title}\n", *entries, "```"]))
    return "\n\n".join(trees)


def _titled(words: str) -> str:
    """The words of a link as the name of a page: `its traces` is what it is only in its sentence."""
    return words[:1].upper() + words[1:] if words != "circusctl" else words


class Mermaid(SphinxDirective):
    """A state diagram, which GitHub draws in the browser, drawn beforehand by Graphviz."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """The node that draws it."""
        text = "\n".join(self.content)
        if shutil.which("dot") is None:  # the site can be built all the same
            return [nodes.literal_block(text, text)]
        moves = _MOVE.findall(text)
        drawing = graphviz()
        drawing["code"] = _dot(moves)
        drawing["options"] = {"docname": self.env.docname}
        drawing["alt"] = "States and what leads from one to the next; the table below says the same"
        return [drawing]


def _dot(moves: list[tuple[str, str, str]]) -> str:
    lines = ["digraph {", 'graph [rankdir=LR, bgcolor="transparent"]', 'node [shape=box, style="rounded,filled"',
             'fillcolor="#eef3f8", color="#4a6785", fontname="sans-serif", fontsize=11]',
             'edge [color="#4a6785", fontname="sans-serif", fontsize=9, fontcolor="#4a6785"]']  # fmt: skip
    for number, (first, then, told) in enumerate(moves):
        ends = [f"point{number}{side}" if state == "[*]" else state for side, state in (("a", first), ("b", then))]
        lines += [f'{end} [shape=point, width=0.12, label=""]' for end in ends if end.startswith("point")]
        label = told.replace(" / ", r"\n")
        lines.append(f'{ends[0]} -> {ends[1]} [label="{label}"]')
    return "\n".join([*lines, "}"])


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("source-read", read_source)
    app.add_directive("mermaid", Mermaid)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
