"""Doing what a step says: kernel changes in batches, and the few things beside the kernel."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from brdhcp.errors import CniError, StoreFailure
from brdhcp.netlink.change import Change, NeighbourAdd
from brdhcp.netlink.kernel import Kernel, KernelError
from brdhcp.netlink.observe import Link
from brdhcp.store import handover
from brdhcp.store.handover import NodeLease
from brdhcp.uplink import clients
from brdhcp.uplink.age import Now
from brdhcp.uplink.state import boot_id
from brdhcp.uplink.steps import (
    OURS,
    Action,
    AddressesReady,
    ClientStart,
    ClientStop,
    LeaseHandOver,
    LeaseTakeBack,
    Move,
    NeighboursCopied,
    RoutersAsked,
)

IFA_F_TENTATIVE = 0x40
NUD_STALE, NUD_PERMANENT, NUD_USABLE = 4, 128, 2 | 4 | 8 | 16 | 128
READY_S = 2.0
"""How long a link may take to come up after it got its port."""
CRASH = "BRDHCP_CRASH_AFTER"
"""Tests end the process (SIGKILL) after the step of this number, or right before the first with ``-1``."""


def crash_point(step: int) -> None:
    """Die here if a test asked for it."""
    if os.environ.get(CRASH) == str(step):
        os.kill(os.getpid(), signal.SIGKILL)


def do(kernel: Kernel, state_dir: Path, move: Move) -> None:
    """One step as a whole. Raises ``CniError``; then part of it may be done."""
    perform(kernel, state_dir, move.do)
    if move.ready:
        _until(lambda: _is_up(kernel.link(move.ready)), f"{move.ready} is not up", "is the NIC's cable in?")


def perform(kernel: Kernel, state_dir: Path, actions: Sequence[Action]) -> None:
    """Actions in order; neighbouring kernel changes go in one batch."""
    batch: list[Change] = []
    for action in actions:
        if isinstance(action, OURS):
            kernel.apply(batch)
            batch = []
            _beside(kernel, state_dir, action)
        else:
            batch.append(action)
    kernel.apply(batch)


def undo(kernel: Kernel, state_dir: Path, move: Move, elapsed_s: float) -> list[str]:
    """Undo one step as far as it goes; what failed, in words. ``elapsed_s`` have passed since it was observed."""
    problems = []
    now = Now(kernel.addresses(), kernel.routes(), int(elapsed_s))
    aged = [aged for action in move.undo if (aged := now.aged(action)) is not None]
    try:
        perform(kernel, state_dir, aged)
    except CniError:
        # The batch went on behind the failure or stopped before it: once more, each by itself.
        for action in aged:
            try:
                perform(kernel, state_dir, (action,))
            except CniError as error:
                problems.append(f"{move.title}: {error}")
    return problems


def _beside(kernel: Kernel, state_dir: Path, action: Action) -> None:
    match action:
        case AddressesReady(dev=dev):
            _until(lambda: not _tentative(kernel, dev), f"the addresses of {dev} stay tentative")
        case ClientStop(pid=pid, started=started):
            clients.stop(pid, started)
        case ClientStart(nic=nic, argv=argv):
            clients.start(nic, argv)
        case LeaseHandOver(lease=lease):
            handover.write(state_dir, NodeLease(**{**lease, "boot_id": boot_id()}))  # type: ignore[arg-type]
        case LeaseTakeBack():
            handover.remove(state_dir)
        case NeighboursCopied(source=source, dev=dev):
            for neighbour in kernel.neighbours():
                if neighbour.dev == source and neighbour.state & NUD_USABLE:
                    with contextlib.suppress(
                        KernelError
                    ):  # a full table costs a question later, nothing else
                        kernel.apply([_remembered(neighbour, dev)])
        case RoutersAsked(dev=dev):
            kernel.solicit_routers(dev)


def _remembered(neighbour: NeighbourAdd, dev: str) -> NeighbourAdd:
    """Known on ``dev`` as well, but to be checked when it is used next."""
    return replace(
        neighbour, dev=dev, state=neighbour.state if neighbour.state == NUD_PERMANENT else NUD_STALE
    )


def _until(true: Callable[[], bool], otherwise: str, hint: str = "") -> None:
    deadline = time.monotonic() + READY_S
    while not true():
        if time.monotonic() > deadline:
            raise StoreFailure(f"{otherwise} after {READY_S:g} s", hint)
        time.sleep(0.0005)


def _tentative(kernel: Kernel, dev: str) -> bool:
    return any(a.flags & IFA_F_TENTATIVE for a in kernel.addresses() if a.dev == dev)


def _is_up(link: Link | None) -> bool:
    return link is not None and link.operstate == "up"
