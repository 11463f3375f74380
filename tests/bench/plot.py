"""Latency distributions side by side, one look tells. Needs matplotlib (extra ``bench``)."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.bench.work import Round

PARTS = {
    "add": "ADD, one by one", "add_together": "ADD, all at once", "delete": "DEL, one by one",
    "delete_together": "DEL, all at once",
}  # fmt: skip


def draw(rounds: Mapping[str, Round], folder: Path) -> list[Path]:
    """``bench.svg`` and ``bench.png``; nothing when matplotlib is not installed."""
    try:
        matplotlib: Any = importlib.import_module("matplotlib")
    except ImportError:
        return []
    matplotlib.use("Agg")
    plot: Any = importlib.import_module("matplotlib.pyplot")
    figure, axes = plot.subplots(2, 2, figsize=(12, 7.5), constrained_layout=True)
    names = list(rounds)
    for axis, (part, title) in zip(axes.flat, PARTS.items(), strict=True):
        for row, name in enumerate(reversed(names)):
            ours = name.startswith("brdhcp")
            seconds = sorted(1000 * each for each in getattr(rounds[name], part).seconds)
            scatter = [row + 0.28 * ((7 * number) % 11 / 5 - 1) for number in range(len(seconds))]
            axis.plot(seconds, scatter, ".", color="#0b6e4f" if ours else "#b3541e", alpha=0.45, markersize=5)
            middle = seconds[len(seconds) // 2]
            axis.plot([middle, middle], [row - 0.4, row + 0.4], color="black", linewidth=1.6)
        axis.set(xscale="log", title=title, xlabel="milliseconds, every call a dot, the median a line")
        axis.set_yticks(range(len(names)), list(reversed(names)))
        axis.grid(axis="x", which="both", alpha=0.2)
    paths = [folder / "bench.svg", folder / "bench.png"]
    for path in paths:
        figure.savefig(path, dpi=110)
    plot.close(figure)
    return paths
