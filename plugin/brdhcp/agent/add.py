"""ADD: an interface on the bridge, a lease for it, and nothing left behind when either cannot be had."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from ipaddress import IPv4Address
from typing import Any

from brdhcp.agent import client, delegate, faults, ports, remove, sandbox, warm
from brdhcp.agent.attached import GRANTED, Attached, lease_json, lease_of
from brdhcp.agent.core import Core
from brdhcp.agent.keeper import Keeper, clock
from brdhcp.agent.sandbox import OpenPort, PodPort
from brdhcp.bridge import naming, outcome, pod
from brdhcp.dhcp.lease import Lease
from brdhcp.errors import CniError, InvalidEnvironment, InvalidNamespace, TryAgainLater
from brdhcp.netlink import netns
from brdhcp.spec.environment import Request
from brdhcp.spec.netconf import NetConf
from brdhcp.spec.result import Result
from brdhcp.store.leases import Attachment, Key


class Add:
    """One ADD. ``run`` either answers a result that is on disk, or raises and leaves nothing."""

    def __init__(self, core: Core, request: Request, netconf: NetConf, netns_fd: int, stdin: bytes) -> None:
        self.core = core
        self.request = request
        self.netconf = netconf
        self.netns_fd = netns_fd
        self.stdin = stdin
        self.ready: Attachment | None = None
        self.key = Key(network=netconf.name, container_id=request.container_id, if_name=request.if_name)
        self.record = Attachment(
            network=netconf.name, container_id=request.container_id, if_name=request.if_name
        )

    async def run(self) -> Result:
        """The result of ADD (CNI SPEC, "ADD Success"). Raises ``CniError``."""
        self._require_namespace()
        await self._require_new()
        async with AsyncExitStack() as undo:
            self._take_ready(undo)
            self.record = await self._intent()
            await self.core.save(self.record)
            undo.push_async_callback(self._shielded, self.core.forget, self.key)
            faults.point("add: intent on disk")
            result = await (
                self._ipam_only(undo) if self.request.role == "ipam" else self._bridge_and_ipam(undo)
            )
            undo.pop_all()
        await self._restock()
        return result

    def _take_ready(self, undo: AsyncExitStack) -> None:
        """A lease that was taken ahead, if the configuration wants that and there is one: its MAC will be the pod's."""
        if warm.wanted(self.netconf, self.request):
            self.ready = self.core.warm.take(self.netconf)
        if self.ready is not None:
            self.netconf = replace(self.netconf, mac=self.ready.mac)
            undo.push_async_callback(self._shielded, remove.remove, self.core, self.ready)

    async def _restock(self) -> None:
        if self.ready is not None:
            await self.core.forget(self.ready.key)
            self.netconf = replace(self.netconf, mac=None)
        self.core.warm.refill(self.netconf, self.request)

    def _require_namespace(self) -> None:
        if self.netns_fd < 0:
            os.close(sandbox.open_path(self.request.netns))
            raise InvalidNamespace(
                f"the shim could not open CNI_NETNS {self.request.netns!r}", "does it run as root?"
            )
        if not netns.is_network(self.netns_fd):
            raise InvalidNamespace(
                f"CNI_NETNS {self.request.netns!r} is not a network namespace",
                "the runtime must name the pod's",
            )
        if sandbox.is_own(self.netns_fd):
            raise InvalidNamespace(
                f"CNI_NETNS {self.request.netns!r} is the node's own namespace",
                "a pod with hostNetwork needs no CNI interface",
            )

    async def _require_new(self) -> None:
        """Nothing of this name is alive; what a dead one left is cleaned up."""
        for record in self.core.store:
            if (record.container_id, record.if_name) != (self.request.container_id, self.request.if_name):
                continue
            if record.state == "bound" and await self.core.in_thread(sandbox.alive, record):
                raise InvalidEnvironment(
                    f"container {record.container_id} has {record.if_name} already, on network {record.network}",
                    "DEL it first; CNI_CONTAINERID and CNI_IFNAME together name one attachment",
                )
            await remove.remove(self.core, record)

    async def _intent(self) -> Attachment:
        """What will be done, with all that it takes to undo it: the link's name and who the server will know."""
        request, netconf = self.request, self.netconf
        if request.role == "ipam":
            mac, bridge, veth = *await self._made_by_another(), ""
        else:
            mac = naming.wanted_mac(netconf, request)
            bridge, veth = netconf.bridge.name, naming.veth_name(request.container_id, request.if_name)
        who = client.identity(netconf, request, mac).effective_client_id if netconf.dhcp else None
        if self.ready is not None:
            who = bytes.fromhex(self.ready.client_id)
        return self.record.replace(
            role=request.role, netns=request.netns, netns_identity=netns.identity(self.netns_fd),
            boot_id=sandbox.boot_id(), bridge=bridge, veth=veth, mac=mac, client_id=(who or b"").hex(),
            netconf=self.stdin.decode(), args=request.env.get("CNI_ARGS", ""), path=":".join(request.path),
            pod=request.pod, hostname=netconf.dhcp.hostname if netconf.dhcp else "",
            created_at=time.time(), extra={"warm": True} if self.ready is not None else {},
        )  # fmt: skip

    async def _made_by_another(self) -> tuple[str, str]:
        """``brdhcp-ipam``: the MAC of the interface that the main plugin made, and the node's interface behind it."""
        link = await self.core.in_thread(ports.inside_link, self.netns_fd, self.request.if_name)
        if link is None:
            raise InvalidEnvironment(
                f"CNI_IFNAME {self.request.if_name} is not in the container's namespace",
                "the main plugin must make it before it calls its IPAM, as bridge and macvlan do",
            )
        if not link.up:
            await self.core.in_thread(ports.set_up, self.netns_fd, self.request.if_name)
        return link.address, await self.core.in_thread(ports.way_out, self.core.node, link)

    async def _bridge_and_ipam(self, undo: AsyncExitStack) -> Result:
        core, request, netconf = self.core, self.request, self.netconf
        plugged = await self._plugged(undo)
        await self._note_cookie(plugged.sockets[0] if plugged.sockets else None)
        faults.point("add: link made")
        if netconf.dhcp is not None:
            lease = await self._lease(undo, plugged.port.mac, plugged.sockets)
            result = outcome.of_lease(lease, netconf, self._service_router(lease))
            mtu = pod.mtu_of(lease.mtu, netconf.bridge.mtu, plugged.port.bridge_mtu)
        elif netconf.delegated:
            result = await self._delegated(undo)
            steps = await core.in_thread(ports.gateway, core.node, netconf, result)
            undo.push_async_callback(self._shielded, core.in_thread, ports.undo, core.node, steps)
            mtu = plugged.port.mtu
        else:
            result, mtu = Result(dns=netconf.dns), plugged.port.mtu
        result = ports.interfaces(core.node, plugged, request, result)
        if result.ips:
            changed = None if mtu == plugged.port.mtu else mtu
            await core.in_thread(ports.configure, self.netns_fd, request.if_name, result, netconf, changed)
            back = (self.netns_fd, request.if_name, result, Result(), netconf)
            undo.push_async_callback(self._shielded, core.in_thread, ports.reconfigure, *back)
            faults.point("add: address set")
        if ports.is_guarded(netconf):
            guarded = (netconf, plugged.port.veth, plugged.port.mac, result)
            undo.push_async_callback(self._shielded, core.in_thread, ports.unguard, *guarded)
            await core.in_thread(ports.guard, *guarded)
        await self._bound(result)
        return result

    async def _plugged(self, undo: AsyncExitStack) -> ports.Plugged:
        """The interface; taken away again also when nobody waits any more for the thread that makes it."""
        call = self.core.in_thread(ports.plug, self.core.node, self.netconf, self.request, self.netns_fd)
        making = asyncio.create_task(call, name="plug")
        undo.push_async_callback(self._shielded, self._unplug, making)
        return await asyncio.shield(making)

    async def _unplug(self, making: asyncio.Task[ports.Plugged]) -> None:
        try:
            plugged = await making
        except CniError:
            return  # it has undone itself
        for sock in plugged.sockets or ():
            sock.close()
        await self.core.in_thread(ports.unmake, self.core.node, plugged.steps)

    async def _note_cookie(self, inside: socket.socket | None) -> None:
        """A dead namespace's identity may become another's, its cookie never. A socket ``inside`` knows it."""
        cookie = (
            netns.cookie_of(inside)
            if inside is not None
            else await self.core.in_thread(netns.cookie, self.netns_fd)
        )
        self.record = self.record.replace(extra={**self.record.extra, sandbox.COOKIE: cookie})

    def _service_router(self, lease: Lease) -> IPv4Address | None:
        """The node's address, where services are reached through it; only then is the kernel asked."""
        if not self.netconf.service_cidr:
            return None
        return ports.node_address(self.core.node, self.record.bridge, lease.address.network)

    async def _ipam_only(self, undo: AsyncExitStack) -> Result:
        """``brdhcp-ipam``: another plugin made the interface and will give it the address."""
        await self._note_cookie(None)
        lease = await self._lease(undo, self.record.mac)
        result = outcome.of_lease(lease, self.netconf, self._service_router(lease))
        await self._bound(result)
        return result

    async def _lease(
        self, undo: AsyncExitStack, mac: str, sockets: tuple[socket.socket, socket.socket] | None = None
    ) -> Lease:
        """DORA through the pod's own interface, on ``sockets`` where they are open already."""
        assert self.netconf.dhcp is not None
        who, how = (
            client.identity_of(self.netconf, self.request, self.record),
            client.policy(self.netconf.dhcp),
        )
        had = lease_of(self.ready) if self.ready is not None else None
        machine = (
            client.resumed(who, how, had, clock()) if had is not None else client.fresh(who, how, clock())
        )
        attached = Attached(self.core, self.record)
        keeper = Keeper(
            machine, OpenPort(self.netns_fd, self.request.if_name, mac), attached, self.core.closer
        )
        if sockets is not None:
            keeper.adopt(*sockets)
        attached.keeper = keeper
        undo.push_async_callback(self._abandon, keeper)
        lease = had or await self._acquired(keeper)
        faults.point("add: lease acquired")
        keeper.port = PodPort(self.record, mac)
        self.core.attached[self.key] = attached
        return lease

    async def _acquired(self, keeper: Keeper) -> Lease:
        try:
            return await keeper.acquire()
        except TryAgainLater as error:
            await self.core.warm.retreat(self.netconf.name)
            raise TryAgainLater(
                error.msg, await self.core.in_thread(ports.why_silent, self.core.node, self.record.bridge)
            ) from error

    async def _abandon(self, keeper: Keeper) -> None:
        """Give back what was acquired, or may be just being granted; stop asking."""
        self.core.attached.pop(self.key, None)
        keeper.port = OpenPort(self.netns_fd, self.request.if_name, keeper.port.mac)
        try:
            if keeper.held is not None:
                keeper.release(remove.COPIES)
        except CniError as error:
            self.core.events("undo-failed", f"{self.key}: {error}", "error", attachment=str(self.key))
        finally:
            keeper.close()

    async def _delegated(self, undo: AsyncExitStack) -> Result:
        plugin = self.netconf.delegated
        where = _netns_path(self.request, self.netns_fd)

        async def give_back() -> None:
            await delegate.call(plugin, "DEL", self.request.env, self.stdin, where)

        undo.push_async_callback(self._shielded, give_back)
        answer = await delegate.call(plugin, "ADD", self.request.env, self.stdin, where)
        return outcome.of_delegate(
            Result.from_json(answer, f"the result of {plugin}", self.netconf.cni_version), self.netconf
        )

    async def _bound(self, result: Result) -> None:
        """What was promised is on disk before it is answered."""
        attached = self.core.attached.get(self.key)
        lease = attached.keeper.lease if attached is not None and attached.keeper is not None else None
        if lease is None and self.netconf.dhcp is not None:
            raise TryAgainLater(
                f"the lease of {self.key} ended before the pod had it",
                "is its time shorter than that of the probe?",
            )
        self.record = self.record.replace(
            state="bound",
            lease=lease_json(lease) if lease is not None else None,
            result=result.as_json(GRANTED),
        )
        await self.core.save(self.record)
        faults.point("add: lease on disk")
        if attached is None:
            attached = self.core.attached[self.key] = Attached(self.core, self.record)
        attached.record = self.record
        if attached.keeper is not None:
            attached.keeper.port = PodPort(self.record, self.record.mac)
            assert lease is not None
            attached.keeper.announce(lease.address.ip)
            if self.ready is not None:
                attached.keeper.resume()
                if self.record.hostname:
                    attached.keeper.renew()  # it was taken without a name: this tells the server
        self._event(attached, lease)

    def _event(self, attached: Attached, lease: Lease | None) -> None:
        if lease is not None:
            self.core.events(
                "lease-acquired", f"{attached.name} has {lease.address} for {lease.lease_s} s", "info",
                attachment=str(self.key), pod=self.record.pod or None, mac=self.record.mac,
                address=str(lease.address.ip), server=str(lease.server_id), lease_s=lease.lease_s,
            )  # fmt: skip

    async def _shielded(self, call: Callable[..., Awaitable[Any]], *args: Any) -> None:
        """Part of undoing: carried through when the request is cancelled, and its own failure hides nothing."""
        try:
            await asyncio.shield(call(*args))
        except CniError as error:
            self.core.events("undo-failed", f"{self.key}: {error}", "error", attachment=str(self.key))


def _netns_path(request: Request, fd: int) -> str:
    """A path to the namespace that a child of the agent can open."""
    try:
        if netns.identity(request.netns) == netns.identity(fd):
            return request.netns
    except InvalidNamespace:
        pass
    return f"/proc/{os.getpid()}/fd/{fd}"
