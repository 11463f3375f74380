"""The work that every contender does, and what it took."""

from __future__ import annotations

import contextlib
import json
import statistics
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from tests.bench.contenders import Contender
from tests.bench.lab import BenchLab, bench_lab
from tests.lab.lan import until


@dataclass
class Series:
    """Seconds of each call, and of all together; how many failed."""

    seconds: list[float] = field(default_factory=list)
    wall: float = 0.0
    failed: int = 0
    said: list[str] = field(default_factory=list)
    """What those that failed printed."""

    def extend(self, answer: dict[str, Any]) -> None:
        """Add what the driver answered."""
        self.seconds += [each["seconds"] for each in answer["answers"]]
        self.wall += answer["wall"]
        self.said += [each["stdout"] for each in answer["answers"] if each["status"]]
        self.failed = len(self.said)

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


CHUNK = 10
"""Pods that one contender gets before it is the next one's turn."""


@dataclass
class Player:
    """One contender on a LAN of its own, and what it has done so far."""

    contender: Contender
    lab: BenchLab
    add: Series = field(default_factory=Series)
    add_together: Series = field(default_factory=Series)
    delete: Series = field(default_factory=Series)
    delete_together: Series = field(default_factory=Series)
    before: int = 0
    unique: bool = True

    def prepare(self, names: list[str]) -> None:
        """Its daemons run, its pods' namespaces exist, and one pod that does not count has come and gone."""
        self.contender.prepare(self.lab)
        warm_up(self.lab, self.contender)
        self.lab.pods(names)
        self.before = self.lab.taken()

    def call(self, verb: str, names: list[str], *, together: bool = False) -> None:
        answer = self.contender.call(self.lab, verb, names, together=together)
        parts = {
            ("ADD", False): self.add, ("ADD", True): self.add_together, ("DEL", False): self.delete,
            ("DEL", True): self.delete_together,
        }  # fmt: skip
        parts[verb, together].extend(answer)
        if verb == "ADD" and together:
            addresses = _addresses(answer)
            self.unique = len(set(addresses)) == len(addresses)

    def outcome(self, granted: int) -> Round:
        kept = _settled(self.lab, self.before) - self.before
        return Round(
            self.add, self.add_together, self.delete, self.delete_together,
            released=1 - kept / granted if granted else 0.0, unique=self.unique,
        )  # fmt: skip


def play(
    contenders: Iterable[Contender], one_by_one: int, together: int, say: Callable[[str], None]
) -> dict[str, Round]:
    """All of it for all of them, in turns: what else the machine does meanwhile falls on everybody alike."""
    single = [f"one{number}" for number in range(one_by_one)]
    many = [f"many{number}" for number in range(together)]
    chunks = [single[start : start + CHUNK] for start in range(0, len(single), CHUNK)]
    with ExitStack() as stack:
        players = [Player(each, stack.enter_context(bench_lab())) for each in contenders]
        for player in players:
            player.prepare(single + many)
        for verb in ("ADD", "DEL"):
            say(f"{verb}: {one_by_one} pods one by one, in turns")
            for chunk in chunks:
                for player in players:
                    player.call(verb, chunk)
            for player in players:
                say(f"{verb}: {together} at once, {player.contender.name}")
                player.call(verb, many, together=True)
        granted = one_by_one + together
        return {player.contender.name: player.outcome(granted) for player in players}


def warm_up(lab: BenchLab, contender: Contender) -> None:
    """One pod that does not count: pages and caches are warm for everybody."""
    lab.pods(["warm"])
    contender.call(lab, "ADD", ["warm"], together=False)
    contender.call(lab, "DEL", ["warm"], together=False)


def series(answer: dict[str, Any]) -> Series:
    """The driver's answer as figures."""
    found = Series()
    found.extend(answer)
    return found


def _addresses(answer: dict[str, Any]) -> list[str]:
    return [
        json.loads(each["stdout"])["ips"][0]["address"] for each in answer["answers"] if not each["status"]
    ]


def _settled(lab: BenchLab, wanted: int) -> int:
    """What the server still holds once it holds no more than ``wanted``, or after a second."""
    with contextlib.suppress(AssertionError):
        until(lambda: lab.taken() <= wanted, within=1.0)
    return lab.taken()
