"""DEL, and every other way an attachment ends: remove the link, release the lease, forget the record; in that order.

The link goes first: the server may give the address to the next pod as soon as it has the release, and until then
nobody may answer to it. The release leaves by the bridge. Each part finds its work done already when an earlier attempt
was cut off, so it can be repeated until the record is gone.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from brdhcp.agent import client, delegate, faults, ports, sandbox
from brdhcp.agent.attached import Attached, lease_of, request_of
from brdhcp.agent.keeper import Keeper, clock
from brdhcp.agent.sandbox import NodePort, PodPort
from brdhcp.dhcp.frame import mac_bytes
from brdhcp.dhcp.identity import Identity, Policy, ProbeKind
from brdhcp.dhcp.lease import Lease
from brdhcp.errors import CniError, InvalidNamespace, StoreFailure
from brdhcp.spec.ipam import Dhcp
from brdhcp.spec.netconf import NetConf
from brdhcp.spec.result import Result
from brdhcp.store.leases import Attachment

if TYPE_CHECKING:
    from brdhcp.agent.core import Core

RECOVER_S = 2.0
"""How long the lease of an unfinished ADD is asked for, to be given back."""

COPIES = 2
"""DHCPRELEASEs where there will be no way to send another one later."""
AGAIN_S = (1.0, 3.0)
"""Pauses before each further DHCPRELEASE where there will be."""


async def remove(core: Core, record: Attachment) -> bool:
    """End one attachment. False when its lease could not be given back yet: the record waits for the reconcile.

    What becomes of its lease meanwhile is waited for, or comes too late. Raises ``StoreFailure`` when it can neither be
    written down nor taken away: then nothing was done.
    """
    attached = core.attached.get(record.key)
    if attached is None:
        return await _remove(core, record)
    async with attached.lock:
        return await _remove(core, core.store.get(record.key) or record)


async def _remove(core: Core, record: Attachment) -> bool:
    if record.state != "releasing":
        unfinished = {"unfinished": True} if record.state == "intent" else {}
        record = record.replace(state="releasing", extra={**record.extra, **unfinished})
        try:
            await core.save(record)
        except StoreFailure as error:
            # A full disk must not keep an address: taking a record away needs no room. Where not even that can be
            # done nothing is given back either, or the next agent would go on with a lease that is not ours any more.
            await core.in_thread(core.store.delete, record.key)
            core.events("record-not-saved", f"{record.key}: {error}", "error", attachment=str(record.key))
    faults.point("del: releasing on disk")
    if (attached := core.attached.get(record.key)) is not None and attached.keeper is not None:
        attached.keeper.close()  # it asks for nothing any more that would have to be given back
    lease = _lease(core, record)
    unplugged = await _vacate(core, record, lease)
    released = await _release(core, record, lease)
    faults.point("del: release sent")
    await _give_back_delegated(core, record)
    if record.veth:
        if not unplugged:
            await core.links.delete(record.veth)
        await _unguard(core, record)
    faults.point("del: link deleted")
    if not released:
        attached = core.attached.pop(record.key, None)
        if attached is not None:
            attached.close()
        return False
    await core.forget(record.key)
    faults.point("del: record deleted")
    return True


async def _release(core: Core, record: Attachment, lease: Lease | None) -> bool:
    """Send DHCPRELEASE by the best way there is. True when sent, or when there is nothing to release any more."""
    attached = core.attached.get(record.key)
    if lease is None and record.extra.get("unfinished"):
        return await _release_unknown(core, record)
    if lease is None or lease.expires_at <= clock():
        return True
    keeper = attached.keeper if attached else None
    name = attached.name if attached else str(record.key)
    for port in _ways_out(core, record, lease):
        try:
            if keeper is None:
                keeper = _keeper_for_release(core, record, lease)
            keeper.port = port
            if isinstance(port, NodePort):
                send = partial(core.outlet.send, port.if_name)
                again = _again(core, record, send, keeper.release_by(send))
                core.background(again, f"release of {record.key}")
            else:
                keeper.release(COPIES)
        except CniError as error:
            why = error
            continue
        core.events(
            "lease-released", f"{name} gave {lease.address.ip} back to {lease.server_id}", "info",
            attachment=str(record.key), pod=record.pod or None, mac=record.mac, address=str(lease.address.ip),
            server=str(lease.server_id),
        )  # fmt: skip
        return True
    if isinstance(why, InvalidNamespace) and _in_vlan(record):
        core.events(
            "release-impossible", f"the lease of {name} is left to expire: only the pod was in its VLAN", "warning",
            attachment=str(record.key), address=str(lease.address.ip),
        )  # fmt: skip
        return True
    core.events(
        "release-waits", f"the lease of {name} cannot be given back now: {why.msg}", "warning",
        attachment=str(record.key), address=str(lease.address.ip),
    )  # fmt: skip
    return False


async def _again(
    core: Core, record: Attachment, send: Callable[[bytes], None], frames: Sequence[bytes]
) -> None:
    """DHCPRELEASE is never answered, and a LAN may lose it: so it is sent again, while nobody waits.

    Not under an identity that a newer pod may have, here or on another node: it would be that pod's release.
    """
    for pause in AGAIN_S:
        await asyncio.sleep(pause)
        if _taken_again(core, record):
            return
        for frame in frames:
            with suppress(CniError):
                send(frame)


def _taken_again(core: Core, record: Attachment) -> bool:
    newer = (each for each in core.store if each.created_at > record.created_at)
    if any(record.mac == each.mac or record.client_id == each.client_id != "" for each in newer):
        return True
    if not record.netconf:
        return False  # a lease that was taken ahead
    try:
        return not client.single_use(NetConf.parse(record.netconf.encode(), request_of(record)))
    except CniError:
        return True


async def _vacate(core: Core, record: Attachment, lease: Lease | None) -> bool:
    """Nobody answers to the lease's address any more, and the release can still leave. Whether the link is gone."""
    if not record.veth or (lease is None and not record.extra.get("unfinished")):
        return False
    if not _through_pod(core, record, lease):
        await core.links.delete(record.veth)
        return True
    fd = sandbox.find(record)
    try:
        if fd >= 0 and record.result is not None:
            attached = Attached(core, record)
            old = (record.if_name, attached.result(), Result(), attached.netconf())
            await core.in_thread(ports.reconfigure, fd, *old)
    except CniError as error:
        core.events("undo-failed", f"{record.key}: {error}", "warning", attachment=str(record.key))
    finally:
        sandbox.close(fd)
    return False


