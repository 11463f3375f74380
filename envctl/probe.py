"""Is a machine there all the time? Pings in quick succession from the workstation while something is being
done.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass

from envctl.errors import EnvctlError
from envctl.node import Node

INTERVAL_S = 0.002
ON_THEIR_WAY_S = 0.1
FIRST_S = 3.0
"""How long the first answer may take: the first ping waits for ARP."""


@dataclass(slots=True)
class Watch:
    """What the pings saw; complete when the ``with`` of :func:`watching` has ended. Gaps are in seconds."""

    address: str
    interval_s: float
    sent: int = 0
    answered: int = 0
    longest_gap_s: float = 0.0

    @property
    def lost(self) -> int:
        return self.sent - self.answered

    def __str__(self) -> str:
        gap = f"longest time without an answer {self.longest_gap_s * 1000:.0f} ms"
        return f"{self.lost} of {self.sent} pings lost, one every {self.interval_s * 1000:g} ms; {gap}"


@contextlib.contextmanager
def watching(host: Node, address: str, interval_s: float = INTERVAL_S) -> Iterator[Watch]:
    """Ping ``address`` from ``host`` until the end of the ``with``; starts after the first answer.

    Raises EnvctlError when nothing answers at the start.
    """
    watch = Watch(address, interval_s)
    argv = host.argv(f"exec ping -n -D -O -i {interval_s:g} %s", address)
    process = subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        process_group=0,
    )
    assert process.stdout is not None
    head: list[str] = []
    deadline = time.monotonic() + FIRST_S
    try:
        while not head or (head[-1] and "bytes from" not in head[-1] and time.monotonic() < deadline):
            head.append(process.stdout.readline())
        if "bytes from" not in head[-1]:
            raise EnvctlError(f"{address} does not answer {host.name}", cause="".join(head).strip())
        yield watch
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)  # nsenter is the parent of ping: it is for both
        output = "".join(head) + process.communicate(timeout=10)[0]
    _read(watch, output)


def _read(watch: Watch, output: str) -> None:
    """What ping printed, as figures. Counted from the first answer, before which nothing was watched; the last
    requests may still be on their way when ping is told to stop.
    """
    answers = re.findall(r"^\[([\d.]+)\] \d+ bytes from .*icmp_seq=(\d+)", output, re.M)
    totals = re.search(r"(\d+) packets transmitted", output)
    if totals is None or not answers:
        raise EnvctlError("ping did not say what it saw", cause=output[-500:])
    seen = {int(seq) for _, seq in answers}
    sent, first, last = int(totals[1]), min(seen), max(seen)
    end = last if (sent - last) * watch.interval_s <= ON_THEIR_WAY_S else sent
    watch.sent, watch.answered = end - first + 1, len(seen)
    times = sorted(float(at) for at, _ in answers)
    watch.longest_gap_s = max((later - earlier for earlier, later in itertools.pairwise(times)), default=0.0)
