"""The verbs, in the order in which one meets them."""

from __future__ import annotations

from typing import Annotated

import typer

from envctl.cli import configuration

app = typer.Typer(
    name="envctl",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Pods as hosts on the LAN: make the environment, migrate the uplink, verify, show, remove.",
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"envctl {version('envctl')}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Runs before every verb."""


app.add_typer(configuration.app, name="config")
