"""The steps of a plan while it is being done, on standard error: a live line in a terminal, plain lines
elsewhere.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from envctl.apply import Outcome, Result
from envctl.plan import Step
from envctl.show.words import ALREADY, DONE, FAILED, UNDONE, duration

if TYPE_CHECKING:
    from rich.live import Live

NAME_WIDTH = 9
TIME_WIDTH = 11
MARKS = {
    Outcome.DONE: (DONE, "green"),
    Outcome.ALREADY: (ALREADY, "cyan"),
    Outcome.FAILED: (FAILED, "bold red"),
    Outcome.UNDONE: (UNDONE, "yellow"),
    Outcome.NOT_UNDONE: (FAILED, "bold red"),
}


class Plain:
    """One line per finished step; nothing moves. For logs and pipes."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def started(self, number: int, total: int, step: Step, *, undoing: bool = False) -> None:
        """Nothing: a line is written when there is something to say."""

    def note(self, text: str) -> None:
        """Nothing."""

    def finished(self, number: int, total: int, result: Result) -> None:
        outcome = f"{result.outcome} in {duration(result.seconds)}"
        words = f"[{number}/{total}] {result.step}: {outcome}: {result.detail}"
        self.console.print(Text(words), soft_wrap=True)

    def close(self) -> None:
        """Nothing to put away."""


class Lively:
    """The running step with its elapsed time and what it is doing; finished steps stay above."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._live: Live | None = None
        self._running: tuple[int, int, str, float] | None = None
        self._note = ""

    def started(self, number: int, total: int, step: Step, *, undoing: bool = False) -> None:
        self._running = (number, total, step.name, time.monotonic())
        self._note = ("taking back: " if undoing else "") + step.title
        if self._live is None:
            from rich.live import Live

            self._live = Live(
                console=self.console, get_renderable=self._line, transient=True, refresh_per_second=12
            )
            self._live.start()
        self._live.refresh()

    def note(self, text: str) -> None:
        self._note = text

    def finished(self, number: int, total: int, result: Result) -> None:
        self._running = None
        mark, style = MARKS[result.outcome]
        line = self._columns(
            number, total, result.step, (mark, style), result.detail, duration(result.seconds)
        )
        self.console.print(line)

    def close(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _line(self) -> Text:
        if self._running is None:
            return Text("")
        number, total, name, start = self._running
        spin = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"[int(time.monotonic() * 12) % 10]
        elapsed = f"{time.monotonic() - start:.1f} s"
        return self._columns(number, total, name, (spin, "blue"), self._note, elapsed)

    def _columns(
        self, number: int, total: int, name: str, mark: tuple[str, str], detail: str, took: str
    ) -> Text:
        head = Text.assemble((f" {number}/{total} ", "dim"), (f"{name:<{NAME_WIDTH}}", "bold"), mark, " ")
        room = self.console.width - head.cell_len - TIME_WIDTH
        words = Text(detail)
        words.truncate(max(room, 10), overflow="ellipsis", pad=True)
        return head.append_text(words).append(f"{took:>{TIME_WIDTH}}", "dim")


class Lines:
    """Events as JSON, one per line: ``started``, ``note``, ``finished``. For programs that watch."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._step = ""

    def started(self, number: int, total: int, step: Step, *, undoing: bool = False) -> None:
        self._step = step.name
        self._write("started", number=number, total=total, title=step.title, undoing=undoing)

    def note(self, text: str) -> None:
        self._write("note", text=text)

    def finished(self, number: int, total: int, result: Result) -> None:
        seconds = round(result.seconds, 3)
        self._write("finished", outcome=result.outcome, seconds=seconds, detail=result.detail)

    def close(self) -> None:
        """Nothing to put away."""

    def _write(self, event: str, **more: object) -> None:
        line = json.dumps({"event": event, "step": self._step, **more}, ensure_ascii=False)
        self.console.print(Text(line), soft_wrap=True)


def observer(console: Console, kind: str = "auto") -> Plain | Lively | Lines:
    """``plain``, ``json``, or ``auto``: what suits where standard error goes."""
    if kind == "json":
        return Lines(console)
    if kind == "plain" or not console.is_terminal or console.is_dumb_terminal:
        return Plain(console)
    return Lively(console)
