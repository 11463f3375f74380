"""What will be done: a plan is a tuple of steps in order, and looking at it changes nothing.

A step is an object that knows three things: whether it is done already, how to do it, and how to take back
what *it* did. That makes ``up`` converge (a step that is done is passed over) and makes a failed ``up``
leave what it found.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

Note = Callable[[str], None]
"""Told what a running step is doing now: half a sentence, shown beside the step until the next one."""


class Step(ABC):
    """One numbered line of ``envctl up``."""

    name: str
    """One word, the same in every output."""

    title: str
    """What it will do, as one line."""

    changed: bool = True
    """Whether ``run`` changed anything; a step that only finds out while running says no by this."""

    @abstractmethod
    def is_done(self) -> str:
        """Why there is nothing to do, in a few words; ``""`` when there is."""

    @abstractmethod
    def run(self, note: Note) -> str:
        """Do it, wait until it is true, and say in one line what is true now. Raises EnvctlError."""

    def undo(self, note: Note) -> str:
        """Take back what ``run`` did in this object's life, and say so; ``""`` when there was nothing to
        take back.

        Called after ``run`` failed half way too, and twice without harm. Raises EnvctlError.
        """
        return ""

    def describe(self) -> dict[str, Any]:
        """``{"step": name, "title": title, "done": why or ""}``"""
        return {"step": self.name, "title": self.title, "done": self.is_done()}


Plan = Sequence[Step]
