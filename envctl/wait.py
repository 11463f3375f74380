"""Waiting for what comes true by itself: looked at again and again, and given up with an error that says what."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Answer = TypeVar("Answer")


def until(
    condition: Callable[[], Answer | None],
    *,
    within: float,
    otherwise: Callable[[], Exception],
    unless: Callable[[], object] = lambda: False,
    pause: float = 0.02,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Answer:
    """The first true answer of ``condition``, asked every ``pause`` seconds and once more after ``within`` seconds.

    Raises what ``otherwise`` makes when there was none, and as soon as ``unless`` is true: then none will come.
    """
    deadline = clock() + within
    while not (answer := condition()):
        if clock() > deadline or unless():
            raise otherwise()
        sleep(pause)
    return answer