async def _release_unknown(core: Core, record: Attachment) -> bool:
    """An ADD that was killed may have got a lease that nobody wrote down: ask as the same client, and give it back."""
    dhcp = NetConf.parse(record.netconf.encode(), request_of(record)).dhcp if record.netconf else Dhcp()
    inside = bool(record.veth) and _through_pod(core, record, None)
    if dhcp is None or not record.mac or (_in_vlan(record) and not inside):
        return True
    how = Policy(patience_s=RECOVER_S, probe=ProbeKind.NONE, trusted_servers=frozenset(dhcp.trusted_servers))
    who = _identity(record)
    keeper = Keeper(
        client.fresh(who, how, clock()),
        PodPort(record, record.mac) if inside else NodePort(record.bridge, record.mac),
        Attached(core, record),
        core.closer,
    )
    try:
        await keeper.acquire()
        keeper.release(COPIES)
    except CniError:
        return True  # no server, no bridge: then nothing can be given back, and the lease ends by itself
    finally:
        keeper.close()
    return True


def _ways_out(core: Core, record: Attachment, lease: Lease) -> list[PodPort | NodePort]:
    """The bridge, with the pod's MAC: what a chained plugin did to the pod's own interface is no hindrance there.

    The pod's interface is first where the bridge cannot stand in for it: its VLAN, or a server on this very node, which
    frames that the bridge sends never reach. What the bridge sends is in no pod's VLAN at all.
    """
    from_node, from_pod = NodePort(record.bridge, record.mac), PodPort(record, record.mac)
    if _in_vlan(record):
        return [from_pod]
    return [from_pod, from_node] if _through_pod(core, record, lease) else [from_node, from_pod]


