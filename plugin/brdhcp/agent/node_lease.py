"""Renewing the node's own address after its NIC went into the bridge (``brdhcp.store.handover``).

The agent never takes this address away: it gives it the lifetime that the server grants, and when the server grants
none any more it is the kernel that lets it expire, as it would have under any other DHCP client. When the server grants
it again, address and routes are put back.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Interface

from brdhcp.agent import client, sandbox
from brdhcp.agent.core import Core
from brdhcp.agent.keeper import Keeper, clock
from brdhcp.agent.sandbox import NodePort
from brdhcp.dhcp import events as dhcp
from brdhcp.dhcp.frame import mac_bytes
from brdhcp.dhcp.identity import Identity, Policy, ProbeKind
from brdhcp.dhcp.lease import INFINITE, Lease, lease_times
from brdhcp.errors import CniError
from brdhcp.netlink.change import Address, AddressAdd, Change, Route, RouteAdd
from brdhcp.netlink.encode import AF_INET
from brdhcp.netlink.kernel import Kernel
from brdhcp.store import handover
from brdhcp.store.handover import NodeLease

LOOK_S = 1.0
"""How often the record is looked for: a migration has just ended, or has been rolled back."""
SHORTEST_S = 120
"""Seconds that a lease of unknown length is taken to have had, at least."""


@dataclass(slots=True)
class NodeKeeper:
    """Keeps the node's lease as long as the record says so (``keeper.Listener``)."""

    core: Core
    record: NodeLease
    keeper: Keeper | None = None
    routes: tuple[Route, ...] = ()
    """Of the bridge, as they were when the address was last seen there: the kernel takes them along with it."""

    def start(self) -> None:
        """Go on with the lease; renew at once where its length or its server is not known, or where the kernel would
        take the address away before T2."""
        record, lease = self.record, _lease(self.record)
        who = Identity(
            chaddr=mac_bytes(record.mac),
            client_id=bytes.fromhex(record.client_id) if record.client_id else None,
            hostname=record.hostname,
        )
        machine = client.resumed(who, Policy(probe=ProbeKind.NONE), lease, clock())
        self.keeper = Keeper(machine, NodePort(record.bridge, record.mac), self, self.core.closer)
        self.routes = _of_bridge(self.core.node, record.bridge)
        self.keeper.resume()
        if record.lease_seconds is None or not record.server or self._ends_by(lease.rebind_at):
            self.keeper.renew()

    def stop(self) -> None:
        """Leave the lease to somebody else."""
        if self.keeper is not None:
            self.keeper.close()
            self.keeper = None

    def lease_event(self, effect: dhcp.Effect) -> None:
        """What the server says about the node's address."""
        facts = {"bridge": self.record.bridge, "address": self.record.address, "mac": self.record.mac}
        match effect:
            case dhcp.Renewed(lease=lease) | dhcp.Bound(lease=lease) | dhcp.Changed(new=lease):
                if str(lease.address.ip) != self.record.address.partition("/")[0]:
                    self.core.events(
                        "node-lease-changed", f"the server now says {lease.address} for this node, which keeps "
                        f"{self.record.address}: check its reservation", "error", **facts,
                    )  # fmt: skip
                    return
                self.core.events(
                    "node-lease-renewed",
                    f"the node keeps {self.record.address} for {lease.lease_s} s",
                    "info",
                    **facts,
                )
                self.core.background(self._granted(lease), "node lease")
            case dhcp.Lost(reason=reason):
                self.core.events(
                    "node-lease-lost", f"the node's address {self.record.address} is not renewed: {reason}", "error",
                    **facts,
                )  # fmt: skip

    async def _granted(self, lease: Lease) -> None:
        """The kernel and the disk know the new lifetime."""
        self.record = replace(
            self.record, server=str(lease.server_id), lease_seconds=None if lease.infinite else lease.lease_s,
            expires=None if lease.infinite else time.time() + lease.expires_at - clock(),
        )  # fmt: skip
        try:
            await self.core.in_thread(
                self._write, lease, None if lease.infinite else round(lease.expires_at - clock())
            )
        except CniError as error:
            self.core.events("node-lease-not-applied", str(error), "error", address=self.record.address)

    def _held(self) -> list[Address]:
        """The node's address, while it is on the bridge."""
        record = self.record
        return [
            each
            for each in self.core.node.addresses()
            if each.dev == record.bridge and each.address == record.address
        ]

    def _ends_by(self, at: float) -> bool:
        """Whether the kernel takes the address away before then: a client may have had a lease and not said so to it
        (dhclient's script, for an address that is there already)."""
        return any(each.valid_lft is not None and clock() + each.valid_lft < at for each in self._held())

    def _write(self, lease: Lease, seconds: int | None) -> None:
        node, bridge = self.core.node, self.record.bridge
        held = self._held()
        for address in held:
            granted = replace(address, valid_lft=seconds, preferred_lft=seconds)
            node.apply((AddressAdd(address=granted, replace=True),))
        if held:
            self.routes = _of_bridge(node, bridge)
        elif node.index(bridge) is not None:
            node.apply(_put_back(self.record, lease, seconds, self.routes))
            self.core.events(
                "node-lease-restored", f"the node has its address {self.record.address} again", "notice",
                bridge=bridge, address=self.record.address, mac=self.record.mac,
            )  # fmt: skip
        if handover.read(self.core.state_dir) is not None:  # a rollback may have been faster
            handover.write(self.core.state_dir, self.record)


