"""``reproduce``: the symptoms of the note, for real."""

from __future__ import annotations

import contextlib
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Annotated

import click
import typer

from envctl.cli.output import Format, emit, err, out, report
from envctl.errors import EnvctlError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console, RenderableType

    from envctl.scenarios.story import Beat, Outcome, Symptom

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
    typer.Option("--name", "-n", metavar="PREFIX", help="Names the labs: PREFIX-1 … PREFIX-7."),
]


def reproduce(
    symptoms: Symptoms = None,
    explain: Annotated[bool, typer.Option("--explain", help="Tell the story, with the packets.")] = False,
    step: Annotated[bool, typer.Option("--step", help="Wait for a key between two steps.")] = False,
    prefix: Prefix = "reproduce",
    output: Annotated[Format, typer.Option("--output", "-o", help="How to write the answer.")] = Format.TABLE,
) -> None:
    """Make the symptoms happen that brdhcp exists for, show why, prove it, then do it right. Exit code 3
    when one no longer happens.
    """
    from envctl.scenarios.table import chosen, environment_name, perform
    from envctl.show import story

    wanted = chosen(symptoms or ())
    _usable(environment_name(prefix, wanted[-1]))
    if step:
        _terminal()
    _needed()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if step:
        for symptom in wanted:
            _step_by_step(symptom, prefix, explain)
    elif len(wanted) == 1 and output is Format.TABLE:
        console = out()
        _print(console, story.heading(wanted[0], console.width))
        outcome = perform(
            wanted[0], prefix, lambda beat: _print(console, story.beat(beat, console.width, explain=explain))
        )
        _print(console, story.ending(outcome))
    elif output is Format.TABLE:
        for symptom, outcome in _side_by_side(wanted, prefix):
            _print(out(), story.story(symptom, outcome, out().width, explain=explain))
    else:
        data = [outcome.as_data() for _symptom, outcome in _side_by_side(wanted, prefix)]
        emit(data, output, lambda _width: "")


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


def _step_by_step(symptom: Symptom, prefix: str, explain: bool) -> None:
    """One symptom with a key between two beats. Raises UsageError without a terminal, and when one wants no
    more.
    """
    from envctl.scenarios.table import perform
    from envctl.show import story

    console = out()
    _print(console, story.heading(symptom, console.width))

    def tell(beat: Beat) -> None:
        _print(console, story.beat(beat, console.width, explain=explain))
        err().print("              any key: go on · Ctrl-C: clean up and end", style="dim", end="\r")
        click.getchar()
        err().print(" " * 60, end="\r")

    _print(console, story.ending(perform(symptom, prefix, tell)), "")


def _terminal() -> None:
    from envctl.errors import UsageError

    if not sys.stdin.isatty():
        raise UsageError("--step waits for a key, and there is no terminal", hint="Leave --step out.")


def _side_by_side(wanted: Sequence[Symptom], prefix: str) -> Iterator[tuple[Symptom, Outcome]]:
    """Each symptom as soon as it and those before it have ended; most of their time is waiting.

    Raises the first error after all have ended; an interruption removes the labs and with them what runs
    there.
    """
    from envctl.scenarios.table import environment_name, perform

    pool = ThreadPoolExecutor(max_workers=AT_ONCE)
    failures: list[EnvctlError] = []
    try:
        running = [pool.submit(perform, symptom, prefix) for symptom in wanted]
        for symptom, future in zip(wanted, running, strict=True):
            try:
                with _waiting(symptom):
                    outcome = future.result()
            except EnvctlError as error:
                failures.append(error)
                report(error, as_json=False)
            else:
                yield symptom, outcome
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for symptom in wanted:
            _remove(environment_name(prefix, symptom))
        raise
    finally:
        pool.shutdown()
    if failures:
        names = f"{len(failures)} of {len(wanted)} symptoms did not go as told"
        raise StoryError(names, cause="\n".join(error.what for error in failures))


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
