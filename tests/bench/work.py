"""The work that every contender does, and what it took."""

from __future__ import annotations

import contextlib
import json
import statistics
from dataclasses import dataclass, field
from typing import Any

from tests.bench.contenders import Contender
from tests.bench.lab import BenchLab, bench_lab
from tests.lab.lan import until


@dataclass
class Series:
    """Seconds of each call, and of all together; how many failed."""

    seconds: list[float]
    wall: float
    failed: int

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def worst(self) -> float:
        return max(self.seconds)

    def as_json(self) -> dict[str, float]:
        """Milliseconds, and the number of calls."""
        ordered = sorted(self.seconds)
        p99 = ordered[min(len(ordered) - 1, round(0.99 * (len(ordered) - 1)))]
        return {
            "median": round(1000 * self.median, 2),
            "p99": round(1000 * p99, 2),
            "max": round(1000 * self.worst, 2),
            "wall": round(1000 * self.wall, 1),
            "failed": self.failed,
            "n": len(ordered),
        }


@dataclass
class Round:
    """One contender's figures."""

    add: Series
    add_together: Series
    delete: Series
    delete_together: Series
    released: float
    """Share of the leases that the server took back after all DELs."""
    unique: bool
    """No two pods had the same address."""
    extra: dict[str, Any] = field(default_factory=dict)


def play(contender: Contender, one_by_one: int, together: int) -> Round:
    """All of it, on a fresh LAN."""
    with bench_lab() as lab:
        contender.prepare(lab)
        warm_up(lab, contender)
        single = [f"one{number}" for number in range(one_by_one)]
        many = [f"many{number}" for number in range(together)]
        lab.pods(single + many)
        before = lab.taken()
        add = series(contender.call(lab, "ADD", single, together=False))
        add_together_raw = contender.call(lab, "ADD", many, together=True)
        granted = lab.taken() - before
        addresses = _addresses(add_together_raw)
        delete = series(contender.call(lab, "DEL", single, together=False))
        delete_together = series(contender.call(lab, "DEL", many, together=True))
        kept = _settled(lab, before) - before
        return Round(
            add, series(add_together_raw), delete, delete_together,
            released=1 - kept / granted if granted else 0.0, unique=len(set(addresses)) == len(addresses),
        )  # fmt: skip


def warm_up(lab: BenchLab, contender: Contender) -> None:
    """One pod that does not count: pages and caches are warm for everybody."""
    lab.pods(["warm"])
    contender.call(lab, "ADD", ["warm"], together=False)
    contender.call(lab, "DEL", ["warm"], together=False)


def series(answer: dict[str, Any]) -> Series:
    """The driver's answer as figures."""
    answers = answer["answers"]
    return Series(
        [each["seconds"] for each in answers], answer["wall"], sum(each["status"] != 0 for each in answers)
    )


def _addresses(answer: dict[str, Any]) -> list[str]:
    return [
        json.loads(each["stdout"])["ips"][0]["address"] for each in answer["answers"] if not each["status"]
    ]


def _settled(lab: BenchLab, wanted: int) -> int:
    """What the server still holds once it holds no more than ``wanted``, or after a second."""
    with contextlib.suppress(AssertionError):
        until(lambda: lab.taken() <= wanted, within=1.0)
    return lab.taken()
