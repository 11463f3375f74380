"""``envctl reproduce --step`` in a terminal, with a person at the keys."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from envctl.scenarios.table import SYMPTOMS, environment_name
from tests.lab.envctl_lab.labs import fresh_name, removed_at_the_end, traces
from tests.lab.lan import until

ENVCTL = Path(sys.executable).with_name("envctl")
SYMPTOM = SYMPTOMS[1]
PROMPT = "any key: go on"
LABELS = re.compile(r"^  (do|see|✓ proved|brdhcp) ", re.M)
WITHIN_S = 60.0


class Terminal:
    """A command with a terminal of its own."""

    def __init__(self, *words: str) -> None:
        ours, theirs = pty.openpty()
        self.end, self.seen = ours, ""
        self.process = subprocess.Popen(
            [ENVCTL, *words], stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
            env={**os.environ, "TERM": "dumb", "COLUMNS": "120"},
        )  # fmt: skip
        os.close(theirs)

    def read_until(self, count: int) -> bool:
        """Whether the prompt has come for that many times; False when the command has ended first."""
        deadline = time.monotonic() + WITHIN_S
        while self.seen.count(PROMPT) < count:
            assert select.select([self.end], [], [], deadline - time.monotonic())[0], self.seen
            try:
                data = os.read(self.end, 65536)
            except OSError:  # the other end is closed
                return False
            self.seen += data.decode(errors="replace").replace("\r\n", "\n").replace("\r", "\n")
        return True

    def waits_for_a_key(self) -> bool:
        """Whether the command is in read(2) on its standard input."""
        call = Path(f"/proc/{self.process.pid}/syscall").read_text().split()
        return call[:2] == ["0", "0x0"]

    def press(self, key: bytes) -> None:
        until(self.waits_for_a_key, within=WITHIN_S, what="the command waits for a key")
        os.write(self.end, key)


@contextlib.contextmanager
def stepping() -> Iterator[tuple[Terminal, str]]:
    """The command in a terminal, and the name of its lab."""
    prefix = fresh_name()
    name = environment_name(prefix, SYMPTOM)
    with removed_at_the_end(name):
        terminal = Terminal("reproduce", SYMPTOM.id, "--step", "--name", prefix)
        try:
            yield terminal, name
        finally:
            if terminal.process.poll() is None:
                terminal.process.kill()
            terminal.process.wait()
            os.close(terminal.end)


def test_each_step_is_told_and_the_next_one_waits_for_a_key() -> None:
    with stepping() as (terminal, name):
        steps = 0
        while terminal.read_until(steps + 1):
            steps += 1
            assert len(LABELS.findall(terminal.seen)) == steps, terminal.seen
            assert traces(name), "the lab is there to be looked at meanwhile"
            terminal.press(b" ")
        assert steps == 4, terminal.seen
        assert "cleaned up" in terminal.seen
        assert terminal.process.wait(WITHIN_S) == 0
        assert traces(name) == []


def test_ctrl_c_between_two_steps_cleans_up_and_ends() -> None:
    with stepping() as (terminal, name):
        assert terminal.read_until(1)
        terminal.press(b"\x03")
        assert not terminal.read_until(2), terminal.seen
        assert terminal.process.wait(WITHIN_S) == 130
        assert traces(name) == []
