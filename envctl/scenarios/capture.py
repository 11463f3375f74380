"""tcpdump on several interfaces of a machine at once, as text: what a person would have run side by side."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence

from envctl.errors import EnvctlError
from envctl.node import NamespaceNode
from envctl.scenarios.story import Shown

QUIET_S = 0.15
"""How long all interfaces must be silent before what was seen is taken for complete."""
LIMIT_S = 3.0


class Tap:
    """One tcpdump on one interface, from the moment that it listens until :meth:`stop`."""

    def __init__(self, node: NamespaceNode, device: str, expression: str) -> None:
        self.node, self.device, self._part = node, device, b""
        self.words = ["tcpdump", "-n", "-t", "-i", device, expression]
        self.lines: list[str] = []
        self._process = subprocess.Popen(
            node.enter(*self.words, "-l", "--immediate-mode"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, process_group=0,
        )  # fmt: skip
        assert self._process.stdout is not None and self._process.stderr is not None
        self.out, errors = self._process.stdout.fileno(), self._process.stderr
        said = b""
        while b"listening on" not in said:
            line = errors.readline()
            said += line
            if not line:
                self.stop()
                raise EnvctlError(
                    f"{node.name}: tcpdump on {device} ended at once",
                    cause=said.decode(errors="replace").strip(),
                )

    def read(self) -> bool:
        """Take what tcpdump has printed meanwhile (waits for something); False at its end."""
        data = os.read(self.out, 65536)
        *whole, self._part = (self._part + data).split(b"\n")
        self.lines += [line.decode(errors="replace") for line in whole]
        return bool(data)

    def stop(self) -> None:
        """The process has ended; what it had seen is in ``lines``."""
        if self._process.poll() is None:
            # nsenter -p is the parent of tcpdump: the signal is for both.
            os.killpg(self._process.pid, signal.SIGTERM)
            while self.read():
                pass
        self._process.wait()
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()

    def wait_for(self, word: str, within: float) -> bool:
        """Whether a frame whose line has ``word`` comes by within that many seconds."""
        deadline = time.monotonic() + within
        while not any(word in line for line in self.lines):
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.out], [], [], left)[0] or not self.read():
                return False
        return True

    def shown(self, limit: int = 5) -> Shown:
        """The capture as a person sees it; a long one is shortened at its end."""
        lines = [line for line in self.lines if line.strip()]
        if len(lines) > limit:
            lines = [*lines[: limit - 1], f"… {len(lines) - limit + 1} more"]
        typed = " ".join(f"'{word}'" if " " in word else word for word in self.words)
        return Shown(self.node.name, typed, "\n".join(lines) or "(nothing)")

    def count(self, *words: str) -> int:
        """How many frames have all of these words in their line."""
        return sum(all(word in line for word in words) for line in self.lines)


@contextlib.contextmanager
def taps(node: NamespaceNode, devices: Sequence[str], expression: str) -> Iterator[dict[str, Tap]]:
    """Captures on these interfaces, by name; at the end they have seen what was on its way, and stop."""
    made: dict[str, Tap] = {}
    try:
        for device in devices:
            made[device] = Tap(node, device, expression)
        yield made
        _drain(made.values())
    finally:
        for tap in made.values():
            tap.stop()


def _drain(made: Iterable[Tap]) -> None:
    """Read until all interfaces have been silent for a moment."""
    listening = {tap.out: tap for tap in made}
    deadline = time.monotonic() + LIMIT_S
    while listening and time.monotonic() < deadline:
        ready, _, _ = select.select(list(listening), [], [], QUIET_S)
        if not ready:
            return
        for out in ready:
            if not listening[out].read():
                del listening[out]
