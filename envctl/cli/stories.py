"""``reproduce``: the symptoms of the note, for real."""

from __future__ import annotations

import contextlib
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Annotated

import click
import typer

from envctl.cli.options import Output
from envctl.cli.output import Format, complain, emit, err, out
from envctl.errors import EnvctlError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console, RenderableType

    from envctl.providers.base import Provider
    from envctl.scenarios.story import Beat, Outcome, Symptom

    Plays = Iterator[tuple[Symptom, Outcome]]

AT_ONCE = 4


class StoryError(EnvctlError):
    """A symptom no longer happens, or did not end well with brdhcp; each was said above."""

    exit_code = 3


Symptoms = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[SYMPTOM...]",
        help="no-lease, broadcast-trapped, gateway-stolen, address-lost, apiserver-gone, two-routes, fixed;"
        "  all without one.",
    ),
]
Prefix = Annotated[
    str,
    typer.Option(
        "--name",
        "-n",
        metavar="NAME",
        help="Names the labs: NAME-1 … NAME-7. That of a virtual machine: the symptoms happen on it.",
    ),
]


def reproduce(
    symptoms: Symptoms = None,
    explain: Annotated[bool, typer.Option("--explain", help="Tell the story, with the packets.")] = False,
    step: Annotated[bool, typer.Option("--step", help="Wait for a key between two steps.")] = False,
    prefix: Prefix = "reproduce",
    output: Output = Format.TABLE,
) -> None:
    """Make the symptoms happen that brdhcp exists for, show why, prove it, then do it right. Exit code 3
    when one no longer happens.
    """
    from envctl.scenarios.table import chosen, environment_name

    wanted = chosen(symptoms or ())
    _usable(environment_name(prefix, wanted[-1]))
    if step:
        _terminal(output)
    machine = _machine(prefix)
    if machine is None:
        _needed()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if step:
        for symptom in wanted:
            _step_by_step(symptom, _where(symptom, prefix, machine), explain)
    elif len(wanted) == 1 and output is Format.TABLE:
        _one(wanted[0], _where(wanted[0], prefix, machine), explain)
    else:
        played = _in_turn(wanted, machine) if machine else _side_by_side(wanted, prefix)
        _tell(played, output, explain)


def _tell(played: Plays, output: Format, explain: bool) -> None:
    """The stories as they end, or all of them as data. Raises StoryError when one did not go as told.

    As data the answer is one document, the failed ones in it: what follows it is said on standard error alone.
    """
    from envctl.show import story

    outcomes: list[Outcome] = []
    for symptom, outcome in played:
        outcomes.append(outcome)
        if output is Format.TABLE:
            _print(out(), story.story(symptom, outcome, out().width, explain=explain))
        if outcome.error is not None:
            complain(outcome.error)
    if output is not Format.TABLE:
        emit([outcome.as_data() for outcome in outcomes], output, lambda _width: "")
    failed = [outcome for outcome in outcomes if outcome.error is not None]
    if failed:
        error = StoryError(
            f"{len(failed)} of {len(outcomes)} symptoms did not go as told",
            cause="\n".join(f"{outcome.id}: {outcome.error.what}" for outcome in failed if outcome.error),
        )
        if output is Format.TABLE:
            raise error
        raise typer.Exit(complain(error))


def _machine(name: str) -> Provider | None:
    """The virtual machine of that name, if there is one."""
    from envctl.cli.options import config
    from envctl.environment import provider_of
    from envctl.providers.vagrant_ground import state_root

    if not (state_root() / name / "envctl.yaml").exists():
        return None
    return provider_of(config(str(state_root() / name / "envctl.yaml"), name))


def _where(symptom: Symptom, prefix: str, machine: Provider | None) -> Provider:
    from envctl.scenarios.table import lab_of

    return machine or lab_of(prefix, symptom)


def _one(symptom: Symptom, provider: Provider, explain: bool) -> None:
    """One symptom, each beat as it happens."""
    from envctl.scenarios.table import perform
    from envctl.show import story

    console = out()
    _print(console, story.heading(symptom, console.width))

    def tell(beat: Beat) -> None:
        _print(console, story.beat(beat, console.width, explain=explain))

    _print(console, story.ending(perform(symptom, provider, tell)))


def _print(console: Console, *texts: RenderableType) -> None:
    for text in texts:
        console.print(text, soft_wrap=True)


def _usable(name: str) -> None:
    from pydantic import ValidationError

    from envctl.config import Config
    from envctl.errors import UsageError

    try:
        Config.model_validate({"name": name})
    except ValidationError as error:
        raise UsageError(
            f"{name} is no name for an environment",
            hint="--name takes up to 18 lower case letters, digits and dashes, a letter first.",
        ) from error


def _needed() -> None:
    """Raises when this machine cannot make a lab, or has no reference plugins to show the symptoms with."""
    import dataclasses

    from envctl import doctor
    from envctl.config import Config
    from envctl.providers.lab import Lab

    found = Lab(Config()).check()
    doctor.require([dataclasses.replace(one, level="error" if one.level != "ok" else "ok") for one in found])


def _step_by_step(symptom: Symptom, provider: Provider, explain: bool) -> None:
    """One symptom with a key between two beats."""
    from envctl.scenarios.table import perform
    from envctl.show import story

    console = out()
    _print(console, story.heading(symptom, console.width))

    def tell(beat: Beat) -> None:
        _print(console, story.beat(beat, console.width, explain=explain))
        err().print("              any key: go on · Ctrl-C: clean up and end", style="dim", end="\r")
        click.getchar()
        err().print(" " * 60, end="\r")

    _print(console, story.ending(perform(symptom, provider, tell)), "")


def _terminal(output: Format) -> None:
    from envctl.errors import UsageError

    if output is not Format.TABLE:
        raise UsageError(
            f"--step and -o {output} exclude each other",
            cause=f"--step tells one beat after the other to a person; -o {output} is one document at the end.",
            hint="Leave one of them out.",
        )
    if not sys.stdin.isatty():
        raise UsageError("--step waits for a key, and there is no terminal", hint="Leave --step out.")


def _in_turn(wanted: Sequence[Symptom], provider: Provider) -> Plays:
    """One after the other on the same machine."""
    from envctl.scenarios.table import attempt

    for symptom in wanted:
        with _waiting(symptom):
            outcome = attempt(symptom, provider)
        yield symptom, outcome


def _side_by_side(wanted: Sequence[Symptom], prefix: str) -> Plays:
    """Each symptom as soon as it and those before it have ended; most of their time is waiting.

    An interruption removes the labs and with them what runs there.
    """
    from envctl.scenarios.table import attempt, environment_name, lab_of

    pool = ThreadPoolExecutor(max_workers=AT_ONCE)
    try:
        running = [(symptom, pool.submit(attempt, symptom, lab_of(prefix, symptom))) for symptom in wanted]
        for symptom, future in running:
            with _waiting(symptom):
                outcome = future.result()
            yield symptom, outcome
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for symptom in wanted:
            _remove(environment_name(prefix, symptom))
        raise
    finally:
        pool.shutdown()


def _remove(name: str) -> None:
    from envctl.config import Config
    from envctl.providers.lab import Lab

    Lab(Config.model_validate({"name": name})).destroy()


@contextlib.contextmanager
def _waiting(symptom: Symptom) -> Iterator[None]:
    console = err()
    if not console.is_terminal:
        yield
        return
    with console.status(f"{symptom.id}: {symptom.title}"):
        yield
