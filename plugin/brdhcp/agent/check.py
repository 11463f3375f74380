"""CHECK: is everything as ADD promised, without asking the server anything."""

from __future__ import annotations

from dataclasses import dataclass, replace

from brdhcp.agent import delegate, sandbox
from brdhcp.agent.attached import GRANTED, request_of
from brdhcp.agent.core import Core
from brdhcp.agent.guards import Rules, may_have
from brdhcp.bridge.check import Promised, There, differences, require_as_promised
from brdhcp.errors import CniError, InvalidNamespace, LeaseLost, UnknownContainer
from brdhcp.netlink.kernel import Kernel
from brdhcp.spec.environment import Request
from brdhcp.spec.netconf import NetConf
from brdhcp.spec.result import Result
from brdhcp.store.leases import Attachment, Key


@dataclass(frozen=True, slots=True)
class Finding:
    """One attachment and what is wrong with it; nothing when all is well."""

    attachment: Attachment
    faults: tuple[str, ...]


async def check(core: Core, request: Request, netconf: NetConf, netns_fd: int, stdin: bytes) -> None:
    """Raises ``LeaseLost`` (102), ``NotAsPromised`` (103), ``UnknownContainer`` (3), ``InvalidNamespace`` (8)."""
    if netns_fd < 0:
        raise InvalidNamespace(f"CNI_NETNS {request.netns!r} cannot be opened", "the container is gone")
    if netconf.delegated:
        await delegate.call(netconf.delegated, "CHECK", request.env, stdin, request.netns)
    key = Key(network=netconf.name, container_id=request.container_id, if_name=request.if_name)
    record = core.store.get(key)
    if record is None or record.state != "bound":
        there = await core.in_thread(_there, core.node, netconf.bridge.name, "", request.if_name, netns_fd)
        if there.pod is None:
            raise UnknownContainer(
                f"{key} is not known, and the pod has no {request.if_name}", "ADD was never done, or undone"
            )
        raise LeaseLost(f"no lease is known for {key}", "its record is lost: make the pod anew")
    _require_lease(record)
    there = await core.in_thread(_there, core.node, record.bridge, record.veth, request.if_name, netns_fd)
    there = replace(there, guards=await core.in_thread(_guards, record, Rules()))
    assert netconf.prev_result is not None
    promised = Promised(
        conf=netconf.bridge, result=netconf.prev_result, if_name=request.if_name, netns=request.netns,
        veth=record.veth, mac=record.mac,
    )  # fmt: skip
    require_as_promised(promised, there)


def _require_lease(record: Attachment) -> None:
    lost = record.extra.get("lost")
    if lost:
        raise LeaseLost(
            f"the lease of {record.key} is not what ADD promised: {lost}",
            "make the pod anew to get an address for it",
        )


def _there(node: Kernel, bridge: str, veth: str, if_name: str, netns_fd: int) -> There:
    with Kernel.in_netns(netns_fd) as inside:
        return There(
            bridge=node.link(bridge) if bridge else None, veth=node.link(veth) if veth else None,
            pod=inside.link(if_name), addresses=inside.addresses(), routes=inside.routes(),
        )  # fmt: skip


def _guards(record: Attachment, rules: Rules) -> tuple[str, ...]:
    """What the port lacks of its rules, by the configuration that ADD was called with."""
    if not may_have(record):
        return ()
    netconf = NetConf.parse(record.netconf.encode(), request_of(record))
    return rules.faults(
        netconf, record.veth, record.mac, Result.from_json(record.result or {}, version=GRANTED)
    )


def look(node: Kernel, record: Attachment, rules: Rules) -> Finding:
    """What ``brdhcpctl check`` says of one attachment: its lease, namespace, links, addresses, routes and guards."""
    faults: list[str] = []
    if record.extra.get("lost"):
        faults.append(f"the lease is lost: {record.extra['lost']}")
    if record.state != "bound":
        faults.append(
            {"intent": "ADD was not finished", "releasing": "its lease waits to be given back"}[record.state]
        )
        return Finding(record, tuple(faults))
    fd = sandbox.find(record)
    if fd < 0:
        return Finding(
            record, (*faults, f"its namespace {record.netns} is gone: brdhcpctl gc gives the lease back")
        )
    try:
        there = _there(node, record.bridge, record.veth, record.if_name, fd)
        netconf = NetConf.parse(record.netconf.encode(), request_of(record))
        promised = Promised(
            conf=netconf.bridge, result=Result.from_json(record.result or {}, version=GRANTED), if_name=record.if_name,
            netns=record.netns, veth=record.veth, mac=record.mac,
        )  # fmt: skip
        if not record.extra.get("lost"):
            there = replace(there, guards=_guards(record, rules))
        faults += differences(promised, there)
    except CniError as error:
        faults.append(str(error))
    finally:
        sandbox.close(fd)
    return Finding(record, tuple(faults))
