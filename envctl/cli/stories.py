"""``reproduce``: the symptoms of the note, for real."""

from __future__ import annotations

import contextlib
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Annotated

import click
import typer

from envctl.cli.output import Format, emit, err, out, report
from envctl.errors import EnvctlError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from rich.console import Console, RenderableType

    from envctl.providers.base import Provider
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
    output: Annotated[Format, typer.Option("--output", "-o", help="How to write the answer.")] = Format.TABLE,
) -> None:
    """Make the symptoms happen that brdhcp exists for, show why, prove it, then do it right. Exit code 3
    when one no longer happens.
    """
    from envctl.scenarios.table import chosen, environment_name
    from envctl.show import story

    wanted = chosen(symptoms or ())
    _usable(environment_name(prefix, wanted[-1]))
    if step:
        _terminal()
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
        if output is Format.TABLE:
            for symptom, outcome in played:
                _print(out(), story.story(symptom, outcome, out().width, explain=explain))
        else:
            emit([outcome.as_data() for _symptom, outcome in played], output, lambda _width: "")


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


def _terminal() -> None:
    from envctl.errors import UsageError

    if not sys.stdin.isatty():
        raise UsageError("--step waits for a key, and there is no terminal", hint="Leave --step out.")


def _in_turn(wanted: Sequence[Symptom], provider: Provider) -> Iterator[tuple[Symptom, Outcome]]:
    """One after the other on the same machine. Raises StoryError after the last."""
    from envctl.scenarios.table import perform

    yield from _told((symptom, partial(perform, symptom, provider)) for symptom in wanted)


def _side_by_side(wanted: Sequence[Symptom], prefix: str) -> Iterator[tuple[Symptom, Outcome]]:
    """Each symptom as soon as it and those before it have ended; most of their time is waiting.

    Raises StoryError after all have ended; an interruption removes the labs and with them what runs there.
    """
    from envctl.scenarios.table import environment_name, lab_of, perform

    pool = ThreadPoolExecutor(max_workers=AT_ONCE)
    try:
        running = [(symptom, pool.submit(perform, symptom, lab_of(prefix, symptom))) for symptom in wanted]
        yield from _told((symptom, future.result) for symptom, future in running)
    except StoryError:
        raise
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for symptom in wanted:
            _remove(environment_name(prefix, symptom))
        raise
    finally:
        pool.shutdown()


def _told(
    plays: Iterable[tuple[Symptom, Callable[[], Outcome]]],
) -> Iterator[tuple[Symptom, Outcome]]:
    """The outcomes; an error is said at once, and all of them at the end as StoryError."""
    failures: list[EnvctlError] = []
    total = 0
    for symptom, outcome_of in plays:
        total += 1
        try:
            with _waiting(symptom):
                outcome = outcome_of()
        except EnvctlError as error:
            failures.append(error)
            report(error, as_json=False)
        else:
            yield symptom, outcome
    if failures:
        names = f"{len(failures)} of {total} symptoms did not go as told"
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
