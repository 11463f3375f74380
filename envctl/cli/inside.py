"""``pod``, ``exec``, ``logs``, ``doctor``: what one does with an environment that is there."""

from __future__ import annotations

import dataclasses
import os
import subprocess
from pathlib import Path
from typing import Annotated

import typer

from envctl.cli.lifecycle import existing
from envctl.cli.options import File, Name, Output, config
from envctl.cli.output import Format, emit, err

pods = typer.Typer(no_args_is_help=True, help="Add, list, enter and remove pods.")
Command = Annotated[list[str], typer.Argument(metavar="-- COMMAND...", help="What to run; after --.")]


@pods.command("add")
def pod_add(
    pod: Annotated[str, typer.Argument(help="Its name.")],
    node: Annotated[str, typer.Option("--node", help="Where.")] = "master",
    file: File = None,
    name: Name = None,
    output: Output = Format.TABLE,
) -> None:
    """Start a pod and plug it into the LAN."""
    from rich.text import Text

    from envctl.environment import provider_of

    provider = existing(provider_of(config(file, name)))
    made = provider.pod_add(provider.node(node), pod)
    line = f"{made.name} on {made.node}: {made.address}, {made.mac}"
    emit(dataclasses.asdict(made), output, lambda _width: Text(line))


@pods.command("list")
def pod_list(file: File = None, name: Name = None, output: Output = Format.TABLE) -> None:
    """List the pods with their addresses, and what is left of their leases by the server's own books."""
    from envctl.environment import observe, provider_of
    from envctl.show import tables

    facts = observe(existing(provider_of(config(file, name))), agents=False)
    emit([dataclasses.asdict(pod) for pod in facts.pods], output, lambda _width: tables.pods(facts.pods))


@pods.command("exec", context_settings={"ignore_unknown_options": True})
def pod_exec(
    pod: Annotated[str, typer.Argument(help="Its name.")],
    command: Command,
    file: File = None,
    name: Name = None,
) -> int:
    """Run a command in a pod; its exit status is ours."""
    import shlex
    import sys

    from envctl.environment import provider_of

    provider = existing(provider_of(config(file, name)))
    done = provider.pod_exec(pod, shlex.join(command), check=False)
    sys.stdout.write(done.stdout)
    sys.stderr.write(done.stderr)
    return done.exit_status


@pods.command("rm")
def pod_rm(
    names: Annotated[list[str], typer.Argument(metavar="POD...", help="Which.")],
    file: File = None,
    name: Name = None,
) -> None:
    """Take pods off the LAN, give their addresses back, and remove them."""
    from envctl.environment import provider_of, side_by_side

    provider = existing(provider_of(config(file, name)))
    side_by_side(provider.pod_rm, names)
    err().print("removed: " + ", ".join(names))


def exec_(
    node: Annotated[str, typer.Argument(help="master, worker1, ...; host is the workstation.")],
    command: Command,
    file: File = None,
    name: Name = None,
) -> int:
    """Run a command on a node or on the workstation; it has the terminal, and its exit status is ours."""
    import shlex

    from envctl.environment import provider_of
    from envctl.node import PATH

    provider = existing(provider_of(config(file, name)))
    where = provider.host() if node == "host" else provider.node(node)
    argv = where.argv(shlex.join(command))
    return subprocess.run(argv, env={**os.environ, "PATH": PATH}, check=False).returncode


log = typer.Typer(
    invoke_without_command=True, help="Collect logs, and everything else that a helper would ask for."
)
Folder = Annotated[Path | None, typer.Argument(metavar="[FOLDER]", help="Where to.  (default: ./NAME-logs)")]


@log.callback()
def logs(context: typer.Context, file: File = None, name: Name = None, output: Output = Format.TABLE) -> None:
    """Copy every log of the environment to ./NAME-logs, and print its path; export has more."""
    from envctl.environment import provider_of

    if context.invoked_subcommand is None:
        provider = existing(provider_of(config(file, name)))
        target = Path(f"{provider.config.name}-logs").absolute()
        _written(provider.logs(target), target, output)


@log.command("export")
def logs_export(
    directory: Folder = None, file: File = None, name: Name = None, output: Output = Format.TABLE
) -> None:
    """Write state, configuration, versions and logs into one folder, and print its path. There are no keys in it."""
    from envctl.environment import provider_of
    from envctl.export import export

    provider = existing(provider_of(config(file, name)))
    target = (directory or Path(f"{provider.config.name}-logs")).absolute()
    _written(export(provider, target), target, output)


def _written(files: list[Path], target: Path, output: Format) -> None:
    from rich.text import Text

    emit([os.fspath(path) for path in files], output, lambda _width: Text(os.fspath(target)))


def doctor(
    fix: Annotated[bool, typer.Option("--fix", help="Run what mends a finding.")] = False,
    online: Annotated[
        bool, typer.Option("--online", help="Fetch every address of the lock file and compare its checksum.")
    ] = False,
    file: File = None,
    name: Name = None,
    output: Output = Format.TABLE,
) -> None:
    """Look whether this machine has what is needed; exit code 1 when something stands in the way."""
    from envctl import doctor as checks
    from envctl.environment import provider_of
    from envctl.show import tables

    provider = provider_of(config(file, name))
    found = provider.check()
    if fix and checks.fix(found, err().print):
        found = provider.check()
    if online:
        from envctl.provision.downloads import findings

        found = [*found, *findings(err().print)]
    emit([dataclasses.asdict(finding) for finding in found], output, lambda _width: tables.findings(found))
    if checks.errors(found):
        raise typer.Exit(1)
