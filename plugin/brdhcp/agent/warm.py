"""Leases taken ahead (``warmLeases``), for servers that are slow to give one: some ping an address for seconds first.

A lease is taken and probed through the bridge, under a MAC of its own, and kept as a record of role ``warm``. The next
ADD gives that MAC and that lease to its pod. What nobody needs is given back: when the agent stops, when the
configuration wants fewer, when a lease reaches its T1, at GC, and all of it as soon as the server has no further
address to offer, so that the last addresses of a range never lie idle here.
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING

from brdhcp.agent import client, remove, sandbox
from brdhcp.agent.attached import Attached, lease_json, lease_of
from brdhcp.agent.keeper import Keeper, clock
from brdhcp.agent.sandbox import NodePort
from brdhcp.dhcp.frame import mac_bytes
from brdhcp.dhcp.identity import client_id_from_mac
from brdhcp.dhcp.lease import Lease
from brdhcp.errors import CniError
from brdhcp.spec.environment import Request
from brdhcp.spec.netconf import NetConf
from brdhcp.store.leases import Attachment, Key

if TYPE_CHECKING:
    from brdhcp.agent.core import Core

ROLE = "warm"
CLOSE_S = 3.0
"""How long an exchange under way is waited for at the end; its lease would be nobody's otherwise."""
PAUSE_S = 60.0
"""How long nothing is taken ahead after the server had no address left."""


def wanted(netconf: NetConf, request: Request) -> int:
    """How many leases are to be ready for pods like this one; 0 where its lease must be asked for in its own name."""
    dhcp = netconf.dhcp
    if dhcp is None or request.role != "main" or dhcp.args_used or not client.single_use(netconf):
        return 0
    return dhcp.warm_leases


class Warm:
    """The leases that this agent has ready."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._mine: set[Key] = set()
        self._filling: set[str] = set()
        self._not_before: dict[str, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False

    def is_ready(self, record: Attachment) -> bool:
        """Whether this record is a lease that still waits for its pod; the sweep leaves it alone then."""
        return record.role == ROLE and record.key in self._mine and self._usable(record) is not None

    def take(self, netconf: NetConf) -> Attachment | None:
        """A ready lease, from now on the caller's: it forgets the record once the lease is somebody's."""
        for record in self._of(netconf.name):
            if record.bridge == netconf.bridge.name and self.is_ready(record):
                self._mine.discard(record.key)
                return record
        return None

    def refill(self, netconf: NetConf, request: Request) -> None:
        """Bring the pool to what the configuration wants, in the background."""
        name = netconf.name
        if not self._closing and name not in self._filling and clock() >= self._not_before.get(name, 0.0):
            self._filling.add(name)
            task = self._core.background(
                self._fill(netconf, wanted(netconf, request)), f"warm leases of {name}"
            )
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Give back all that is ready, and what is just being granted."""
        self._closing = True
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLOSE_S)
        for key in tuple(self._mine):
            await self._give_back(key)

    async def _fill(self, netconf: NetConf, number: int) -> None:
        try:
            for record in self._of(netconf.name)[number:]:
                await self._give_back(record.key)
            while number and not self._closing and len(self._of(netconf.name)) < number:
                if await self._acquire(netconf) is None:
                    await self.retreat(netconf.name)
                    return
            if number and not self._closing:
                await self._leave_one(netconf)
        finally:
            self._filling.discard(netconf.name)

    async def _leave_one(self, netconf: NetConf) -> None:
        """One more can be had, and is given back at once; else ours are the last ones, and nobody needs them here."""
        spare = await self._acquire(netconf)
        if spare is None:
            await self.retreat(netconf.name)
        else:
            await self._give_back(spare.key)

    async def retreat(self, network: str) -> None:
        """The server has no more addresses: those that are ready go back to it, and it is left alone for a while."""
        ready = self._of(network)
        if not ready:
            return
        self._not_before[network] = clock() + PAUSE_S
        for record in ready:
            await self._give_back(record.key)
        self._core.events(
            "pool-exhausted", f"{network}: the server has no more addresses; {len(ready)} taken ahead were given back",
            "warning", network=network,
        )  # fmt: skip

    async def _acquire(self, netconf: NetConf) -> Attachment | None:
        mac = "06:" + os.urandom(5).hex(":")
        record = Attachment(
            network=netconf.name, container_id=f"warm-{mac.replace(':', '')}", if_name="eth0", role=ROLE,
            bridge=netconf.bridge.name, mac=mac, client_id=client_id_from_mac(mac_bytes(mac)).hex(),
            boot_id=sandbox.boot_id(), created_at=time.time(),
        )  # fmt: skip
        assert netconf.dhcp is not None
        who, how = client.ahead(netconf.dhcp, record), client.policy(netconf.dhcp)
        port = NodePort(record.bridge, mac)
        keeper = Keeper(
            client.fresh(who, how, clock()), port, Attached(self._core, record), self._core.closer
        )
        async with self._core.alone(record.container_id, record.if_name):
            await self._core.save(record)
            try:
                lease = await keeper.acquire()
                record = record.replace(state="bound", lease=lease_json(lease))
                await self._core.save(record)
            except CniError:
                await self._core.forget(record.key)
                return None
            finally:
                keeper.close()
            self._mine.add(record.key)
        return record

    async def _give_back(self, key: Key) -> None:
        self._mine.discard(key)
        record = self._core.store.get(key)
        if record is not None:
            await remove.remove(self._core, record)

    def _of(self, network: str) -> list[Attachment]:
        return [each for each in self._core.store if each.network == network and each.key in self._mine]

    @staticmethod
    def _usable(record: Attachment) -> Lease | None:
        lease = lease_of(record) if record.state == "bound" else None
        return lease if lease is not None and lease.renew_at > clock() else None
