"""From configuration and observation to steps on the node: the bridge, and one pod's port on it. Pure.

The path of an ADD is one request: the pair is made with its other end in the pod's namespace, its MAC and
MTU set, the node's end up and in the bridge. Everything else is asked for only when the configuration says
so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_interface

from brdhcp.bridge import naming
from brdhcp.errors import InvalidConfiguration, UnsupportedField
from brdhcp.netlink.change import (
    Address,
    AddressAdd,
    AddressDelete,
    BridgeVlan,
    Change,
    LinkAdd,
    LinkDelete,
    LinkSet,
    Step,
    SysctlSet,
)
from brdhcp.netlink.observe import IFF_PROMISC, Link
from brdhcp.spec.netconf import Bridge
from brdhcp.spec.result import Result

DEFAULT_MTU = 1500


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """Where one pod is plugged in: the names of both ends, their MACs and the pod's MTU."""

    bridge: str
    veth: str
    veth_mac: str
    if_name: str
    mac: str
    mtu: int
    bridge_mac: str
    bridge_mtu: int


def ensure_bridge(conf: Bridge, here: Link | None, seed: str) -> tuple[Step, ...]:
    """The bridge of ``conf`` exists and is up; nothing when that is so. ``here`` is the link of its name,
    if any.

    Made without spanning tree and without forward delay, so that a port forwards at once, and with a MAC of
    its own, so that no pod that comes or goes changes it. One that exists keeps every setting it has.
    ``accept_ra`` is never touched: a bridge may carry the node's uplink. Raises InvalidConfiguration when
    something else has the name.
    """
    name, wants_vlans = conf.name, bool(conf.vlan or conf.vlan_trunk)
    if here is None:
        data = {"stp_state": 0, "forward_delay": 0} | ({"vlan_filtering": 1} if wants_vlans else {})
        made = LinkAdd(
            name=name, kind="bridge", address=naming.bridge_mac(name, seed), mtu=conf.mtu, up=True, data=data
        )
        more = (LinkSet(name=name, promisc=True),) if conf.promisc_mode else ()
        return (Step(title=f"make the bridge {name}", do=(made, *more), undo=(LinkDelete(name=name),)),)
    _require_bridge(conf, here, wants_vlans)
    up = None if here.up else True
    promisc = True if conf.promisc_mode and not here.flags & IFF_PROMISC else None
    if up is None and promisc is None:
        return ()
    back = LinkSet(name=name, up=None if up is None else False, promisc=None if promisc is None else False)
    return (
        Step(
            title=f"set the bridge {name} up", do=(LinkSet(name=name, up=up, promisc=promisc),), undo=(back,)
        ),
    )


def _require_bridge(conf: Bridge, here: Link, wants_vlans: bool) -> None:
    if here.kind != "bridge":
        what = f"a link of kind {here.kind}" if here.kind else "a network card"
        raise InvalidConfiguration(
            f'bridge "{conf.name}" is {what}, not a bridge',
            f"brdhcpctl uplink puts {conf.name} into a bridge, with the node's address; name that bridge",
        )
    if wants_vlans and not here.bridge.get("vlan_filtering"):
        raise InvalidConfiguration(
            f"vlan and vlanTrunk need VLAN filtering on the bridge {conf.name}, which has it off",
            f"ip link set {conf.name} type bridge vlan_filtering 1, when no port of it minds",
        )


def port_of(
    conf: Bridge,
    here: Link | None,
    *,
    container_id: str,
    if_name: str,
    network: str,
    mac: str | None,
    seed: str,
) -> Port:
    """The port of one pod on the bridge ``here`` (None: the one that ``ensure_bridge`` makes with the same
    ``seed``).

    ``mac`` is what the configuration asked for. The node's end always has the bridge's MTU, since a bridge
    takes the lowest of its ports and the node's own traffic would shrink with it. Raises
    InvalidConfiguration for an ``mtu`` that the bridge does not carry.
    """
    bridge_mtu = here.mtu if here is not None else conf.mtu or DEFAULT_MTU
    if conf.mtu is not None and conf.mtu > bridge_mtu:
        raise InvalidConfiguration(
            f"mtu {conf.mtu} is above the {bridge_mtu} of the bridge {conf.name}",
            "frames of that size would be lost; leave mtu out to use the bridge's",
        )
    return Port(
        bridge=conf.name,
        veth=naming.veth_name(container_id, if_name),
        veth_mac=naming.port_mac(container_id, if_name),
        if_name=if_name,
        mac=mac or naming.pod_mac(container_id, if_name, network),
        mtu=conf.mtu or bridge_mtu,
        bridge_mac=here.address if here is not None else naming.bridge_mac(conf.name, seed),
        bridge_mtu=bridge_mtu,
    )