def _in_vlan(record: Attachment) -> bool:
    if '"vlan"' not in record.netconf:
        return False
    return bool(NetConf.parse(record.netconf.encode(), request_of(record)).bridge.vlan)


def _through_pod(core: Core, record: Attachment, lease: Lease | None) -> bool:
    if not record.veth:
        return True
    here = lease is not None and lease.server_mac == ports.mac_of(core.node, record.bridge)
    tagged = '"vlan' in record.netconf
    return (here or tagged) and ports.is_plugged(core.node, record.veth, record.bridge)


def _lease(core: Core, record: Attachment) -> Lease | None:
    """The lease as it is now; one that was lost may be just being granted again."""
    attached = core.attached.get(record.key)
    return attached.keeper.held if attached and attached.keeper else _lease_on_disk(core, record)


def _lease_on_disk(core: Core, record: Attachment) -> Lease | None:
    try:
        return lease_of(record)
    except ValueError as error:
        core.events(
            "lease-unreadable", f"{record.key}: {error}; the server will free it when it expires", "warning"
        )
        return None


def _keeper_for_release(core: Core, record: Attachment, lease: Lease) -> Keeper:
    """A client that knows just enough to release: the identity that the server knows the lease by."""
    machine = client.resumed(_identity(record), Policy(), lease, clock())
    return Keeper(machine, NodePort(record.bridge, record.mac), Attached(core, record), core.closer)


def _identity(record: Attachment) -> Identity:
    return Identity(
        chaddr=mac_bytes(record.mac), client_id=bytes.fromhex(record.client_id) if record.client_id else None
    )


async def _give_back_delegated(core: Core, record: Attachment) -> None:
    """DEL of a delegated IPAM. Its failure is said, and does not keep the link."""
    if not record.netconf:
        return  # a lease that was taken ahead
    request = request_of(record)
    with suppress(CniError):
        netconf = NetConf.parse(record.netconf.encode(), request)
        if not netconf.delegated:
            return
        fd = sandbox.find(record)
        try:
            path = f"/proc/{os.getpid()}/fd/{fd}" if fd >= 0 else ""
            await delegate.call(netconf.delegated, "DEL", request.env, record.netconf.encode(), path)
        except CniError as error:
            core.events("ipam-del-failed", f"{record.key}: {error}", "warning", attachment=str(record.key))
        finally:
            sandbox.close(fd)


async def _unguard(core: Core, record: Attachment) -> None:
    try:
        attached = Attached(core, record)
        netconf = attached.netconf()
        if ports.is_guarded(netconf):
            await core.in_thread(ports.unguard, netconf, record.veth, record.mac, attached.result())
    except CniError as error:
        core.events("undo-failed", f"{record.key}: {error}", "warning", attachment=str(record.key))


async def leftovers(core: Core, container_id: str, if_name: str) -> None:
    """What an ADD that nobody remembers may have left: the link, whose name follows from who the pod is.

    The network is no part of that name: where another network's attachment has the interface, the link is its.
    """
    if any((each.container_id, each.if_name) == (container_id, if_name) for each in core.store):
        return
    await core.links.delete(ports.naming.veth_name(container_id, if_name))


def expired(record: Attachment) -> bool:
    """Whether a lease that could not be given back has ended by itself."""
    try:
        lease = lease_of(record)
    except ValueError:
        return True
    return lease is not None and lease.expires_at <= clock()
