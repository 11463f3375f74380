"""The documentation's site: Sphinx with MyST and Furo, built by `make docs`; nothing is fetched from outside.

What can be made from the code is made here, before the build: every option, the DHCP client's states, pictures.
"""

from __future__ import annotations

import html
import re
import subprocess
from pathlib import Path
from typing import Any

import typer
from brdhcp.dhcp.machine import TABLE
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

from envctl.cli.app import app as envctl
from envctl.report.before import before, example
from envctl.report.svg import lan

DOCS = Path(__file__).parent
ROOT = DOCS.parent
LINK = re.compile(r"(?<!!)\[(?P<text>[^\]]+)\]\((?P<target>[^)#\s]+)(?P<anchor>#[^)\s]*)?\)")
TITLED = re.compile(r'^```(?P<kind>\w+) title="(?P<title>[^"]+)"$', re.M)
BACKWARDS = {("RENEWING", "BOUND"), ("REBINDING", "BOUND")}
"""Ways back, which a picture read from top to bottom should not stand on its head for."""
STATES = "<!-- the table of states -->"

project = "Pods as hosts on the LAN"
author = "brdhcp and envctl"
copyright = "the authors of brdhcp"
extensions = ["myst_parser"]
exclude_patterns = ["Thumbs.db"]
myst_enable_extensions = ["attrs_inline"]
myst_heading_anchors = 3
suppress_warnings = ["misc.highlighting_failure"]
nitpicky = True
html_theme = "furo"
html_title = "Pods as hosts on the LAN"
html_static_path = ["assets"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False
html_theme_options = {"top_of_page_buttons": []}


def setup(app: Sphinx) -> None:
    """Make what is generated, and see every page before it is read."""
    (DOCS / "reference/options.md").write_text(options())
    after = example()
    (DOCS / "after.svg").write_text(lan(after, "After the uplink migration") + "\n")
    (DOCS / "before.svg").write_text(lan(before(after), "Before the uplink migration") + "\n")
    (DOCS / "explanation/dhcp-states.svg").write_text(drawn(graph()))
    app.connect("source-read", on_source)


def on_source(_app: Sphinx, name: str, source: list[str]) -> None:
    """Links to files of the checkout that are not of the site become their names; files have captions."""
    where = (DOCS / name).parent

    def named(match: re.Match[str]) -> str:
        target = match["target"]
        if "://" in target or target.startswith("mailto:"):
            return match[0]
        path = (where / target).resolve()
        if path.is_relative_to(DOCS) or not path.is_relative_to(ROOT):
            return match[0]
        if not path.exists():
            raise ExtensionError(f"{name}: {target} does not exist in the checkout")
        file = str(path.relative_to(ROOT))
        return f"`{file}`" if match["text"].strip("`/") == file.strip("/") else f"{match['text']} (`{file}`)"

    text = LINK.sub(named, source[0]).replace(STATES, rows())
    source[0] = TITLED.sub("```{code-block} \\g<kind>\n:caption: \\g<title>\n", text)


def rows() -> str:
    """The machine's table, in Markdown."""
    lines = ["| state | what happens | what is done | then |", "|---|---|---|---|"]
    for row in TABLE.values():
        doing = (row.action.__doc__ or "").splitlines()[0].rstrip(".")
        lines.append(f"| `{row.state.value}` | {row.symbol.value} | {doing} | `{row.target.value}` |")
    return "\n".join(lines)


def graph() -> str:
    """The machine's table for Graphviz. Releases are left out: they lead from everywhere to one end."""
    edges: dict[tuple[str, str], list[str]] = {}
    for row in TABLE.values():
        if row.symbol.value != "release":
            edges.setdefault((row.state.value, row.target.value), []).append(row.symbol.value)
    font = 'fontname="sans-serif"'
    lines = [
        "digraph {",
        "rankdir=TB; bgcolor=transparent; nodesep=0.5; ranksep=0.55;",
        f'node [shape=box, style="rounded,filled", fillcolor="#e8ecff", color="#3b5bdb", {font}, fontsize=13];',
        f'edge [color="#7a86a8", fontcolor="#7a86a8", {font}, fontsize=12, arrowsize=0.7];',
        "{rank=source; INIT; INIT_REBOOT}",
        'BOUND [fillcolor="#d3f9e8", color="#087f5b"];',
    ]
    for (source, target), symbols in edges.items():
        label = "\\l".join(symbols) + "\\l"
        free = (
            ", constraint=false" if target in ("INIT", "REBOOTING") or (source, target) in BACKWARDS else ""
        )
        lines.append(f'{source} -> {target} [label="{label}"{free}];')
    return "\n".join([*lines, "}"])


def drawn(dot: str) -> str:
    """A picture of a graph; the graph itself is in it as a comment, so that one can see whether it is of today."""
    done = subprocess.run(["dot", "-Tsvg"], input=dot, capture_output=True, text=True, check=True)
    return done.stdout.replace("</svg>", f"<!--\n{dot.replace('--', '- -')}\n-->\n</svg>")


def options() -> str:
    """Every verb with its arguments and options, from the code that reads them."""
    parts = ["# Every option\n\nMade from the code. What the verbs do is in [commands](commands.md).\n"]
    root = typer.main.get_command(envctl)
    for name, command in sorted(_verbs(root, "envctl")):
        parts.append(f"## `{name}`\n\n{_prose(command.help)}\n")
        lines = [f"| {_spelling(one)} | {_prose(getattr(one, 'help', None))} |" for one in command.params]
        if lines:
            parts.append("\n".join(["| option | meaning |", "|---|---|", *lines]) + "\n")
    return "\n".join(parts)


def _prose(text: str | None) -> str:
    return html.escape(" ".join((text or "").split())).replace("|", "\\|").replace("*", "\\*")


def _spelling(option: Any) -> str:
    if option.param_type_name == "argument":
        return f"`{option.metavar or option.name.upper()}`"
    return ", ".join(f"`{word}`" for word in (*option.opts, *option.secondary_opts))


def _verbs(command: Any, name: str) -> list[tuple[str, Any]]:
    inner = getattr(command, "commands", None)
    if inner is None:
        return [(name, command)]
    return [verb for key, one in inner.items() for verb in _verbs(one, f"{name} {key}")]
