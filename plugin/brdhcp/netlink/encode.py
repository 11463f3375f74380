"""Changes to rtnetlink messages (rtnetlink(7)); pyroute2's message classes are the codec, nothing else of it
is used."""

from __future__ import annotations

import struct
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

from pyroute2.netlink.rtnl.fibmsg import fibmsg
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.ndmsg import ndmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from brdhcp.netlink.change import (
    Address,
    AddressAdd,
    AddressDelete,
    BridgeVlan,
    Change,
    LinkAdd,
    LinkDelete,
    LinkSet,
    NeighbourAdd,
    NextHop,
    Route,
    RouteAdd,
    RouteDelete,
    Rule,
    RuleAdd,
    RuleDelete,
)
from brdhcp.netlink.rtnetlink import HEADER, Request

AF_INET, AF_INET6, AF_BRIDGE = 2, 10, 7
RTM_NEWLINK, RTM_DELLINK, RTM_SETLINK = 16, 17, 19
RTM_NEWADDR, RTM_DELADDR = 20, 21
RTM_NEWROUTE, RTM_DELROUTE = 24, 25
RTM_NEWNEIGH = 28
RTM_NEWRULE, RTM_DELRULE = 32, 33
NLM_F_REPLACE, NLM_F_EXCL, NLM_F_CREATE, NLM_F_APPEND = 0x100, 0x200, 0x400, 0x800
NLA_F_NESTED = 0x8000
IFF_UP, IFF_PROMISC = 0x1, 0x100
FOREVER = 0xFFFFFFFF
RT_TABLE_COMPAT = 252
"""What the eight bits of rtm_table say when the table needs RTA_TABLE."""
RTNH_F_ONLINK = 4
KERNEL_OWNED_ADDRESS_FLAGS = 0x01 | 0x08 | 0x20 | 0x40 | 0x80 | 0x800
"""IFA_F_SECONDARY, DADFAILED, DEPRECATED, TENTATIVE, PERMANENT, STABLE_PRIVACY: the kernel says them, nobody
asks for them."""
PORT_NAMES = {"hairpin": "MODE", "flood": "UNICAST_FLOOD", "root_block": "PROTECT", "fastleave": "FAST_LEAVE",
              "mcast_to_unicast": "MCAST_TO_UCAST"}  # fmt: skip
"""The words of bridge(8) that are not the kernel's IFLA_BRPORT_* names."""
RULE_HEADER = ("src_len", "dst_len", "tos", "flags")

Index = Callable[[str], int]
Message = tuple[Any, int, int]
"""A pyroute2 message without header, its RTM_* type and its NLM_F_* flags (request and acknowledge come on
top)."""


def requests(change: Change, index: Index) -> list[Request]:
    """What asks the kernel for ``change``; ``index`` turns a link's name into its number (raises
    LookupError)."""
    encoded: list[Request] = []
    for message, kind, flags in _messages(change, index):
        message.encode()
        encoded.append((kind, flags, bytes(message.data[HEADER.size :])))
    return encoded


def _messages(change: Change, index: Index) -> list[Message]:
    match change:
        case LinkAdd():
            return [_link_add(change, index)]
        case LinkSet():
            return _link_set(change, index)
        case LinkDelete(name=name):
            return [(_message(ifinfmsg, index=index(name)), RTM_DELLINK, 0)]
        case AddressAdd(address=address, replace=replace):
            return [
                (
                    _address(address, index),
                    RTM_NEWADDR,
                    NLM_F_CREATE | (NLM_F_REPLACE if replace else NLM_F_EXCL),
                )
            ]
        case AddressDelete(address=address):
            return [(_address(address, index, delete=True), RTM_DELADDR, 0)]
        case RouteAdd(route=route):
            return [(_route(route, index), RTM_NEWROUTE, NLM_F_CREATE | _place(change))]
        case RouteDelete(route=route):
            return [(_route(route, index, delete=True), RTM_DELROUTE, 0)]
        case RuleAdd(rule=rule):
            return [(_rule(rule), RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL)]
        case RuleDelete(rule=rule):
            return [(_rule(rule), RTM_DELRULE, 0)]
        case NeighbourAdd():
            return [(_neighbour(change, index), RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE)]
        case BridgeVlan():
            return [_vlan(change, index)]
        case _:
            raise TypeError(f"{type(change).__name__} is not a message of rtnetlink")


