"""tcpdump on several interfaces of a machine at once, as text: what a person would have run side by side."""

from __future__ import annotations

import contextlib
import select
import time
from collections.abc import Iterable, Iterator, Sequence

from envctl.node import Node
from envctl.scenarios.story import Shown
from envctl.tcpdump import Dump

LIMIT_S = 3.0
"""How long interfaces that are never silent are read at the end; longer where the node is far."""


class Tap:
    """What tcpdump prints of one interface, from the moment that it listens until :meth:`stop`."""

    def __init__(self, node: Node, device: str, expression: str) -> None:
        self.node, self.device, self._part = node, device, b""
        self.words = ["tcpdump", "-n", "-t", "-i", device, expression]
        self.lines: list[str] = []
        self._dump = Dump(node, [*self.words, "-l", "--immediate-mode"])
        self.out = self._dump.out
        self._dump.wait_until_it_listens()

    def read(self) -> bool:
        """Take what tcpdump has printed meanwhile (waits for something); False at its end."""
        data = self._dump.read()
        self._take(data)
        return bool(data)

    def _take(self, data: bytes) -> None:
        *whole, self._part = (self._part + data).split(b"\n")
        self.lines += [line.decode(errors="replace") for line in whole]

    def stop(self) -> None:
        """The process has ended; what it had seen is in ``lines``."""
        for data in self._dump.end():
            self._take(data)

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
def taps(node: Node, devices: Sequence[str], expression: str) -> Iterator[dict[str, Tap]]:
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
    quiet = max(tap.node.lag_s for tap in listening.values())
    deadline = time.monotonic() + max(LIMIT_S, 3 * quiet)
    while listening and time.monotonic() < deadline:
        ready, _, _ = select.select(list(listening), [], [], quiet)
        if not ready:
            return
        for out in ready:
            if not listening[out].read():
                del listening[out]
