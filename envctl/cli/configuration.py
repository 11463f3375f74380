"""``envctl config``: write, look at, check."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from envctl.cli.options import File
from envctl.cli.output import Format, emit, err

app = typer.Typer(no_args_is_help=True, help="Write, view and check envctl.yaml.")


@app.command()
def init(
    path: Annotated[Path, typer.Argument(help="Where to; - is standard output.")] = Path("envctl.yaml"),
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
) -> None:
    """Write a configuration with every key, its default and what it means."""
    from envctl.configfile import commented
    from envctl.errors import UsageError

    text = commented()
    if str(path) == "-":
        sys.stdout.write(text)
        return
    try:
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise UsageError(f"{path} is there already", hint="--force writes over it.") from error
    except OSError as error:
        raise UsageError(f"{path} cannot be written", cause=str(error)) from error
    err().print(f"{path} written. Next: envctl up")


@app.command()
def view(
    file: File = None,
    output: Annotated[Format, typer.Option("--output", "-o", help="How to write it.")] = Format.YAML,
) -> None:
    """Print the configuration in force, defaults included."""
    from rich.text import Text

    from envctl.configfile import dump, load

    config = load(file)
    emit(config.model_dump(mode="json", by_alias=True), output, lambda _width: Text(dump(config).rstrip()))


@app.command()
def validate(file: File = None) -> None:
    """Check a file; every fault is named with its line, exit code 2."""
    from envctl.configfile import load

    config = load(file)
    err().print(f"valid: environment {config.name}, provider {config.provider}")


@app.command()
def schema() -> None:
    """Print the JSON schema of envctl.yaml, for editors."""
    from envctl.config import json_schema

    emit(json_schema(), Format.JSON, lambda _width: "")
