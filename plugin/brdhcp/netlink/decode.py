"""rtnetlink messages to what :mod:`brdhcp.netlink.observe` and :mod:`brdhcp.netlink.change` call things."""

from __future__ import annotations

import struct
from collections.abc import Callable
from types import MappingProxyType
from typing import Any

from pyroute2.netlink.rtnl.fibmsg import fibmsg
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.ndmsg import ndmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from brdhcp.netlink.change import Address, NeighbourAdd, NextHop, Route, Rule
from brdhcp.netlink.encode import FOREVER, RULE_HEADER
from brdhcp.netlink.rtnetlink import HEADER

RTM_F_CLONED = 0x200
RTM_CLASS = {16: ifinfmsg, 20: ifaddrmsg, 24: rtmsg, 28: ndmsg, 32: fibmsg}
USER_HZ = 100
"""Ticks of RTA_CACHEINFO (linux/rtnetlink.h, rta_cacheinfo)."""
RTA_NH_ID = 30
ROUTE_SAID = {
    "RTA_DST",
    "RTA_SRC",
    "RTA_OIF",
    "RTA_GATEWAY",
    "RTA_PRIORITY",
    "RTA_PREFSRC",
    "RTA_METRICS",
    "RTA_MULTIPATH",
    "RTA_CACHEINFO",
    "RTA_TABLE",
    "RTA_VIA",
    "RTA_PREF",
    "RTA_EXPIRES",
}
Name = Callable[[int], str | None]


def message(data: bytes) -> Any:
    """One message, header included, as pyroute2 sees it."""
    decoded = RTM_CLASS[HEADER.unpack_from(data)[1]](data)
    decoded.decode()
    return decoded


def address(found: Any, name: Name) -> Address:
    attrs = {slot.name: slot.value for slot in found["attrs"]}
    far = attrs.get("IFA_ADDRESS")
    local = str(attrs.get("IFA_LOCAL", far))
    life = attrs.get("IFA_CACHEINFO", {"ifa_valid": FOREVER, "ifa_preferred": FOREVER})
    length = found["prefixlen"]
    return Address(
        dev=name(found["index"]) or str(found["index"]),
        address=f"{local}/{length if far == local else 128 if ':' in local else 32}",
        peer=None if far == local else f"{far}/{length}",
        broadcast=attrs.get("IFA_BROADCAST"),
        scope=found["scope"],
        label=attrs.get("IFA_LABEL"),
        flags=attrs.get("IFA_FLAGS", found["flags"]),
        valid_lft=_seconds(life["ifa_valid"]),
        preferred_lft=_seconds(life["ifa_preferred"]),
        metric=attrs.get("IFA_RT_PRIORITY"),
        proto=attrs.get("IFA_PROTO"),
    )


def _seconds(lifetime: int) -> int | None:
    return None if lifetime == FOREVER else lifetime


def route(found: Any, name: Name) -> Route | None:
    """None for a cached route: those are the kernel's own notes."""
    if found["flags"] & RTM_F_CLONED:
        return None
    attrs: dict[str, Any] = {}
    extra: list[str] = []
    for slot in found["attrs"]:
        if slot.name in ROUTE_SAID:
            attrs[slot.name] = slot.value
        else:
            extra.append(_name(slot))
    dst, src = attrs.get("RTA_DST"), attrs.get("RTA_SRC")
    oif = attrs.get("RTA_OIF")
    expires = attrs["RTA_CACHEINFO"]["rta_expires"] // USER_HZ if "RTA_CACHEINFO" in attrs else 0
    return Route(
        family=found["family"],
        dst=f"{dst}/{found['dst_len']}" if dst else "default",
        dev=name(oif) if oif else None,
        gateway=_gateway(attrs),
        prefsrc=attrs.get("RTA_PREFSRC"),
        src=f"{src}/{found['src_len']}" if src else None,
        metric=attrs.get("RTA_PRIORITY"),
        table=attrs.get("RTA_TABLE", found["table"]),
        scope=found["scope"],
        proto=found["proto"],
        type=found["type"],
        tos=found["tos"],
        flags=found["flags"] & 4,
        pref=attrs.get("RTA_PREF"),
        expires=expires if expires > 0 else None,
        metrics=_metrics(attrs.get("RTA_METRICS")),
        multipath=tuple(_hop(hop, name) for hop in attrs.get("RTA_MULTIPATH", ())),
        extra=tuple(extra),
    )


def _name(slot: Any) -> str:
    if slot.name != "UNKNOWN":
        return str(slot.name)
    number = struct.unpack_from("HH", slot.cell[1].data, slot.cell[1].offset)[1] & 0x3FFF
    return "RTA_NH_ID" if number == RTA_NH_ID else f"RTA_{number}"


def _gateway(attrs: dict[str, Any]) -> str | None:
    if "RTA_VIA" in attrs:
        return str(attrs["RTA_VIA"]["addr"])
    return attrs.get("RTA_GATEWAY")


def _metrics(nested: Any) -> MappingProxyType[str, int]:
    pairs = ((slot.name, slot.value) for slot in nested["attrs"]) if nested is not None else ()
    return MappingProxyType({name.removeprefix("RTAX_").lower(): value for name, value in pairs})


def _hop(hop: Any, name: Name) -> NextHop:
    attrs = {slot.name: slot.value for slot in hop["attrs"]}
    return NextHop(
        dev=name(hop["oif"]) or str(hop["oif"]),
        gateway=_gateway(attrs),
        weight=hop["hops"] + 1,
        flags=hop["flags"] & 4,
    )


def rule(found: Any) -> Rule:
    attrs: dict[str, int | str] = {key: found[key] for key in RULE_HEADER if found[key]}
    priority, table = 0, found["table"]
    for slot in found["attrs"]:
        if slot.name == "FRA_PRIORITY":
            priority = slot.value
        elif slot.name == "FRA_TABLE":
            table = slot.value
        elif slot.name in ("FRA_SUPPRESS_PREFIXLEN", "FRA_SUPPRESS_IFGROUP") and slot.value == FOREVER:
            continue
        elif slot.name != "FRA_PAD":
            attrs[slot.name] = slot.value if isinstance(slot.value, int | str) else str(slot.value)
    attrs["flags"] = int(attrs.get("flags", 0)) & 2
    if not attrs["flags"]:
        del attrs["flags"]
    return Rule(
        family=found["family"],
        priority=priority,
        table=table,
        action=found["action"],
        attrs=MappingProxyType(attrs),
    )


def neighbour(found: Any, name: Name) -> NeighbourAdd | None:
    """None for an entry without a link-layer address, and for what is not a neighbour (proxies, forwarding
    tables)."""
    attrs = {slot.name: slot.value for slot in found["attrs"] if slot.name in ("NDA_DST", "NDA_LLADDR")}
    dev = name(found["ifindex"])
    if len(attrs) < 2 or dev is None or found["flags"] & 0x08:
        return None
    return NeighbourAdd(dev=dev, dst=attrs["NDA_DST"], lladdr=attrs["NDA_LLADDR"], state=found["state"])
