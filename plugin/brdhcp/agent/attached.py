"""One attachment while the agent runs: its record, its keeper, and what becomes of the pod when its lease changes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from brdhcp.agent import client, faults, ports, sandbox
from brdhcp.agent.keeper import Keeper, clock
from brdhcp.agent.sandbox import NodePort, PodPort
from brdhcp.bridge import outcome, pod
from brdhcp.dhcp import events as dhcp
from brdhcp.dhcp.lease import Lease
from brdhcp.dhcp.machine import Client
from brdhcp.errors import CniError
from brdhcp.spec.environment import Request
from brdhcp.spec.netconf import NetConf
from brdhcp.spec.result import Result
from brdhcp.store.leases import Attachment

if TYPE_CHECKING:
    from brdhcp.agent.core import Core

GRANTED = "1.1.0"
"""The form in which a record keeps the result of ADD."""


def lease_json(lease: Lease) -> dict[str, object]:
    """The lease as the store keeps it, with all its clocks."""
    return lease.to_json(clock(), time.time(), sandbox.boot_id())


def lease_of(record: Attachment) -> Lease | None:
    """The lease of a record, on the clock of this process. Raises ``ValueError`` for a damaged one."""
    if record.lease is None:
        return None
    return Lease.from_json(record.lease, clock(), time.time(), sandbox.boot_id())


def request_of(record: Attachment) -> Request:
    """The request that made the record, for what is done with it later."""
    environment = {
        "CNI_COMMAND": "DEL",
        "CNI_CONTAINERID": record.container_id,
        "CNI_NETNS": record.netns,
        "CNI_IFNAME": record.if_name,
        "CNI_ARGS": record.args,
        "CNI_PATH": record.path,
        "BRDHCP_ROLE": record.role,
    }
    return Request.from_environment(environment)


def netconf_of(record: Attachment) -> NetConf:
    """The configuration that ADD was called with."""
    return NetConf.parse(record.netconf.encode(), request_of(record))


class Attached:
    """A bound attachment. ``lock`` keeps verbs and lease events one after the other."""

    __slots__ = ("_core", "_pending", "keeper", "lock", "record")

    def __init__(self, core: Core, record: Attachment) -> None:
        self._core = core
        self.record = record
        self.keeper: Keeper | None = None
        self.lock = asyncio.Lock()
        self._pending: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        """How logs call it: the pod where it is known, else the container; and the interface."""
        return f"{self.record.pod or self.record.container_id[:13]}/{self.record.if_name}"

    def netconf(self) -> NetConf:
        """The configuration that ADD was called with."""
        return netconf_of(self.record)

    def result(self) -> Result:
        """What ADD answered, as it is now."""
        return Result.from_json(self.record.result or {}, version=GRANTED)

    def resume(self) -> None:
        """Go on with the lease of the record, as after a restart of the agent. Nothing is sent before it is due."""
        lease = lease_of(self.record)
        if lease is None:
            return
        netconf = self.netconf()
        if netconf.dhcp is None:
            return
        who = client.identity_of(netconf, request_of(self.record), self.record)
        how = client.policy(netconf.dhcp)
        self.keep(client.resumed(who, how, lease, clock()), PodPort(self.record, self.record.mac))
        assert self.keeper is not None
        self.keeper.resume()

    def keep(self, machine: Client, port: PodPort | NodePort) -> None:
        """From now on this client keeps the lease, through ``port``."""
        self.keeper = Keeper(machine, port, self, self._core.closer)

    def close(self) -> None:
        """Forget everything but what is on disk."""
        if self.keeper is not None:
            self.keeper.close()
            self.keeper = None

    def lease_event(self, effect: dhcp.Effect) -> None:
        """The keeper's news (``keeper.Listener``)."""
        event, facts = self._core.events, self._facts()
        match effect:
            case dhcp.Bound(lease=lease):
                if self.record.state == "bound":
                    event("lease-acquired", f"{self.name} has {lease.address} again", "notice", **facts)
                    self._later(self._regained(lease))
            case dhcp.Renewed(lease=lease):
                event(
                    "lease-renewed",
                    f"{self.name} keeps {lease.address.ip} for {lease.lease_s} s",
                    "info",
                    **facts,
                )
                self._later(self._save(lease))
            case dhcp.Changed(old=old, new=new):
                what = ", ".join(old.differences(new))
                event(
                    "lease-changed", f"the lease of {self.name} came back changed: {what}", "warning", **facts
                )
                self._later(self._changed(old, new))
            case dhcp.Lost(lease=lease, reason=reason):
                event("lease-lost", f"{self.name} lost {lease.address.ip}: {reason}", "error", **facts)
                self._later(self._lost(reason))
            case dhcp.Refused(reason=reason):
                event("lease-refused", f"the DHCP server refused {self.name}: {reason}", "warning", **facts)
            case dhcp.Declined(address=address, mac=mac):
                event(
                    "lease-declined",
                    f"{address}, offered to {self.name}, is in use by {mac}",
                    "warning",
                    **facts,
                )
            case dhcp.Ignored(reason=reason):
                event(
                    "message-ignored",
                    f"a DHCP message for {self.name} cannot be used: {reason}",
                    "debug",
                    **facts,
                )
            case dhcp.Exhausted(tried=tried):
                event("no-lease", f"no DHCP lease for {self.name}: {tried}", "warning", **facts)

    def _facts(self) -> dict[str, str | int | float | None]:
        lease = self.keeper.lease if self.keeper else None
        return {
            "attachment": str(self.record.key),
            "pod": self.record.pod or None,
            "mac": self.record.mac,
            "address": str(lease.address.ip) if lease else None,
            "server": str(lease.server_id) if lease else None,
            "lease_s": lease.lease_s if lease else None,
        }

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        """Do ``work`` after what is under way, never two at once; not at all when the attachment has ended by then."""
        previous = self._pending

        async def after() -> None:
            if previous is not None:
                await asyncio.wait([previous])
            async with self.lock:
                if self._core.attached.get(self.record.key) is not self:
                    work.close()
                    return
                try:
                    await work
                except CniError as error:
                    self._core.events("lease-not-applied", f"{self.name}: {error}", "error", **self._facts())

        self._pending = self._core.background(after(), f"lease of {self.name}")

    async def _save(self, lease: Lease, **changes: object) -> None:
        if self.record.state == "bound":
            faults.point("renew: acknowledged")
            self.record = self.record.replace(lease=lease_json(lease), **changes)
            await self._core.save(self.record)
            faults.point("renew: on disk")

    async def _regained(self, lease: Lease) -> None:
        await self._apply(Result(), self._result_of(lease), self._mtu(lease))
        await self._follow(lease)

    async def _changed(self, old: Lease, new: Lease) -> None:
        await self._apply(self._result_of(old), self._result_of(new), self._mtu(new))
        await self._follow(new)

    async def _follow(self, lease: Lease) -> None:
        """Write down what the pod has now. With another address it is no longer the pod that the runtime knows."""
        new = "lost" in self.record.extra or str(lease.address.ip) != _address(self.record.result)
        if new and self.keeper is not None:
            self.keeper.announce(lease.address.ip)
        extra = {name: value for name, value in self.record.extra.items() if name != "lost"}
        promised = extra.setdefault("promised", _address(self.record.result))
        if promised not in ("", str(lease.address.ip)):
            extra["lost"] = f"the server changed the address from {promised} to {lease.address.ip}"
        await self._save(lease, result=self._result_of(lease).as_json(GRANTED), extra=extra)

    async def _lost(self, reason: str) -> None:
        """RFC 2131 §4.4.5: the address is not to be used any more. The link stays, for when the lease comes back."""
        await self._apply(self.result(), Result())
        if self.record.state == "bound":
            self.record = self.record.replace(extra={**self.record.extra, "lost": reason})
            await self._core.save(self.record)

    def _result_of(self, lease: Lease) -> Result:
        netconf = self.netconf()
        known = self.result()
        node = ports.node_address(self._core.node, self.record.bridge, lease.address.network)
        if node is None:
            netconf = replace(netconf, service_cidr=())
        result = outcome.of_lease(lease, netconf, node)
        indexed = tuple(replace(ip, interface=2) for ip in result.ips) if known.interfaces else result.ips
        return replace(result, interfaces=known.interfaces, ips=indexed)

    def _mtu(self, lease: Lease) -> int | None:
        """The pod's MTU under this lease; None where another plugin made the interface."""
        known = self.result().interfaces
        if not self.record.veth or len(known) < 2 or known[1].mtu is None:
            return None
        return pod.mtu_of(lease.mtu, self.netconf().bridge.mtu, known[1].mtu)

    async def _apply(self, old: Result, new: Result, mtu: int | None = None) -> None:
        fd = sandbox.find(self.record)
        if fd < 0:
            return  # the reconcile gives the lease back
        try:
            netconf = self.netconf()
            await self._core.in_thread(ports.reconfigure, fd, self.record.if_name, old, new, netconf, mtu)
            if self.record.veth:
                guarded = (netconf, self.record.veth, self.record.mac)
                await self._core.in_thread(ports.reguard, *guarded, old, new)
        finally:
            sandbox.close(fd)


def _address(result: Mapping[str, Any] | None) -> str:
    """The first address of a result, without its prefix length; ``""`` when there is none."""
    ips = (result or {}).get("ips") or [{}]
    return str(ips[0].get("address", "")).partition("/")[0]
