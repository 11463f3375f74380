"""Small words of the interface: durations, marks, plurals."""

from __future__ import annotations

DONE, ALREADY, FAILED, UNDONE, OPEN = "✓", "=", "✗", "↶", "·"


def duration(seconds: float) -> str:
    """``0.42 s``, ``12.3 s``, ``4 min 5 s``."""
    if seconds < 10:
        return f"{seconds:.2f} s"
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{int(seconds) // 60} min {int(seconds) % 60} s"


def left(seconds: int | None) -> str:
    """What remains of a lease: ``59 min``, ``2 h 5 min``, ``forever``, ``expired``, ``none``."""
    if seconds is None:
        return "none"
    if seconds < 0:
        return "expired"
    if seconds >= 0xFFFFFFFF // 2:
        return "forever"
    if seconds < 120:
        return f"{seconds} s"
    if seconds % 3600 == 0 and seconds < 172_800:
        return f"{seconds // 3600} h"
    if seconds < 7200:
        return f"{seconds // 60} min"
    hours, minutes = seconds // 3600, seconds // 60 % 60
    if hours >= 48:
        return f"{hours // 24} d {hours % 24} h"
    return f"{hours} h {minutes} min"


def count(number: int, noun: str) -> str:
    """``1 pod``, ``3 pods``, ``no pod``."""
    if number == 0:
        return f"no {noun}"
    return f"{number} {noun}" + ("" if number == 1 else "s")


def short(address: str, like: str) -> str:
    """``.253`` for an address whose first three parts are those of ``like``; else the address."""
    same = address.rpartition(".")[0] == like.rpartition(".")[0]
    return "." + address.rpartition(".")[2] if same else address