def attach(conf: Bridge, port: Port, netns_fd: int) -> tuple[Step, ...]:
    """The pair with one end in the bridge and the other, still down, in the namespace ``netns_fd``."""
    made = LinkAdd(
        name=port.veth,
        kind="veth",
        address=port.veth_mac,
        mtu=port.bridge_mtu,
        up=True,
        master=port.bridge,
        peer=port.if_name,
        peer_address=port.mac,
        peer_mtu=port.mtu,
        peer_netns_fd=netns_fd,
    )
    return (
        Step(
            title=f"plug {port.if_name} of the pod into {port.bridge} as {port.veth}",
            do=(made, *port_settings(conf, port.veth)),
            undo=(LinkDelete(name=port.veth),),
        ),
    )


def port_settings(conf: Bridge, veth: str) -> tuple[Change, ...]:
    """What the kernel forgets of a port that leaves its bridge: hairpin mode, isolation, VLANs."""
    settings = {"hairpin": conf.hairpin_mode, "isolated": conf.port_isolation}
    wanted = {name: 1 for name, on in settings.items() if on}
    changes: list[Change] = [LinkSet(name=veth, port=wanted)] if wanted else []
    if (conf.vlan or conf.vlan_trunk) and not conf.preserve_default_vlan:
        changes.append(BridgeVlan(dev=veth, vid=1, add=False))
    if conf.vlan:
        changes.append(BridgeVlan(dev=veth, vid=conf.vlan, pvid=True, untagged=True))
    changes += [
        BridgeVlan(dev=veth, vid=low, vid_end=high if high > low else None) for low, high in conf.vlan_trunk
    ]
    return tuple(changes)


def detach(veth: str) -> tuple[Change, ...]:
    """Both ends of the pair are gone, addresses and routes of the pod's end with them. Takes the kernel
    about 20 ms.
    """
    return (LinkDelete(name=veth),)


def gateway(
    conf: Bridge,
    result: Result,
    addresses: Iterable[Address],
    *,
    carries_uplink: bool = False,
    sysctls: Mapping[str, str] | None = None,
) -> tuple[Step, ...]:
    """``isGateway`` with a delegated IPAM: the bridge has the gateway's addresses and the node forwards.

    ``addresses`` are the node's, ``carries_uplink`` says that a port of the bridge is no pod's, ``sysctls``
    are the present values of ``ipv4/ip_forward``, ``ipv6/conf/all/forwarding`` and every
    ``ipv6/conf/*/accept_ra``: where that is 1 it becomes 2, or turning forwarding on would take the node's
    own IPv6 default route. Raises UnsupportedField when another address is in the way, and ``forceAddress``
    is not set or not safe.
    """
    if not conf.is_gateway:
        return ()
    present = [address for address in addresses if address.dev == conf.name]
    do: list[Change] = []
    undo: list[Change] = []
    families: set[int] = set()
    for ip in result.ips:
        if ip.gateway is None:
            continue
        families.add(ip.address.version)
        wanted = ip_interface(f"{ip.gateway}/{ip.address.network.prefixlen}")
        mine = [a for a in present if ip_interface(a.address).version == wanted.version]
        if any(ip_interface(a.address) == wanted for a in mine):
            continue
        for old in mine:
            if wanted.version == 4 or ip_interface(old.address).network.overlaps(wanted.network):
                _require_replaceable(conf, old, str(wanted), carries_uplink)
                do.append(AddressDelete(address=old))
                undo.append(AddressAdd(address=old))
        broadcast = str(wanted.network.broadcast_address) if wanted.version == 4 else None
        address = Address(dev=conf.name, address=str(wanted), broadcast=broadcast)
        do.append(AddressAdd(address=address))
        undo.append(AddressDelete(address=address))
    for change, back in _forwarding(families, sysctls or {}):
        do.append(change)
        undo.append(back)
    if not do:
        return ()
    return (Step(title=f"make {conf.name} the pods' gateway", do=tuple(do), undo=tuple(reversed(undo))),)


def _require_replaceable(conf: Bridge, old: Address, wanted: str, carries_uplink: bool) -> None:
    if conf.force_address and not carries_uplink:
        return
    why = "forceAddress would cut the node off: the bridge carries its uplink" if conf.force_address else ""
    raise UnsupportedField(
        f"isGateway wants {wanted} on {conf.name}, which has {old.address}",
        why or "set forceAddress to replace it, or leave isGateway out",
    )


def _forwarding(families: set[int], sysctls: Mapping[str, str]) -> list[tuple[SysctlSet, SysctlSet]]:
    wanted: dict[str, str] = {}
    if 4 in families and sysctls.get("ipv4/ip_forward") != "1":
        wanted["ipv4/ip_forward"] = "1"
    if 6 in families and sysctls.get("ipv6/conf/all/forwarding") != "1":
        wanted |= {p: "2" for p, value in sysctls.items() if p.endswith("/accept_ra") and value == "1"}
        wanted["ipv6/conf/all/forwarding"] = "1"
    return [
        (SysctlSet(path=path, value=value), SysctlSet(path=path, value=sysctls.get(path, "0")))
        for path, value in wanted.items()
    ]
