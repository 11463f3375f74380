"""A change as the command a person would type: for plans, errors, the journal and the runbook."""

from __future__ import annotations

import shlex

from brdhcp.netlink.change import (
    Address,
    AddressAdd,
    AddressDelete,
    BridgeVlan,
    Change,
    DefaultRouter,
    LinkAdd,
    LinkDelete,
    LinkSet,
    NeighbourAdd,
    Route,
    RouteAdd,
    RouteDelete,
    Rule,
    RuleAdd,
    RuleDelete,
    SysctlSet,
)

AF_INET6 = 10
ROUTE_TYPES = {
    1: "unicast",
    2: "local",
    3: "broadcast",
    4: "anycast",
    5: "multicast",
    6: "blackhole",
    7: "unreachable",
    8: "prohibit",
    9: "throw",
    10: "nat",
}
SCOPES = {0: "global", 200: "site", 253: "link", 254: "host", 255: "nowhere"}
PROTOCOLS = {
    1: "redirect",
    2: "kernel",
    3: "boot",
    4: "static",
    9: "ra",
    16: "dhcp",
    18: "keepalived",
    186: "bgp",
}
TABLES = {253: "default", 254: "main", 255: "local"}
ADDRESS_FLAGS = {
    0x02: "nodad",
    0x04: "optimistic",
    0x10: "home",
    0x100: "mngtmpaddr",
    0x200: "noprefixroute",
    0x400: "autojoin",
}
"""IFA_F_* that can be asked for, by the word that ip-address(8) has for them."""
NUD = {
    1: "incomplete",
    2: "reachable",
    4: "stale",
    8: "delay",
    16: "probe",
    32: "failed",
    64: "noarp",
    128: "permanent",
}
ACTIONS = {3: "nop", 6: "blackhole", 7: "unreachable", 8: "prohibit"}
RULE_WORDS = {
    "FRA_IIFNAME": "iif",
    "FRA_OIFNAME": "oif",
    "FRA_FWMARK": "fwmark",
    "FRA_GOTO": "goto",
    "FRA_UID_RANGE": "uidrange",
    "FRA_IP_PROTO": "ipproto",
    "FRA_SPORT_RANGE": "sport",
    "FRA_DPORT_RANGE": "dport",
    "FRA_PROTOCOL": "protocol",
    "FRA_SUPPRESS_PREFIXLEN": "suppress_prefixlength",
    "FRA_SUPPRESS_IFGROUP": "suppress_ifgroup",
}


def describe(change: Change) -> str:
    """The ``ip``, ``bridge`` or ``sysctl`` command line that asks the kernel for the same."""
    return shlex.join(_words(change))


def _words(change: Change) -> list[str]:
    match change:
        case LinkAdd() | LinkSet():
            return _link(change)
        case LinkDelete(name=name):
            return ["ip", "link", "del", "dev", name]
        case AddressAdd(address=address, replace=replace):
            return ["ip", "addr", "replace" if replace else "add", *_address(address)]
        case AddressDelete(address=address):
            return ["ip", "addr", "del", address.address, "dev", address.dev]
        case RouteAdd(route=route, replace=replace, prepend=prepend, append=append):
            verb = "replace" if replace else "prepend" if prepend else "append" if append else "add"
            return [*_ip(route.family), "route", verb, *_route(route)]
        case DefaultRouter(dev=dev, gateway=gateway, metric=metric, expires=expires):
            words = ["ip", "-6", "route", "add", "default", "via", gateway, "dev", dev, "proto", "ra"]
            return words + _pairs(metric=metric, expires=expires)
        case RouteDelete(route=route):
            return [*_ip(route.family), "route", "del", *_route(route)]
        case RuleAdd(rule=rule):
            return [*_ip(rule.family), "rule", "add", *_rule(rule)]
        case RuleDelete(rule=rule):
            return [*_ip(rule.family), "rule", "del", *_rule(rule)]
        case NeighbourAdd(dev=dev, dst=dst, lladdr=lladdr, state=state):
            return [
                "ip",
                "neigh",
                "replace",
                dst,
                "lladdr",
                lladdr,
                "dev",
                dev,
                "nud",
                NUD.get(state, str(state)),
            ]
        case BridgeVlan():
            return _vlan(change)
        case SysctlSet(path=path, value=value):
            key = "net/" + path
            return ["sysctl", "-w", f"{key if '.' in key else key.replace('/', '.')}={value}"]


