"""Figures with their goals, as a table and as JSON."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.bench.work import Round


@dataclass(frozen=True)
class Figure:
    """One line of the table. ``reached`` is None for what is only shown."""

    name: str
    value: float
    unit: str
    goal: str = ""
    reached: bool | None = None
    contenders: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name, "value": round(self.value, 3), "unit": self.unit, "goal": self.goal,
            "reached": self.reached is not False,
            "contenders": dict(self.contenders) or {"brdhcp": _one(self.value)},
        }  # fmt: skip


def machine(loads: list[float]) -> dict[str, Any]:
    """What it was measured on, and how busy that was (the load average at the start of each part)."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = (line.partition(":")[2].strip() for line in lines if "model name" in line)
    cpu = next(models, platform.machine())
    memory = int(Path("/proc/meminfo").read_text().split()[1]) / 1024**2
    return {
        "cpu": cpu, "cores": os.cpu_count(), "memory_gb": round(memory, 1), "kernel": platform.release(),
        "python": platform.python_version(), "load": [round(load, 1) for load in loads],
    }  # fmt: skip


def against(rounds: Mapping[str, Round], ours: str, reference: str) -> list[Figure]:
    """The figures of ``ours`` against ``reference`` from one run."""
    us, them = rounds[ours], rounds[reference]
    everybody = {
        part: {name: getattr(each, part).as_json() for name, each in rounds.items()}
        for part in ("add", "add_together", "delete", "delete_together")
    }
    count = len(us.add_together.seconds)
    released = {name: _one(100 * each.released) for name, each in rounds.items()}
    all_well = us.add_together.failed == 0 and us.unique

    def ratio(name: str, part: str, ours: float, theirs: float, most: float) -> Figure:
        value = ours / theirs if theirs else 0.0
        return Figure(name, value, "x reference", f"<= {most}", value <= most, everybody[part])

    return [
        ratio("ADD one by one, median", "add", us.add.median, them.add.median, 0.6),
        Figure("ADD one by one, worst", 1000 * us.add.worst, "ms", "<= 100", us.add.worst <= 0.1, everybody["add"]),
        Figure(f"{count} ADDs at once, failed", us.add_together.failed, "pods", "0, every address once", all_well),
        ratio(f"{count} ADDs at once, wall", "add_together", us.add_together.wall, them.add_together.wall, 0.15),
        Figure(f"{count} ADDs at once, slowest", us.add_together.worst, "s", "<= 3", us.add_together.worst <= 3,
               everybody["add_together"]),
        ratio("DEL one by one, median", "delete", us.delete.median, them.delete.median, 1.0),
        ratio(f"{count} DELs at once, wall", "delete_together", us.delete_together.wall,
              them.delete_together.wall, 0.5),
        Figure("leases that the server has back after DEL", 100 * us.released, "%", "100", us.released == 1, released),
    ]  # fmt: skip


def of_floor(floor: Mapping[str, float]) -> list[Figure]:
    """The floor, shown beside the others."""
    parts = {name: _one(1000 * value) for name, value in floor.items()}
    works = {
        "ADD": ("veth, one DORA", floor["veth"] + floor["dora"]),
        "DEL": ("veth deleted", floor["veth_delete"]),
    }
    return [
        Figure(
            f"floor of {verb}: bare {start}, {what}", 1000 * (floor[start] + seconds), "ms", contenders=parts
        )
        for verb, (what, seconds) in works.items()
        for start in ("process", "interpreter")
    ]


def _one(value: float) -> dict[str, float]:
    """A figure that was measured once, in the form of those that are distributions."""
    return {"median": round(value, 3), "p99": round(value, 3), "max": round(value, 3), "n": 1}


def of_rest(found: Mapping[str, Any], leases: int) -> list[Figure]:
    """An agent with many leases."""

    def most(name: str, key: str, unit: str, goal: float) -> Figure:
        return Figure(f"{leases} leases: {name}", found[key], unit, f"<= {goal:g}", found[key] <= goal)

    same = found["threads"] <= found["threads_few"]
    kept = found["kept"] >= leases - found["failed"] and not found["discovers_after_restart"]
    return [
        Figure(f"{leases} leases: threads more than with one", found["threads"] - found["threads_few"], "", "0", same),
        most("descriptors per lease at rest", "descriptors_per_lease", "", 1),
        most("memory", "memory_mb", "MB", 100), most("memory per lease", "kb_per_lease", "KB", 40),
        most("idle CPU", "idle_cpu_percent", "% of a core", 1),
        most("killed and started, answers after", "restart_s", "s", 2),
        Figure(f"{leases} leases: kept over it, DHCPDISCOVERs", found["discovers_after_restart"], "",
               "all kept, 0", kept),
    ]  # fmt: skip


def of_renewals(found: Mapping[str, Any], lease_s: int, minutes: float) -> list[Figure]:
    """Short leases for a while."""
    what = f"{found['leases']} leases of {lease_s} s, {minutes:g} min"
    lost = found["leases"] - found["failed"] - found["kept"]
    share = found["peak_per_s_after_restart"] / found["fair_per_s"]
    return [
        Figure(f"{what}: expired", lost, "", "0", lost <= 0),
        Figure(f"{what}: asked for twice", found["discovers"], "", "0", found["discovers"] == 0),
        Figure(f"{what}: busiest second after a restart", share, "x even spread", "<= 5", share <= 5),
    ]


def table(figures: list[Figure], rounds: Mapping[str, Round]) -> str:
    """For people."""
    lines = [
        f"{'contender':28} {'ADD median':>10} {'worst':>8} {'at once':>9} {'DEL median':>10} {'at once':>9}"
        f" {'released':>8}"
    ]
    for name, each in rounds.items():
        lines.append(
            f"{name:28} {1000 * each.add.median:7.1f} ms {each.add.worst:6.2f} s {each.add_together.wall:7.2f} s"
            f" {1000 * each.delete.median:7.1f} ms {each.delete_together.wall:7.2f} s {100 * each.released:6.0f} %"
        )
    lines.append("")
    mark = {True: "reached", False: "NOT REACHED", None: ""}
    lines += [
        f"{each.name:58} {each.value:10.2f} {each.unit:14} {each.goal:>22}  {mark[each.reached]}"
        for each in figures
    ]
    return "\n".join(lines)


def write(path: Path, figures: list[Figure], loads: list[float]) -> None:
    """``bench.json``."""
    body = {"machine": machine(loads), "figures": [each.as_json() for each in figures]}
    path.write_text(json.dumps(body, indent=1) + "\n")
