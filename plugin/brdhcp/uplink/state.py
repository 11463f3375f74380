"""The journal of the migration: which one is open, how far it is, and who holds it.

One file, ``<state-dir>/uplink/journal``: a header with the plan and with everything as it was before, then a line for
every step before it is done, and for every decision. Whoever decides (confirm, rollback, guard, boot guard) holds the
lock, so that exactly one decision is made.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from brdhcp.errors import StoreFailure
from brdhcp.netlink import codec
from brdhcp.netlink.journal import Journal
from brdhcp.netlink.observe import Snapshot
from brdhcp.uplink.steps import OURS, Move

State = Literal["none", "applying", "waiting", "confirmed", "rolling-back", "rolled-back", "incomplete"]
OPEN: tuple[State, ...] = ("applying", "waiting", "rolling-back", "incomplete")
"""States in which the node is between two worlds, and ADD has to wait."""
FORMAT = 1


def boot_id() -> str:
    """The kernel's name for this boot."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def folder(state_dir: Path) -> Path:
    """Where everything about the uplink is."""
    return state_dir / "uplink"


def journal(state_dir: Path) -> Journal:
    """The one journal."""
    return Journal(folder(state_dir) / "journal")


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One migration as its journal tells it."""

    nic: str
    bridge: str
    moves: tuple[Move, ...]
    before: Snapshot
    state: State
    begun: int
    """How many steps were begun; the last of them may be half done."""
    started_at: float
    """Wall clock, seconds."""
    boot_id: str
    timeout_s: float
    waiting_since: float | None = None
    """Monotonic clock (CLOCK_BOOTTIME) when the steps were done."""
    guard: tuple[int, int] | None = None
    """Process number and start time of the guard."""
    migrator: tuple[int, int] | None = None
    files: tuple[tuple[str, str | None], ...] = ()
    """Configuration files that were written to persist it, with their former content (None: there was none)."""
    problems: tuple[str, ...] = ()

    @property
    def of_this_boot(self) -> bool:
        return self.boot_id == boot_id()

    @property
    def seconds_left(self) -> float | None:
        """Until the guard rolls back; None when it will not."""
        if self.state != "waiting" or self.waiting_since is None:
            return None
        return max(0.0, self.waiting_since + self.timeout_s - time.clock_gettime(time.CLOCK_BOOTTIME))


def header(
    nic: str, bridge: str, moves: tuple[Move, ...], before: Snapshot, timeout_s: float
) -> dict[str, Any]:
    """The first line of a journal."""
    return {
        "format": FORMAT, "nic": nic, "bridge": bridge, "boot_id": boot_id(), "started_at": time.time(),
        "timeout_s": timeout_s, "moves": codec.to_json(moves), "before": codec.to_json(before),
    }  # fmt: skip


def load(state_dir: Path) -> Migration | None:
    """The migration of the journal; None when there is none. Raises ``StoreFailure`` for a damaged one."""
    entries = journal(state_dir).read()
    if not entries:
        return None
    head, rest = entries[0], entries[1:]
    try:
        if head["format"] != FORMAT:
            raise ValueError(f"format {head['format']}, this release reads {FORMAT}")
        moves = codec.from_json(head["moves"], (Move, *OURS))
        before = codec.from_json(head["before"])
        fixed = {key: head[key] for key in ("nic", "bridge", "boot_id", "started_at", "timeout_s")}
    except (KeyError, ValueError) as error:
        raise StoreFailure(
            f"{journal(state_dir).path} cannot be understood: {error}",
            "docs/runbook.md says how to go back by hand",
        ) from error
    told: dict[str, Any] = {"state": "applying", "begun": 0}
    for entry in rest:
        told.update(_told(entry))
    return Migration(moves=moves, before=before, **fixed, **told)


def _told(entry: dict[str, Any]) -> dict[str, Any]:
    """What one line of the journal changes."""
    match entry:
        case {"step": step}:
            return {"begun": step + 1}
        case {"guard": pid_and_start}:
            return {"guard": tuple(pid_and_start)}
        case {"migrator": pid_and_start}:
            return {"migrator": tuple(pid_and_start)}
        case {"files": files}:
            return {"files": tuple((path, content) for path, content in files)}
        case {"state": state, **more}:
            found: dict[str, Any] = {"state": state}
            if "since" in more:
                found["waiting_since"] = more["since"]
            if "problems" in more:
                found["problems"] = tuple(more["problems"])
            return found
    return {}


@contextlib.contextmanager
def locked(state_dir: Path, *, wait: bool = True) -> Iterator[None]:
    """Only one decides at a time. Raises ``StoreFailure`` when another does and ``wait`` is False.

    The folder itself is the lock, so that a disk that has become read-only is in nobody's way.
    """
    try:
        folder(state_dir).mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(folder(state_dir), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise StoreFailure(f"cannot lock {folder(state_dir)}: {error.strerror}", "are you root?") from error
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except OSError as error:
            raise StoreFailure(
                "another brdhcpctl works on the uplink at this moment", "brdhcpctl uplink status"
            ) from error
        yield
    finally:
        os.close(fd)


def opened(state_dir: Path) -> str | None:
    """Which migration stands in the way of a new one; None when none does."""
    migration = load(state_dir)
    if migration is None or migration.state not in (*OPEN, "confirmed"):
        return None
    if migration.state == "confirmed" and not migration.of_this_boot and not migration.files:
        return None  # nothing of it outlived the reboot
    return f"{migration.nic} into {migration.bridge}, {migration.state}"


def migrating(state_dir: Path) -> str | None:
    """For the agent: the migration that is under way in this boot, in words; None when ADD may go on."""
    with contextlib.suppress(StoreFailure):
        migration = load(state_dir)
        if migration is not None and migration.state in OPEN and migration.of_this_boot:
            return f"{migration.nic} into {migration.bridge}, {migration.state}"
    return None