def _link(change: LinkAdd | LinkSet) -> list[str]:
    if isinstance(change, LinkAdd):
        words = ["ip", "link", "add", "name", change.name]
        words += _pairs(address=change.address, mtu=change.mtu, master=change.master)
        words += ["up"] if change.up else []
        words += ["type", change.kind]
        words += _pairs(**dict(change.data))
        if change.peer is not None:
            words += ["peer", *_pairs(name=change.peer, address=change.peer_address, mtu=change.peer_mtu)]
            words += (
                [] if change.peer_netns_fd is None else ["netns", f"/proc/self/fd/{change.peer_netns_fd}"]
            )
        return words
    words = ["ip", "link", "set", "dev", change.name]
    words += ["nomaster"] if change.master == "" else _pairs(master=change.master)
    words += _pairs(address=change.address, mtu=change.mtu, alias=change.alias, name=change.new_name)
    words += [] if change.promisc is None else ["promisc", "on" if change.promisc else "off"]
    words += [] if change.up is None else ["up" if change.up else "down"]
    words += ["type", "bridge_slave", *_pairs(**dict(change.port))] if change.port else []
    return words


def _address(address: Address) -> list[str]:
    words = [address.address]
    if address.peer is not None:
        words = [address.address.split("/")[0], "peer", address.peer]
    words += ["dev", address.dev, *_pairs(brd=address.broadcast, label=address.label)]
    words += ["scope", SCOPES.get(address.scope, str(address.scope))] if address.scope else []
    words += _pairs(metric=address.metric, valid_lft=address.valid_lft, preferred_lft=address.preferred_lft)
    words += _pairs(proto=address.proto)
    return words + [word for bit, word in ADDRESS_FLAGS.items() if address.flags & bit]


def _route(route: Route) -> list[str]:
    words = [] if route.type == 1 else [ROUTE_TYPES.get(route.type, str(route.type))]
    words += [route.dst, *_pairs(**{"from": route.src, "tos": route.tos or None})]
    words += _via(route.family, route.gateway) + _pairs(dev=route.dev)
    words += ["table", TABLES.get(route.table, str(route.table))] if route.table != 254 else []
    words += ["proto", PROTOCOLS.get(route.proto, str(route.proto))] if route.proto != 3 else []
    words += ["scope", SCOPES.get(route.scope, str(route.scope))] if route.scope else []
    words += _pairs(src=route.prefsrc, metric=route.metric, expires=route.expires)
    words += _pairs(**dict(route.metrics))
    words += (
        []
        if route.pref is None
        else ["pref", {0: "medium", 1: "high", 3: "low"}.get(route.pref, str(route.pref))]
    )
    words += ["onlink"] if route.flags & 4 else []
    for hop in route.multipath:
        words += ["nexthop", *_via(route.family, hop.gateway), "dev", hop.dev, "weight", str(hop.weight)]
        words += ["onlink"] if hop.flags & 4 else []
    return words


def _rule(rule: Rule) -> list[str]:
    attrs = dict(rule.attrs)
    words = ["not"] if int(attrs.get("flags", 0)) & 2 else []
    words += ["pref", str(rule.priority)]
    for end, word in (("SRC", "from"), ("DST", "to")):
        prefix = attrs.get(f"FRA_{end}")
        words += [word, f"{prefix}/{attrs.get(f'{end.lower()}_len', 0)}" if prefix is not None else "all"]
    words += ["tos", str(attrs["tos"])] if attrs.get("tos") else []
    words += (
        ["fwmark", f"{attrs['FRA_FWMARK']:#x}/{attrs.get('FRA_FWMASK', 0xFFFFFFFF):#x}"]
        if "FRA_FWMARK" in attrs
        else []
    )
    for name, word in RULE_WORDS.items():
        if name in attrs and name != "FRA_FWMARK":
            words += [word, str(attrs[name]).replace(":", "-")]
    words += [ACTIONS[rule.action]] if rule.action in ACTIONS else []
    return words + (["lookup", TABLES.get(rule.table, str(rule.table))] if rule.action == 1 else [])


def _vlan(change: BridgeVlan) -> list[str]:
    vids = str(change.vid) if change.vid_end is None else f"{change.vid}-{change.vid_end}"
    words = ["bridge", "vlan", "add" if change.add else "del", "dev", change.dev, "vid", vids]
    words += [
        word
        for word, wanted in (("pvid", change.pvid), ("untagged", change.untagged), ("self", change.self_))
        if wanted
    ]
    return words


def _via(family: int, gateway: str | None) -> list[str]:
    if gateway is None:
        return []
    foreign = family != AF_INET6 and ":" in gateway
    return ["via", *(["inet6"] if foreign else []), gateway]


def _ip(family: int) -> list[str]:
    return ["ip", "-6"] if family == AF_INET6 else ["ip"]


def _pairs(**words: object) -> list[str]:
    return [part for word, value in words.items() if value is not None for part in (word, str(value))]
