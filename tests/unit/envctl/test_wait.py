"""Waiting: until something is true, until it is too late, or until it can never be."""

from __future__ import annotations

import pytest

from envctl.errors import EnvctlError
from envctl.wait import until


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now, self.looks = 1000.0, list[float]()

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def look(self) -> None:
        """A condition that is never true; notes when it was asked."""
        self.looks.append(self.now - 1000)


def late() -> EnvctlError:
    return EnvctlError("the door is still shut", hint="knock")


def test_the_first_true_answer_is_what_was_waited_for() -> None:
    answers = iter(["", None, "open", "shut"])
    assert until(lambda: next(answers), within=60, otherwise=late, pause=0) == "open"
    assert next(answers) == "shut"


def test_what_is_true_already_takes_no_time() -> None:
    assert until(lambda: True, within=0, otherwise=late, sleep=lambda _: pytest.fail("slept"))


def test_after_the_time_it_is_looked_at_once_more_and_then_the_error_is_raised() -> None:
    clock = Clock()
    with pytest.raises(EnvctlError, match="still shut") as caught:
        until(clock.look, within=1, otherwise=late, pause=0.4, clock=lambda: clock.now, sleep=clock.sleep)
    assert caught.value.hint == "knock"
    assert clock.looks == pytest.approx([0, 0.4, 0.8, 1.2])


def test_what_can_never_come_true_is_not_waited_for() -> None:
    clock = Clock()
    with pytest.raises(EnvctlError, match="still shut"):
        until(
            clock.look, within=60, otherwise=late, unless=lambda: len(clock.looks) == 2,
            clock=lambda: clock.now, sleep=clock.sleep,
        )  # fmt: skip
    assert len(clock.looks) == 2


def test_what_is_true_counts_even_when_nothing_more_will_come() -> None:
    assert until(lambda: "open", within=60, otherwise=late, unless=lambda: True) == "open"


def test_an_error_of_the_condition_itself_is_not_waited_out() -> None:
    def broken() -> str:
        raise OSError("no such door")

    with pytest.raises(OSError, match="no such door"):
        until(broken, within=60, otherwise=late)
