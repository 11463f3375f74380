"""Doing what a step says: kernel changes in batches, and the few things beside the kernel."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from brdhcp.errors import CniError, StoreFailure
from brdhcp.netlink.change import Address, AddressAdd, Change
from brdhcp.netlink.kernel import Kernel
from brdhcp.netlink.observe import Link
from brdhcp.store import handover
from brdhcp.store.handover import NodeLease
from brdhcp.uplink import clients
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
)

IFA_F_TENTATIVE = 0x40
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
    present = {address.address: address for address in kernel.addresses() if address.dev != "lo"}
    aged = [_aged(action, present, elapsed_s) for action in move.undo]
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


def _aged(action: Action, present: dict[str, Address], elapsed_s: float) -> Action:
    """An address comes back with the lifetime it has now: the bridge's, else what is left of the one observed."""
    if not isinstance(action, AddressAdd) or action.address.valid_lft is None:
        return action
    old = action.address
    now = present.get(old.address)
    if now is not None and now.valid_lft is not None:
        return replace(action, address=replace(old, valid_lft=now.valid_lft, preferred_lft=now.preferred_lft))
    gone = int(elapsed_s)
    preferred = old.preferred_lft
    left = replace(
        old, valid_lft=max(1, (old.valid_lft or 0) - gone),
        preferred_lft=None if preferred is None else max(0, preferred - gone),
    )  # fmt: skip
    return replace(action, address=left)


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
