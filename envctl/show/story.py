"""A symptom on the screen: a few calm lines, or with the packets and the reasons beside them."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from rich.text import Text

from envctl.show.words import DONE, FAILED, duration

if TYPE_CHECKING:
    from envctl.scenarios.story import Beat, Outcome, Shown, Symptom

LABELS = {
    "make": ("do", "bold"),
    "see": ("see", "bold yellow"),
    "proof": (DONE + " proved", "bold green"),
    "brdhcp": ("brdhcp", "bold cyan"),
}
COLUMN = 16
"""Where the words begin, after the label."""
READABLE = 90
"""Columns of running text: what is comfortable to read."""


def heading(symptom: Symptom, width: int) -> Text:
    """The row's name, its title, and what the note saw."""
    title = Text.assemble((symptom.id, "bold"), "  ", symptom.title)
    return Text("\n").join([title, _row("the note", "dim", symptom.note, width, "dim")])


def beat(told: Beat, width: int, *, explain: bool) -> Text:
    """One beat; with ``explain`` the packets and the reason too."""
    label, style = LABELS[told.kind]
    lines = [_row(label, style, told.text, width)]
    for shown in (*told.shown, *(told.packets if explain else ())):
        lines += _terminal(shown)
    if explain and told.why:
        lines.append(_row("", "", told.why, width, "italic"))
    return Text("\n").join(lines)


def story(symptom: Symptom, outcome: Outcome, width: int, *, explain: bool) -> Text:
    """A whole symptom."""
    beats = [beat(told, width, explain=explain) for told in outcome.beats]
    return Text("\n").join([heading(symptom, width), *beats, ending(outcome), Text("")])


def ending(outcome: Outcome) -> Text:
    """How it went wrong, if it did; that it is over."""
    took = duration(outcome.seconds)
    if outcome.error is None:
        return Text(f"{'':{COLUMN}}cleaned up; {took}", "dim")
    return Text.assemble(
        (f"  {FAILED} failed".ljust(COLUMN), "bold red"), f"{outcome.error.what}; after {took}"
    )


def _row(label: str, label_style: str, words: str, width: int, style: str = "") -> Text:
    """A label and words beside it, wrapped under each other."""
    room = max(min(width, READABLE + COLUMN) - COLUMN, 30)
    wrapped = textwrap.wrap(words, room, break_long_words=False, break_on_hyphens=False)
    head = Text.assemble((f"  {label}".ljust(COLUMN), label_style))
    indented = f"\n{'':{COLUMN}}".join(wrapped)
    return head.append(indented, style)


def _terminal(shown: Shown) -> list[Text]:
    """What was typed and printed, as wide as it was: it is there to be read and copied."""
    typed = Text.assemble(" " * COLUMN, (f"{shown.where}# ", "dim"), (shown.command, "cyan"))
    return [typed, *(Text(f"{'':{COLUMN}}  {line.rstrip()}") for line in shown.output.splitlines())]
