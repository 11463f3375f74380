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


ProviderName = Annotated[
    str | None, typer.Option("--provider", metavar="lab|vagrant", help="Namespaces, or a virtual machine.")
]
GuestName = Annotated[
    str | None, typer.Option("--guest", metavar="centos7|debian12", help="What a virtual machine runs.")
]


def config(
    file: str | None, name: str | None, provider: str | None = None, guest: str | None = None
) -> Config:
    """The configuration that the options choose. Raises ConfigError.

    With no file anywhere, an environment of virtual machines is found by what it was made with.
    """
    from envctl.configfile import DEFAULT, load
    from envctl.providers.vagrant_ground import state_root

    if file is None and not DEFAULT.exists():
        remembered = state_root() / (name or "envctl") / "envctl.yaml"
        if remembered.exists():
            file = str(remembered)
    return load(file, name=name, provider=provider, guest=guest)


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