def _message(kind: Any, attrs: list[tuple[Any, ...]] | None = None, **header: int) -> Any:
    message = kind()
    message.update(header)
    message["attrs"] = attrs or []
    return message


def _given(**attrs: Any) -> list[tuple[Any, ...]]:
    return [(name, value) for name, value in attrs.items() if value is not None]


def _link_add(link: LinkAdd, index: Index) -> Message:
    attrs = _given(IFLA_IFNAME=link.name, IFLA_ADDRESS=link.address, IFLA_MTU=link.mtu)
    if link.master:
        attrs.append(("IFLA_MASTER", index(link.master)))
    prefix = {"bridge": "IFLA_BR_", "vlan": "IFLA_VLAN_"}.get(link.kind, "IFLA_")
    data: list[tuple[str, Any]] = [(prefix + name.upper(), value) for name, value in link.data.items()]
    if link.peer is not None:
        peer = _given(IFLA_IFNAME=link.peer, IFLA_ADDRESS=link.peer_address, IFLA_MTU=link.peer_mtu,
                      IFLA_NET_NS_FD=link.peer_netns_fd)  # fmt: skip
        data.append(("VETH_INFO_PEER", {"attrs": peer}))
    info: list[tuple[str, Any]] = [("IFLA_INFO_KIND", link.kind)]
    if data:
        info.append(("IFLA_INFO_DATA", {"attrs": data}))
    attrs.append(("IFLA_LINKINFO", {"attrs": info}))
    up = IFF_UP if link.up else 0
    return _message(ifinfmsg, attrs, flags=up, change=up), RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL


def _link_set(link: LinkSet, index: Index) -> list[Message]:
    number = index(link.name)
    attrs = _given(
        IFLA_IFNAME=link.new_name, IFLA_ADDRESS=link.address, IFLA_MTU=link.mtu, IFLA_IFALIAS=link.alias
    )
    if link.master is not None:
        attrs.append(("IFLA_MASTER", index(link.master) if link.master else 0))
    flags = change = 0
    for wanted, bit in ((link.up, IFF_UP), (link.promisc, IFF_PROMISC)):
        change |= bit if wanted is not None else 0
        flags |= bit if wanted else 0
    done: list[Message] = []
    if attrs or change:
        done.append((_message(ifinfmsg, attrs, index=number, flags=flags, change=change), RTM_SETLINK, 0))
    if link.port:
        port = [
            (f"IFLA_BRPORT_{PORT_NAMES.get(name, name.upper())}", value) for name, value in link.port.items()
        ]
        attrs = [("IFLA_PROTINFO", {"attrs": port}, NLA_F_NESTED)]
        done.append((_message(ifinfmsg, attrs, family=AF_BRIDGE, index=number), RTM_SETLINK, 0))
    return done


def _address(address: Address, index: Index, *, delete: bool = False) -> Any:
    local, _, length = address.address.partition("/")
    family = AF_INET6 if ":" in local else AF_INET
    peer = local
    if address.peer is not None:
        peer, _, peer_length = address.peer.partition("/")
        length = peer_length or length
    attrs = _given(IFA_LOCAL=local, IFA_ADDRESS=peer)
    if not delete:
        attrs += _given(
            IFA_BROADCAST=address.broadcast,
            IFA_LABEL=address.label,
            IFA_RT_PRIORITY=address.metric,
            IFA_PROTO=address.proto,
        )
        asked = address.flags & ~KERNEL_OWNED_ADDRESS_FLAGS
        attrs += [("IFA_FLAGS", asked)] if asked else []
        if address.valid_lft is not None or address.preferred_lft is not None:
            attrs.append(
                (
                    "IFA_CACHEINFO",
                    {
                        "ifa_valid": _lifetime(address.valid_lft),
                        "ifa_preferred": _lifetime(address.preferred_lft),
                    },
                )
            )
    return _message(
        ifaddrmsg, attrs, family=family, prefixlen=int(length), scope=address.scope, index=index(address.dev)
    )


def _lifetime(seconds: int | None) -> int:
    return FOREVER if seconds is None else seconds


def _prefix(prefix: str | None, name: str) -> tuple[list[tuple[Any, ...]], int]:
    if prefix is None or prefix == "default":
        return [], 0
    address, _, length = prefix.partition("/")
    return [(name, address)], int(length) if length else ip_address(address).max_prefixlen


