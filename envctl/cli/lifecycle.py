"""``up``, ``down``, ``status``, ``verify``, ``migrate``, ``rollback``: from nothing to a verified LAN and
back.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.text import Text

from envctl.cli.options import File, GuestName, Name, Output, ProviderName, Yes, agree, config
from envctl.cli.output import Format, Progress, emit, err, out

if TYPE_CHECKING:
    from envctl.node import Node
    from envctl.plan import Note
    from envctl.providers.base import Provider
    from envctl.verify import Report

T = TypeVar("T")


def up(
    file: File = None,
    name: Name = None,
    by: ProviderName = None,
    guest: GuestName = None,
    output: Output = Format.TABLE,
    keep: Annotated[bool, typer.Option("--keep", help="Leave what a failed step made, to look at.")] = False,
    verify: Annotated[bool, typer.Option(help="Run the acceptance suite at the end.")] = True,
    progress: Annotated[
        Progress, typer.Option(help="auto: a live line per step in a terminal, plain lines elsewhere.")
    ] = Progress.AUTO,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the steps and do nothing.")] = False,
) -> None:
    """Make the environment, install the plugin, migrate the uplink, plug in pods, verify. Again: converge."""
    from envctl import history
    from envctl.apply import execute
    from envctl.environment import observe, provider_of
    from envctl.show import tables
    from envctl.show.progress import observer
    from envctl.show.words import duration
    from envctl.steps import Verify, up_plan

    start = time.monotonic()
    provider = provider_of(config(file, name, by, guest))
    plan = up_plan(provider, suite(provider) if verify else None)
    if dry_run:
        described = [step.describe() for step in plan]
        emit(described, output, lambda _width: tables.steps(described))
        return
    told = observer(err(), progress)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        results = execute(plan, told, keep=keep)
    finally:
        told.close()
    facts = observe(provider, agents=False)
    report = next((step.report for step in plan if isinstance(step, Verify)), None)
    seconds = time.monotonic() - start
    err().print(Text.assemble((f"{'':14}done in {duration(seconds)}", "dim")))
    data = {
        "seconds": round(seconds, 3),
        "steps": [dataclasses.asdict(result) for result in results],
        "environment": dataclasses.asdict(facts),
        "verification": report.as_data() if report else None,
    }
    if any(result.outcome == "done" and result.step not in ("doctor", "verify") for result in results):
        history.remember(provider.config, "up", data)
    emit(data, output, lambda width: tables.summary(facts, results, report, width, _flags(file, name)))


def _flags(file: str | None, name: str | None) -> str:
    """What the next commands need to say too; a name from ENVCTL_NAME they have already."""
    said = f" -n {name}" if name and name != os.environ.get("ENVCTL_NAME") else ""
    return (f" -f {file}" if file and file != "-" else "") + said


def suite(provider: Provider) -> Callable[[Note], Report]:
    """The acceptance suite against an environment, to be run."""

    def run(note: Note) -> Report:
        from envctl.verify import run_suite

        return run_suite(provider, note)

    return run


def down(file: File = None, name: Name = None) -> None:
    """Remove the environment; nothing of it is left, also after a kill half way."""
    from envctl.environment import provider_of

    provider = provider_of(config(file, name))
    there = provider.exists()
    provider.destroy()
    err().print(f"{provider.config.name}: " + ("removed" if there else "there was nothing"))


def status(
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Keep it on the screen, live, until Ctrl-C.")
    ] = False,
    file: File = None,
    name: Name = None,
    output: Output = Format.TABLE,
) -> None:
    """Draw the environment as it is now."""
    from envctl.environment import observe, provider_of
    from envctl.facts import as_data
    from envctl.show import live, tables

    provider = provider_of(config(file, name))
    if watch:
        live.watch(lambda: observe(provider), out(), _line(output))
        return
    facts = observe(provider)
    emit(as_data(facts), output, lambda width: tables.status(facts, width))


def _line(output: Format) -> Callable[[Any], str] | None:
    """How one of many answers is written, so that a program can tell where it ends; None for a person."""
    if output is Format.JSON:
        return lambda data: json.dumps(data, default=str, ensure_ascii=False) + "\n"
    if output is Format.YAML:
        from envctl.configfile import render

        return lambda data: "---\n" + render(json.loads(json.dumps(data, default=str)))
    return None


def verify(
    file: File = None,
    name: Name = None,
    output: Output = Format.TABLE,
    select: Annotated[
        str, typer.Option("--select", "-k", metavar="EXPR", help="Only checks that match, as in pytest.")
    ] = "",
) -> None:
    """Run the acceptance suite; exit code 3 when something is not as it should be."""
    from envctl.environment import provider_of
    from envctl.show import tables
    from envctl.steps import failed
    from envctl.verify import run_suite

    provider = existing(provider_of(config(file, name)))
    report = with_status(lambda note: run_suite(provider, note, select))
    emit(report.as_data(), output, lambda _width: tables.checks(report))
    if not report.checks:
        raise typer.BadParameter(f"no check matches {select!r}")
    if not report.passed:
        raise typer.Exit(failed(report).exit_code)


def migrate(
    nodes: Annotated[list[str] | None, typer.Argument(help="Which nodes; all without one.")] = None,
    file: File = None,
    name: Name = None,
    output: Output = Format.TABLE,
) -> None:
    """Move each node's address to its bridge; confirmed only after the workstation reached it again."""
    from envctl import uplink

    def move(provider: Provider, node: Node) -> dict[str, Any]:
        return uplink.migrate(node, provider.host(), provider.config)

    _on_nodes(nodes, file, name, output, move, "migrated")


def rollback(
    nodes: Annotated[list[str] | None, typer.Argument(help="Which nodes; all without one.")] = None,
    file: File = None,
    name: Name = None,
    output: Output = Format.TABLE,
    yes: Yes = False,
) -> None:
    """Bring back each uplink exactly as it was before the migration. Pods lose the LAN until the next
    migrate.
    """
    from envctl import uplink

    agree("Pods lose the LAN until the next up. Go on?", yes=yes)
    _on_nodes(nodes, file, name, output, lambda _provider, node: uplink.rollback(node), "as before")


def _on_nodes(
    names: Iterable[str] | None,
    file: str | None,
    name: str | None,
    output: Format,
    call: Callable[[Provider, Node], dict[str, Any]],
    outcome: str,
) -> None:
    from envctl.environment import provider_of, side_by_side

    provider = existing(provider_of(config(file, name)))
    nodes = [provider.node(one) for one in names] if names else list(provider.nodes())
    answers = side_by_side(lambda node: call(provider, node), nodes)
    data = {node.name: answer for node, answer in zip(nodes, answers, strict=True)}
    emit(data, output, lambda _width: Text("\n".join(f"{node.name}: {outcome}" for node in nodes)))


def existing(provider: Provider) -> Provider:
    """The provider, if its environment is there. Raises UsageError that says how to make it."""
    from envctl.errors import UsageError

    if not provider.exists():
        raise UsageError(f"there is no environment {provider.config.name}", hint="envctl up makes it.")
    return provider


def with_status(run: Callable[[Note], T]) -> T:
    """Run something that tells what it is doing; shown in a terminal, one line that changes."""
    console = err()
    if not console.is_terminal:
        return run(lambda _text: None)
    with console.status("") as shown:
        return run(lambda text: shown.update(Text(text)))
