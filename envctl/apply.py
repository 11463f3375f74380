"""Doing a plan: each step timed and reported, and on failure everything that was done taken back, newest
first.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from envctl.errors import EnvctlError, RollbackError, StepError, VerificationError
from envctl.plan import Step

TAKEN_BACK = "What had been done was taken back; envctl up --keep leaves it, to look at."


class Outcome(StrEnum):
    """What became of a step."""

    DONE = "done"
    ALREADY = "already"
    FAILED = "failed"
    UNDONE = "undone"
    NOT_UNDONE = "not undone"


@dataclass(frozen=True, slots=True)
class Result:
    """One step's outcome: how long it took in seconds and what is true now."""

    step: str
    title: str
    outcome: Outcome
    seconds: float
    detail: str


class Observer(Protocol):
    """Who is told while a plan is being done."""

    def started(self, number: int, total: int, step: Step, *, undoing: bool = False) -> None: ...

    def note(self, text: str) -> None: ...

    def finished(self, number: int, total: int, result: Result) -> None: ...


def execute(plan: Sequence[Step], observer: Observer, *, keep: bool = False) -> list[Result]:
    """Do what is not done yet.

    Raises :class:`StepError` after everything was taken back (``keep``: after nothing was),
    :class:`RollbackError` when taking back failed somewhere, and :class:`VerificationError`, which takes
    nothing back: what is there is what one wants to look at.
    """
    results: list[Result] = []
    total = len(plan)
    for number, step in enumerate(plan, 1):
        observer.started(number, total, step)
        start = time.monotonic()
        try:
            why = step.is_done()
            detail = why or step.run(observer.note)
            outcome = Outcome.ALREADY if why or not step.changed else Outcome.DONE
        except BaseException as error:
            result = Result(
                step.name, step.title, Outcome.FAILED, time.monotonic() - start, _first_line(error)
            )
            observer.finished(number, total, result)
            if isinstance(error, VerificationError) or keep:
                raise
            _take_back(plan[:number], total, observer, error)
        result = Result(step.name, step.title, outcome, time.monotonic() - start, detail)
        observer.finished(number, total, result)
        results.append(result)
    return results


def _take_back(done: Sequence[Step], total: int, observer: Observer, reason: BaseException) -> None:
    """Undo newest first, past failures; always raises."""
    failures: list[str] = []
    for number, step in reversed(list(enumerate(done, 1))):
        observer.started(number, total, step, undoing=True)
        start = time.monotonic()
        try:
            detail, outcome = step.undo(observer.note), Outcome.UNDONE
        except EnvctlError as error:
            failures.append(f"{step.name}: {error}")
            detail, outcome = _first_line(error), Outcome.NOT_UNDONE
        if detail:
            seconds = time.monotonic() - start
            observer.finished(number, total, Result(step.name, step.title, outcome, seconds, detail))
    failed = done[-1]
    if failures:
        raise RollbackError(
            f"{failed.name} failed, and not everything could be taken back",
            cause="\n".join([_words(reason), *failures]),
            hint="envctl down removes the whole environment; envctl logs has the details.",
        ) from reason
    if not isinstance(reason, EnvctlError):
        raise reason
    raise StepError(
        f"{failed.name} failed: {reason.what}",
        cause=reason.cause,
        hint="\n".join(filter(None, (reason.hint, TAKEN_BACK))),
    ) from reason


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__


def _first_line(error: BaseException) -> str:
    return error.what if isinstance(error, EnvctlError) else _words(error).split("\n")[0]
