"""What a symptom is made of: beats, in order, each with what was seen on a machine and the facts that it proves.

Nothing here runs a command. A play yields beats while it happens, so that whoever shows them can wait between
two.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from envctl.errors import EnvctlError

if TYPE_CHECKING:
    from envctl.scenarios.stage import Stage

Kind = Literal["make", "see", "proof", "brdhcp"]
"""``make``: something was done · ``see``: what one sees · ``proof``: asserted · ``brdhcp``: the same, done right"""


class NoLongerHappensError(EnvctlError):
    """A symptom did not show: a kernel or a peer has changed. Says so in those words."""

    exit_code = 3

    def __init__(self, symptom: str, expected: str, seen: str) -> None:
        super().__init__(
            f"the symptom {symptom} no longer happens: {expected}",
            cause=f"seen instead: {seen}",
            hint="A kernel, a tool or a server behaves otherwise than when this was written; the story must change.",
        )


class NotBetterError(EnvctlError):
    """The same situation with brdhcp did not end well."""

    exit_code = 3

    def __init__(self, symptom: str, expected: str, seen: str) -> None:
        super().__init__(f"{symptom} with brdhcp: {expected}", cause=f"seen instead: {seen}")


@dataclass(frozen=True, slots=True)
class Shown:
    """What was typed on a machine, and what it printed. ``command`` may be a caption (``# …``)."""

    where: str
    command: str
    output: str


@dataclass(frozen=True, slots=True)
class Beat:
    """One step of a story. ``shown`` is always printed, ``packets`` with ``--explain``, and so is ``why``."""

    kind: Kind
    text: str
    shown: tuple[Shown, ...] = ()
    packets: tuple[Shown, ...] = ()
    why: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


Play = Callable[["Stage"], Iterator[Beat]]


@dataclass(frozen=True, slots=True)
class Symptom:
    """One row of the table: what the note saw, and the play that makes it happen again."""

    id: str
    title: str
    note: str
    play: Play


@dataclass(frozen=True, slots=True)
class Outcome:
    """A symptom that was played, to its end or to an ``error``. ``facts`` are all beats' facts together."""

    id: str
    title: str
    seconds: float
    beats: tuple[Beat, ...]
    error: EnvctlError | None = None

    @property
    def facts(self) -> dict[str, Any]:
        return {key: value for beat in self.beats for key, value in beat.facts.items()}

    def as_data(self) -> dict[str, Any]:
        """Plain data for JSON and YAML: the proof, every step of the way, and what went wrong (None if nothing)."""
        return {
            "symptom": self.id,
            "title": self.title,
            "happens": any(beat.kind == "proof" for beat in self.beats),
            "error": None if self.error is None else self.error.as_json(),
            "seconds": round(self.seconds, 3),
            "facts": self.facts,
            "steps": [dataclasses.asdict(beat) for beat in self.beats],
        }
