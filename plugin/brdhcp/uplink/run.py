"""Migrate, confirm, roll back, say how things are. One of them at a time (``state.locked``)."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from brdhcp.errors import CniError, RollbackIncomplete, StoreFailure, TryAgainLater, UplinkRefused
from brdhcp.netlink.change import LinkSet
from brdhcp.netlink.kernel import Kernel
from brdhcp.netlink.observe import snapshot
from brdhcp.store.files import sync_filesystem
from brdhcp.uplink import arping, clients, guard, perform, persist, refuse, state, verify
from brdhcp.uplink.plan import Plan, plan
from brdhcp.uplink.state import Migration
from brdhcp.uplink.told import tell
from brdhcp.uplink.view import View, default_nics, look

VERIFY_S = 2.0
"""How long what was done may take to be true."""
NEEDED_AT_BOOT = (Path(__file__).parent, Path("/etc"))
"""Where the boot guard and its unit are, perhaps installed a second ago: a power cut must find them on disk."""


def prepare(
    kernel: Kernel, nic: str | None, bridge: str, persistence: str, state_dir: Path
) -> tuple[View, Plan, persist.Keeper]:
    """Observe, refuse or plan. Raises ``UplinkRefused`` with every reason."""
    if not nic:
        nics = default_nics(snapshot(kernel))
        if len(nics) != 1:
            words = (
                "there is no default route"
                if not nics
                else f"{' and '.join(nics)} have equally good default routes"
            )
            raise UplinkRefused(f"which interface is the uplink? {words}", "name it with --nic")
        nic = nics[0]
    keeper = persist.choose(persistence, nic, bridge)
    view = look(kernel, nic, bridge, manager=keeper.name)
    refuse.require_possible(view, state.opened(state_dir))
    return view, plan(view), keeper


def migrate(nic: str | None, bridge: str, timeout_s: float, persistence: str, state_dir: Path) -> Migration:
    """Move the uplink; the guard is armed when this returns, and waits ``timeout_s`` seconds for ``confirm``.

    Raises ``UplinkRefused`` (nothing was changed), another ``CniError`` (all was brought back),
    ``RollbackIncomplete``.
    """
    with Kernel() as kernel, state.locked(state_dir, wait=False):
        try:
            view, steps, keeper = prepare(kernel, nic, bridge, persistence, state_dir)
        except UplinkRefused as error:
            tell("uplink-refused", str(error), "warning", nic=nic, bridge=bridge)
            raise
        router = verify.gateway(view.before, view.nic)
        answered = router is not None and arping.answers(view.nic, router, _source(view))
        for folder in NEEDED_AT_BOOT:
            sync_filesystem(folder)
        journal = state.journal(state_dir)
        journal.begin(
            {**state.header(view.nic, bridge, steps.moves, view.before, timeout_s), "persist": keeper.name}
        )
        try:
            journal.write({"migrator": [os.getpid(), clients.started(os.getpid())]})
            journal.write({"guard": list(guard.arm(state_dir))})
            perform.crash_point(-1)
            for number, move in enumerate(steps.moves):
                journal.write({"step": number})
                tell("uplink-step", f"{number + 1} of {len(steps.moves)}: {move.title}", step=number + 1,
                     steps=len(steps.moves), nic=view.nic, bridge=bridge)  # fmt: skip
                perform.do(kernel, state_dir, move)
                perform.crash_point(number)
            _require_true(kernel, view, bridge)
            if answered and router is not None and not arping.answers(bridge, router, _source(view)):
                raise StoreFailure(
                    f"the gateway {router} answered on {view.nic}, and does not through {bridge}"
                )
            journal.write({"state": "waiting", "since": time.clock_gettime(time.CLOCK_BOOTTIME)})
            tell("uplink-waiting", f"{view.nic} is in {bridge}; {timeout_s:g} s to confirm", nic=view.nic,
                 bridge=bridge, timeout_s=timeout_s)  # fmt: skip
        except BaseException as error:
            _back(kernel, state_dir, f"it failed: {error}")
            raise
    return _known(state_dir)


def _require_true(kernel: Kernel, view: View, bridge: str) -> None:
    deadline = time.monotonic() + VERIFY_S
    while found := verify.faults(view.before, snapshot(kernel), view.nic, bridge):
        if time.monotonic() > deadline:
            raise StoreFailure("the migration did not come true: " + "; ".join(found))
        time.sleep(0.005)


def _source(view: View) -> tuple[str, str]:
    """The MAC and the IPv4 address to ask the gateway from."""
    addresses = [
        a.address.partition("/")[0] for a in view.before.addresses_of(view.nic) if ":" not in a.address
    ]
    return view.nic_link.address, addresses[0] if addresses else "0.0.0.0"


def confirm(state_dir: Path) -> Migration:
    """The node was reached over the new path: make it permanent, let the guard go.

    Raises ``TryAgainLater`` when there is nothing to confirm (any more), ``StoreFailure`` when it could not be made
    permanent: then it is not confirmed, and the guard still watches.
    """
    with state.locked(state_dir):
        migration = _known(state_dir)
        if migration.state != "waiting" or not migration.of_this_boot:
            raise TryAgainLater(
                f"there is nothing to confirm: the migration of {migration.nic} is {migration.state}",
                "brdhcpctl uplink status",
            )
        journal = state.journal(state_dir)
        keeper = persist.by_name(
            str(journal.read()[0].get("persist", "none")), migration.nic, migration.bridge
        )
        files = keeper.files(migration.before)
        if files:
            journal.write({"files": [[str(path), persist.content(path)] for path, _ in files]})
        try:
            persist.write(files)
            journal.write({"state": "confirmed"})
        except CniError:
            persist.restore(migration_files(state_dir))
            raise
        guard.wake(migration.guard)
        tell("uplink-confirmed", f"{migration.nic} stays in {migration.bridge}", nic=migration.nic,
             bridge=migration.bridge, kept_by=keeper.name)  # fmt: skip
    return _known(state_dir)


def migration_files(state_dir: Path) -> tuple[tuple[str, str | None], ...]:
    """The configuration files that the open migration wrote, with their former content."""
    return _known(state_dir).files


def rollback(state_dir: Path, by: str = "you asked for it") -> Migration:
    """Bring back exactly what was. Nothing to do when that is so already.

    Raises ``RollbackIncomplete`` with the commands for what is left, ``StoreFailure`` when all of it is done and could
    not be written down.
    """
    with Kernel() as kernel, state.locked(state_dir):
        migration = state.load(state_dir)
        if migration is None:
            raise TryAgainLater(
                "there is nothing to roll back: no uplink was migrated here", "brdhcpctl uplink plan"
            )
        if migration.state != "rolled-back":
            _back(kernel, state_dir, by)
            guard.wake(migration.guard)
    return _known(state_dir)


def _back(kernel: Kernel, state_dir: Path, why: str) -> None:
    """Undo, newest first, also what may never have been done; then compare with what was.

    A disk that is full, or has become read-only, is no reason to leave the node off the network.
    """
    migration = _known(state_dir)
    problems = _noted(state_dir, {"state": "rolling-back", "why": why})
    problems += _named_as_before(kernel, migration)
    # A boot with the files of a confirmed migration gave the bridge a client of its own: it would ask for ever.
    asking = clients.find(migration.bridge)
    if asking is not None:
        clients.stop(asking.pid, asking.started)
    left: list[str] = []
    try:
        persist.restore(migration.files)
    except CniError as error:
        left.append(f"# {error.msg}: put back the files that the journal has")
    elapsed = time.time() - migration.started_at
    for move in reversed(migration.moves[: migration.begun]):
        problems += perform.undo(kernel, state_dir, move, elapsed)
    left += _left(kernel, migration)
    if left:
        problems += _noted(state_dir, {"state": "incomplete", "problems": [*left, *problems]})
        tell("uplink-rollback-incomplete", f"still to be done: {'; '.join(left)}", "error", nic=migration.nic,
             bridge=migration.bridge, reason=why)  # fmt: skip
        raise RollbackIncomplete(
            f"{migration.nic} is not as it was before; still to be done: " + "; ".join(left),
            "; ".join(problems),
        )
    unwritten = _noted(state_dir, {"state": "rolled-back", "problems": problems})
    _tell_back(migration, why)
    if unwritten:
        raise StoreFailure(
            f"{migration.nic} is as it was before, but that could not be written down: {unwritten[0]}",
            "make room in the state directory, then brdhcpctl uplink rollback again: it will find nothing else to do",
        )


def _tell_back(migration: Migration, why: str) -> None:
    tell("uplink-rolled-back", f"{migration.nic} is as it was before: {why}", "warning", nic=migration.nic,
         bridge=migration.bridge, reason=why)  # fmt: skip


def _named_as_before(kernel: Kernel, migration: Migration) -> list[str]:
    """A NIC that got another name (a reboot, udev) gets its own again, or nothing could be put back on it."""
    found = verify.renamed(migration.before, snapshot(kernel), migration.nic)
    if found is None:
        return []
    try:
        # Down first: kernels before 6.1 rename no link that is up.
        kernel.apply([
            LinkSet(name=found, up=False), LinkSet(name=found, new_name=migration.nic),
            LinkSet(name=migration.nic, up=True),
        ])  # fmt: skip
    except CniError as error:
        return [f"{found} is {migration.nic} under another name: {error}"]
    return []


def _noted(state_dir: Path, entry: Mapping[str, Any]) -> list[str]:
    """Write it into the journal; what kept that from being done, if anything did."""
    try:
        state.journal(state_dir).write(entry)
    except StoreFailure as error:
        return [error.msg]
    return []


def _left(kernel: Kernel, migration: Migration) -> Sequence[str]:
    """What is not as it was, as commands; looked at again while the kernel may still be at it."""
    deadline = time.monotonic() + VERIFY_S
    while True:
        now = snapshot(kernel, migration.before.sysctls)
        left = verify.differences(migration.before, now, migration.nic, migration.bridge)
        waiting = verify.stand_in(migration.before, now, migration.nic)
        if not (left or waiting) or time.monotonic() > deadline:
            return left
        time.sleep(0.01)


def after_boot(state_dir: Path) -> str:
    """What the boot guard does: a migration of an earlier boot that nobody confirmed is over. Says what it did.

    Nothing of it is in the kernel any more, and files are written at ``confirm`` only; one that was cut off in the
    middle of that has them restored here.
    """
    with state.locked(state_dir):
        migration = state.load(state_dir)
        if migration is None or migration.of_this_boot or migration.state == "rolled-back":
            return "nothing to do"
        if migration.state == "confirmed":
            if migration.files:
                return f"{migration.nic} in {migration.bridge} is confirmed and permanent"
            state.journal(state_dir).write(
                {"state": "rolled-back", "why": "confirmed, but not permanent: a reboot ended it"}
            )
            _tell_back(migration, "confirmed, but not permanent: a reboot ended it")
            return f"{migration.nic} in {migration.bridge} was confirmed but not permanent: as before the migration"
        persist.restore(migration.files)
        state.journal(state_dir).write({"state": "rolled-back", "why": "a reboot before it was confirmed"})
        _tell_back(migration, "a reboot before it was confirmed")
        return f"{migration.nic} into {migration.bridge} was never confirmed: as before the migration"


def _known(state_dir: Path) -> Migration:
    migration = state.load(state_dir)
    if migration is None:
        raise TryAgainLater("no uplink was migrated here", "brdhcpctl uplink plan")
    return migration