def _of_bridge(node: Kernel, bridge: str) -> tuple[Route, ...]:
    """Its IPv4 routes but those that the kernel makes of the address (RTPROT_KERNEL)."""
    return tuple(
        route
        for route in node.routes()
        if route.dev == bridge and route.family == AF_INET and route.proto != 2
    )


def _put_back(record: NodeLease, lease: Lease, seconds: int | None, routes: Sequence[Route]) -> list[Change]:
    """The address, and the routes that went with it; the lease's own where those are not known."""
    bridge, broadcast = record.bridge, IPv4Interface(record.address).network.broadcast_address
    address = Address(
        dev=bridge, address=record.address, broadcast=str(broadcast), label=bridge, valid_lft=seconds,
        preferred_lft=seconds,
    )  # fmt: skip
    known = routes or [
        Route(family=AF_INET, dst="default", dev=bridge, gateway=str(router)) for router in lease.routers[:1]
    ]
    # Those to a neighbour come before those by it.
    ordered = sorted(known, key=lambda route: route.gateway is not None)
    return [AddressAdd(address=address), *(RouteAdd(route=route) for route in ordered)]


def _lease(record: NodeLease) -> Lease:
    """The lease as the node's client knew it; what it did not tell is assumed so that renewal comes early."""
    left = None if record.expires is None else max(record.expires - time.time(), 1.0)
    if left is None:
        seconds, acquired = INFINITE, clock()
    else:
        seconds = record.lease_seconds or max(round(left) * 2, SHORTEST_S)
        left = min(left, seconds)  # the wall clock may have been set back since
        acquired = clock() + left - seconds
    t1, t2 = lease_times(seconds, None, None)
    return Lease(
        address=IPv4Interface(record.address), server_id=IPv4Address(record.server or "255.255.255.255"),
        lease_s=seconds, t1_s=t1, t2_s=t2, acquired_at=acquired,
    )  # fmt: skip


async def forever(core: Core) -> None:
    """Take the node's lease over when the record appears, and leave it when the record goes."""
    keeping: NodeKeeper | None = None
    seen: tuple[int, int] | None = None
    try:
        while True:
            now = _stamp(core)
            if (now is None) != (keeping is None) or (keeping is None and now != seen):
                if keeping is not None:
                    keeping.stop()
                keeping = _take(core) if now is not None else None
            seen = now
            await asyncio.sleep(LOOK_S)
    finally:
        if keeping is not None:
            keeping.stop()


def _stamp(core: Core) -> tuple[int, int] | None:
    try:
        status = os.stat(handover.path(core.state_dir))  # noqa: PTH116
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino


def _take(core: Core) -> NodeKeeper | None:
    try:
        record = handover.read(core.state_dir)
    except CniError as error:
        core.events("node-lease-unreadable", str(error), "error")
        return None
    if record is None or record.boot_id != sandbox.boot_id():
        return None
    keeper = NodeKeeper(core, record)
    keeper.start()
    core.events(
        "node-lease-taken", f"renewing the node's address {record.address} on {record.bridge} from now on", "notice",
        bridge=record.bridge, address=record.address, mac=record.mac,
    )  # fmt: skip
    return keeper
