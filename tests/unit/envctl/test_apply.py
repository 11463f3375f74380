"""Doing a plan: it converges, it tells, and it takes back."""

from __future__ import annotations

import pytest

from envctl.apply import Outcome, Result, execute
from envctl.errors import EnvctlError, RollbackError, StepError, VerificationError
from envctl.plan import Note, Step


class Recorded(Step):
    """A step that writes down what is asked of it."""

    def __init__(
        self,
        name: str,
        log: list[str],
        *,
        done: bool = False,
        fails: BaseException | None = None,
        stays: bool = False,
    ) -> None:
        self.name, self.title, self.log = name, f"do {name}", log
        self.done, self.fails, self.stays = done, fails, stays

    def is_done(self) -> str:
        return "it is there" if self.done else ""

    def run(self, note: Note) -> str:
        self.log.append(f"run {self.name}")
        note("half way")
        if self.fails is not None:
            raise self.fails
        self.done = True
        return "made"

    def undo(self, note: Note) -> str:
        self.log.append(f"undo {self.name}")
        if self.stays:
            raise EnvctlError(f"{self.name} will not go")
        return "gone"


class Told:
    """An observer that remembers."""

    def __init__(self) -> None:
        self.results: list[Result] = []
        self.notes: list[str] = []

    def started(self, number: int, total: int, step: Step, *, undoing: bool = False) -> None:
        assert 1 <= number <= total

    def note(self, text: str) -> None:
        self.notes.append(text)

    def finished(self, number: int, total: int, result: Result) -> None:
        self.results.append(result)


def test_steps_are_done_in_order_and_reported() -> None:
    log: list[str] = []
    told = Told()
    results = execute([Recorded("a", log), Recorded("b", log)], told)
    assert log == ["run a", "run b"]
    assert [(result.step, result.outcome, result.detail) for result in results] == [
        ("a", Outcome.DONE, "made"),
        ("b", Outcome.DONE, "made"),
    ]
    assert told.results == results
    assert told.notes == ["half way", "half way"]


def test_doing_a_plan_twice_is_doing_it_once() -> None:
    log: list[str] = []
    plan = [Recorded("a", log), Recorded("b", log)]
    execute(plan, Told())
    again = execute(plan, Told())
    assert log == ["run a", "run b"]
    assert {result.outcome for result in again} == {Outcome.ALREADY}


def test_a_failure_takes_everything_back_newest_first_the_failed_step_too() -> None:
    log: list[str] = []
    broken = EnvctlError("no", cause="because", hint="try this")
    with pytest.raises(StepError, match="c failed: no") as caught:
        execute(
            [Recorded("a", log), Recorded("b", log), Recorded("c", log, fails=broken), Recorded("d", log)],
            Told(),
        )
    assert log == ["run a", "run b", "run c", "undo c", "undo b", "undo a"]
    assert (caught.value.cause, caught.value.exit_code) == ("because", 1)
    assert caught.value.hint.splitlines()[0] == "try this"
    assert "taken back" in caught.value.hint


def test_keep_leaves_the_wreck() -> None:
    log: list[str] = []
    with pytest.raises(EnvctlError, match="no"):
        execute([Recorded("a", log), Recorded("b", log, fails=EnvctlError("no"))], Told(), keep=True)
    assert log == ["run a", "run b"]


def test_taking_back_goes_on_past_a_failure_and_reports_both() -> None:
    log: list[str] = []
    steps = [Recorded("a", log), Recorded("b", log, stays=True), Recorded("c", log, fails=EnvctlError("no"))]
    with pytest.raises(RollbackError) as caught:
        execute(steps, Told())
    assert log[-3:] == ["undo c", "undo b", "undo a"]
    assert "no" in caught.value.cause and "b will not go" in caught.value.cause
    assert caught.value.exit_code == 4


def test_a_failed_verification_takes_nothing_back() -> None:
    log: list[str] = []
    with pytest.raises(VerificationError) as caught:
        execute(
            [Recorded("a", log), Recorded("v", log, fails=VerificationError("two checks failed"))], Told()
        )
    assert log == ["run a", "run v"]
    assert caught.value.exit_code == 3


def test_an_interruption_takes_everything_back_and_stays_an_interruption() -> None:
    log: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        execute([Recorded("a", log), Recorded("b", log, fails=KeyboardInterrupt())], Told())
    assert log[-2:] == ["undo b", "undo a"]
