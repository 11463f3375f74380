"""The verbs, in the order in which one meets them."""

from __future__ import annotations

from typing import Annotated

import typer

from envctl.cli import configuration, inside, lifecycle, machine, stories, watching

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


MAKE, USE, KEEP = "Make and remove", "Use", "Look after"
ANYTHING = {"ignore_unknown_options": True}
app.command(rich_help_panel=MAKE)(lifecycle.up)
app.command(rich_help_panel=MAKE)(lifecycle.down)
app.command(rich_help_panel=MAKE)(lifecycle.migrate)
app.command(rich_help_panel=MAKE)(lifecycle.rollback)
app.command(rich_help_panel=USE)(lifecycle.status)
app.command(rich_help_panel=USE)(lifecycle.verify)
app.command(rich_help_panel=MAKE)(machine.halt)
app.command(rich_help_panel=MAKE)(machine.suspend)
app.command(rich_help_panel=MAKE)(machine.resume)
app.command(rich_help_panel=MAKE)(machine.snapshot)
app.add_typer(inside.pods, name="pod", rich_help_panel=USE)
app.command("exec", rich_help_panel=USE, context_settings=ANYTHING)(inside.exec_)
app.command(rich_help_panel=USE, context_settings=ANYTHING)(machine.ssh)
app.command(rich_help_panel=USE, context_settings=ANYTHING)(machine.kubectl)
app.add_typer(inside.log, name="logs", rich_help_panel=USE)
app.command(rich_help_panel=USE)(watching.capture)
app.command(rich_help_panel=USE)(watching.report)
app.command(rich_help_panel=USE)(stories.reproduce)
app.command(rich_help_panel=KEEP)(inside.doctor)
app.add_typer(machine.boxes, name="box", rich_help_panel=KEEP)
app.command(rich_help_panel=KEEP)(machine.bundle)
app.add_typer(configuration.app, name="config", rich_help_panel=KEEP)
