"""Options that several verbs share, and what they choose."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from envctl.cli.output import Format

if TYPE_CHECKING:
    from envctl.config import Config

File = Annotated[
    str | None,
    typer.Option(
        "--file",
        "-f",
        metavar="FILE",
        help="Configuration; - is standard input.  [default: envctl.yaml, if any]",
    ),
]
Name = Annotated[
    str | None,
    typer.Option(
        "--name", "-n", metavar="NAME", envvar="ENVCTL_NAME", help="Which environment.", show_envvar=True
    ),
]
Output = Annotated[Format, typer.Option("--output", "-o", help="How to write the answer.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def config(file: str | None, name: str | None) -> Config:
    """The configuration that the options choose. Raises ConfigError."""
    from envctl.configfile import load

    return load(file, name=name)


def agree(question: str, *, yes: bool) -> None:
    """Ask before something is lost; without a terminal ``--yes`` is needed. Raises UsageError."""
    import sys

    from envctl.errors import UsageError

    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(f"{question} There is no terminal to ask on.", hint="Say --yes.")
    if not typer.confirm(question, err=True):
        raise UsageError("Nothing was done.")
