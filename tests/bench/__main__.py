"""``python -m tests.bench``: every contender in turn, then the table, ``bench.json`` and the plot.

Needs root and, for the first run, the package archive. ``--quick`` does little of everything in a few minutes.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from tests.bench import capacity, contenders, figures, migration, peers, plot, work
from tests.bench.lab import ROOT, bench_lab

PARTS = ("contenders", "floor", "migration", "rest", "warm", "renewals")


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument(
        "--out", type=Path, default=ROOT / "build/bench", help="folder of the results (%(default)s)"
    )
    parser.add_argument("--pods", type=int, default=100, help="one after another (%(default)s)")
    parser.add_argument("--together", type=int, default=110, help="at once (%(default)s)")
    parser.add_argument("--leases", type=int, default=1000, help="for an agent at rest (%(default)s)")
    parser.add_argument("--minutes", type=float, default=10, help="of renewals (%(default)s)")
    parser.add_argument("--only", action="append", choices=PARTS, help="some parts (repeatable)")
    parser.add_argument("--quick", action="store_true", help="20 pods, 40 at once, 200 leases, 2 minutes")
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.pods, chosen.together, chosen.leases, chosen.minutes = 20, 40, 200, 2.0
    return chosen


class Bench:
    """One run."""

    def __init__(self, chosen: argparse.Namespace) -> None:
        self.chosen = chosen
        self.loads: list[float] = []
        self.figures: list[figures.Figure] = []
        self.rounds: dict[str, work.Round] = {}

    def say(self, words: str) -> None:
        """Progress, on stderr."""
        print(f"{time.strftime('%H:%M:%S')} {words}", file=sys.stderr, flush=True)

    def part(self, name: str) -> bool:
        """Whether to do this part."""
        self.loads.append(os.getloadavg()[0])
        return not self.chosen.only or name in self.chosen.only

    def contend(self) -> None:
        """The same work for everybody, in turn."""
        out = self.chosen.out.resolve()
        new, old = peers.newest(out), peers.installed()
        everybody = [
            contenders.brdhcp(), contenders.reference(new), contenders.in_python(),
            contenders.ipam_under("bridge", new, out / "under-bridge"),
            contenders.ipam_under("macvlan", new, out / "under-macvlan"), contenders.reference(old),
        ]  # fmt: skip
        self.rounds = work.play(everybody, self.chosen.pods, self.chosen.together, self.say)
        self.figures += figures.against(self.rounds, "brdhcp", f"reference {new.version}")

    def floor(self) -> None:
        """The floor beside them."""
        with bench_lab() as lab:
            names = [f"floor{number}" for number in range(30)]
            lab.pods(names)
            self.figures += figures.of_floor(lab.order(do="floor", names=names))

    def run(self) -> None:
        """All parts that were asked for."""
        leases = self.chosen.leases
        if self.part("contenders"):
            self.contend()
        if self.part("floor"):
            self.floor()
        if self.part("migration"):
            self.figures += migration.play(8, self.say)
        if self.part("rest"):
            self.say(f"an agent with {leases} leases")
            self.figures += figures.of_rest(capacity.at_rest(leases, 10, self.say), leases)
        if self.part("warm"):
            found, left = capacity.slow_server(8, 8, self.say)
            reached = found.median <= 0.06 and not found.failed and not left
            name, each = "ADD from the pool, slow server, median", {"brdhcp": found.as_json()}
            self.figures.append(figures.Figure(name, 1000 * found.median, "ms", "<= 60", reached, each))
        if self.part("renewals"):
            found_ = capacity.renewals(leases, 120, self.chosen.minutes, self.say)
            self.figures += figures.of_renewals(found_, 120, self.chosen.minutes)


def main() -> int:
    """Exit status 0: it asserts nothing about time."""
    chosen = options()
    chosen.out.mkdir(parents=True, exist_ok=True)
    bench = Bench(chosen)
    bench.run()
    figures.write(chosen.out / "bench.json", bench.figures, bench.loads)
    drawn = plot.draw(bench.rounds, chosen.out) if bench.rounds else []
    print(figures.table(bench.figures, bench.rounds))
    about = figures.machine(bench.loads)
    print(
        f"\n{about['cores']} cores of {about['cpu']}, {about['memory_gb']} GB, kernel {about['kernel']}, "
        f"load {about['load']}"
    )
    print("written: " + ", ".join(str(path) for path in (chosen.out / "bench.json", *drawn)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
