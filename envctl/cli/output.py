"""Where words go: data to standard output, everything else to standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from enum import StrEnum
from typing import Any

from rich.console import Console, RenderableType

from envctl.errors import EnvctlError


class Format(StrEnum):
    """How a reader's data is written."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


class Progress(StrEnum):
    """How progress is written."""

    AUTO = "auto"
    PLAIN = "plain"
    JSON = "json"


def out() -> Console:
    """Standard output; a pipe gets 100 columns and no colour. Rich minds NO_COLOR and COLUMNS."""
    return _console(stderr=False)


def err() -> Console:
    """Standard error."""
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    console = Console(stderr=stderr, highlight=False, emoji=False, markup=False)
    if not console.is_terminal and console.width == 80:
        console = Console(stderr=stderr, highlight=False, emoji=False, markup=False, width=100)
    return console


def emit(data: Any, form: Format, table: Callable[[int], RenderableType]) -> None:
    """Write one answer: ``data`` as JSON or YAML, or ``table(width)`` for a person."""
    if form is Format.JSON:
        sys.stdout.write(json.dumps(data, indent=2, default=str, ensure_ascii=False) + "\n")
    elif form is Format.YAML:
        from envctl.configfile import render

        sys.stdout.write(render(json.loads(json.dumps(data, default=str))))
    else:
        console = out()
        console.print(table(console.width))


def report(error: EnvctlError, *, as_json: bool) -> None:
    """An error: the sentence, its cause and what to do, on standard error; with ``-o json`` as data too."""
    if as_json:
        sys.stdout.write(json.dumps(error.as_json(), indent=2, ensure_ascii=False) + "\n")
    from rich.text import Text

    console = err()
    text = Text.assemble(("error: ", "bold red"), (error.what, "bold"))
    for line in error.cause.splitlines():
        text.append(f"\n  {line}")
    for number, line in enumerate(error.hint.splitlines()):
        text.append("\n").append("  " if number else "what to do: ", "bold").append(line)
    console.print(text, soft_wrap=True)


def complain(error: EnvctlError) -> int:
    """An error beside an answer that is on standard output already: on standard error alone. Answers its exit code."""
    report(error, as_json=False)
    return error.exit_code