def _gateway(family: int, gateway: str | None) -> list[tuple[Any, ...]]:
    if gateway is None:
        return []
    if family == AF_INET and ":" in gateway:
        return [("RTA_VIA", {"family": AF_INET6, "addr": gateway})]
    return [("RTA_GATEWAY", gateway)]


def _route(route: Route, index: Index, *, delete: bool = False) -> Any:
    attrs, dst_len = _prefix(route.dst, "RTA_DST")
    source, src_len = _prefix(route.src, "RTA_SRC")
    attrs = attrs + source + _gateway(route.family, route.gateway)
    attrs += _given(RTA_TABLE=route.table, RTA_PRIORITY=route.metric, RTA_PREFSRC=route.prefsrc)
    if route.dev is not None:
        attrs.append(("RTA_OIF", index(route.dev)))
    if route.multipath:
        attrs.append(("RTA_MULTIPATH", [_hop(route.family, hop, index) for hop in route.multipath]))
    if not delete:
        attrs += _given(RTA_PREF=route.pref)
        if route.expires is not None:
            attrs.append(("RTA_EXPIRES", struct.pack("=I", route.expires)))
        if route.metrics:
            metrics = [(f"RTAX_{name.upper()}", value) for name, value in route.metrics.items()]
            attrs.append(("RTA_METRICS", {"attrs": metrics}))
    return _message(
        rtmsg,
        attrs,
        family=route.family,
        dst_len=dst_len,
        src_len=src_len,
        tos=route.tos,
        table=route.table if route.table < 256 else RT_TABLE_COMPAT,
        proto=route.proto,
        scope=route.scope,
        type=route.type,
        flags=route.flags & RTNH_F_ONLINK,
    )


def _place(change: RouteAdd) -> int:
    """Where a route comes among those of the same destination; without any of these before them."""
    if change.replace:
        return NLM_F_REPLACE
    if change.append:
        return NLM_F_APPEND
    return 0 if change.prepend else NLM_F_EXCL


def _hop(family: int, hop: NextHop, index: Index) -> dict[str, Any]:
    flags = hop.flags & RTNH_F_ONLINK
    return {
        "hops": hop.weight - 1,
        "oif": index(hop.dev),
        "flags": flags,
        "attrs": _gateway(family, hop.gateway),
    }


def _rule(rule: Rule) -> Any:
    header = {name: int(rule.attrs.get(name, 0)) for name in RULE_HEADER}
    attrs: list[tuple[Any, ...]] = [("FRA_PRIORITY", rule.priority)]
    if rule.table:
        attrs.append(("FRA_TABLE", rule.table))
    attrs += [(name, value) for name, value in rule.attrs.items() if name not in RULE_HEADER]
    return _message(
        fibmsg,
        attrs,
        family=rule.family,
        action=rule.action,
        table=rule.table if rule.table < 256 else 0,
        **header,
    )


def _neighbour(entry: NeighbourAdd, index: Index) -> Any:
    family = AF_INET6 if ":" in entry.dst else AF_INET
    attrs: list[tuple[Any, ...]] = [("NDA_DST", entry.dst), ("NDA_LLADDR", entry.lladdr)]
    return _message(ndmsg, attrs, family=family, ifindex=index(entry.dev), state=entry.state)


def _vlan(vlan: BridgeVlan, index: Index) -> Message:
    flags = (2 if vlan.pvid else 0) | (4 if vlan.untagged else 0)
    ends = (
        [(flags, vlan.vid)]
        if vlan.vid_end is None
        else [(flags | 8, vlan.vid), (flags & ~2 | 16, vlan.vid_end)]
    )
    spec: list[tuple[Any, ...]] = [("IFLA_BRIDGE_FLAGS", 2)] if vlan.self_ else []
    spec += [("IFLA_BRIDGE_VLAN_INFO", {"flags": bits, "vid": vid}) for bits, vid in ends]
    attrs: list[tuple[Any, ...]] = [("IFLA_AF_SPEC", {"attrs": spec}, NLA_F_NESTED)]
    message = _message(ifinfmsg, attrs, family=AF_BRIDGE, index=index(vlan.dev))
    return message, RTM_SETLINK if vlan.add else RTM_DELLINK, 0
