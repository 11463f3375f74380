"""``ssh``, ``kubectl``, ``halt``, ``resume``, ``snapshot``, ``box``, ``bundle``: what only real machines have."""

from __future__ import annotations

import dataclasses
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from envctl.cli.lifecycle import existing
from envctl.cli.options import File, Name, Output, config
from envctl.cli.output import Format, emit, err

if TYPE_CHECKING:
    from envctl.providers.vagrant import Virtual

boxes = typer.Typer(no_args_is_help=True, help="Make the box that the debian12 guest is booted from.")
Arguments = Annotated[
    list[str] | None, typer.Argument(metavar="[-- ARGUMENTS...]", help="Handed on as they are.")
]


def _virtual(file: str | None, name: str | None) -> Virtual:
    from envctl.environment import provider_of
    from envctl.errors import UsageError
    from envctl.providers.vagrant import Virtual

    provider = existing(provider_of(config(file, name)))
    if not isinstance(provider, Virtual):
        raise UsageError(
            f"environment {provider.config.name} is a lab: it has no machine to do that with",
            hint="provider: vagrant has one; envctl exec works with both.",
        )
    return provider


def ssh(arguments: Arguments = None, file: File = None, name: Name = None) -> int:
    """Log in to the master, or run a command there as the user vagrant."""
    return subprocess.run([*_virtual(file, name).master().ssh(), *(arguments or ())], check=False).returncode


def kubectl(arguments: Arguments = None, file: File = None, name: Name = None) -> int:
    """Run kubectl from the workstation's place on the LAN."""
    provider = _virtual(file, name)
    argv = provider.kubectl_argv(*(arguments or ()))
    return subprocess.run(provider.host().enter(*argv), check=False).returncode


def halt(file: File = None, name: Name = None) -> None:
    """Shut the machine down; resume starts it again."""
    _virtual(file, name).halt()
    err().print("halted")


def suspend(file: File = None, name: Name = None) -> None:
    """Put the machine's memory to disk; resume goes on where it stopped."""
    _virtual(file, name).suspend()
    err().print("suspended")


def resume(file: File = None, name: Name = None) -> None:
    """Start a machine that was halted or suspended, and wait until it lets us in."""
    _virtual(file, name).resume()
    err().print("up")


def snapshot(
    verb: Annotated[str, typer.Argument(help="save, restore, delete or list.")],
    snapshot_name: Annotated[str, typer.Argument(metavar="[SNAPSHOT]", help="Its name.")] = "saved",
    file: File = None,
    name: Name = None,
    output: Output = Format.TABLE,
) -> None:
    """Save, restore, delete or list states of the machine: its disk and its memory."""
    from rich.text import Text

    said = _virtual(file, name).snapshot(verb, snapshot_name)
    data = said.splitlines() if verb == "list" else {verb: said}
    emit(data, output, lambda _width: Text(said))


@boxes.command("build")
def box_build(output: Output = Format.TABLE) -> None:
    """Make the debian12 box from the Debian package index; what is cached is not made again."""
    from rich.text import Text

    from envctl.box.build import build

    box = build(progress=lambda line: err().print(Text(line), soft_wrap=True))
    data = {key: os.fspath(value) for key, value in dataclasses.asdict(box).items()}
    emit(data, output, lambda _width: Text(os.fspath(box.path)))


def bundle(
    directory: Annotated[
        Path | None,
        typer.Argument(
            help="Where to; build/bundle of the checkout, where up looks for it, when it is left out."
        ),
    ] = None,
    allow_unverified: Annotated[
        bool, typer.Option("--allow-unverified", help="Take files whose checksum nobody knows.")
    ] = False,
    output: Output = Format.TABLE,
) -> None:
    """Download the centos7 guest's boxes and programs, each accepted by its checksum.

    Vagrant takes the box from it, and up sends the programs to the guest.

    Packages and images are not in it: for those the guest needs a network.
    """
    from rich.text import Text

    from envctl.provision.downloads import bundle as download
    from envctl.provision.steps import BUNDLE

    directory = directory or BUNDLE
    files = download(directory, allow_unverified=allow_unverified, note=lambda line: err().print(Text(line)))
    emit([os.fspath(path) for path in files], output, lambda _width: Text(os.fspath(directory)))
