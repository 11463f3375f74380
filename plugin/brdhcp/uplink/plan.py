"""From what is there to what will be done: pure, printable, and refused as a whole when a part could not be undone.

The order is what keeps the node on the network. Its addresses are put on the bridge while the NIC still has them; the
NIC becomes a port (from here on frames come in through the bridge, and still leave through the NIC); when the bridge is
ready, one batch turns the routes round and takes the addresses off the NIC. Going back is the same film backwards.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from brdhcp.netlink.change import (
    Address,
    AddressAdd,
    AddressDelete,
    Change,
    DefaultRouter,
    LinkAdd,
    LinkDelete,
    LinkSet,
    Route,
    RouteAdd,
    RouteDelete,
    Rule,
    RuleAdd,
    RuleDelete,
    SysctlSet,
)
from brdhcp.netlink.observe import Link, Snapshot
from brdhcp.uplink.steps import (
    Action,
    AddressesReady,
    ClientStart,
    ClientStop,
    LeaseHandOver,
    LeaseTakeBack,
    Move,
    NeighboursCopied,
    RoutersAsked,
)
from brdhcp.uplink.view import COPIED, RP_FILTER, View, conf

RT_TABLE_LOCAL, RTPROT_KERNEL, RTPROT_RA = 255, 2, 9
IFA_F_TEMPORARY, IFA_F_TENTATIVE, IFA_F_DADFAILED = 0x01, 0x40, 0x08
AF_INET, AF_INET6 = 2, 10
NUD_PERMANENT = 128
ADDR_GEN_NONE = "1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a migration of ``nic`` into ``bridge`` does, step by step."""

    nic: str
    bridge: str
    moves: tuple[Move, ...]
    warnings: tuple[str, ...] = ()


def plan(view: View) -> Plan:
    """The steps for a node that ``refuse.reasons`` finds nothing against."""
    link = view.nic_link
    prepared = (_make_bridge(view, link), *_settle_sysctls(view))
    # A bridge that is there gets its MAC back before its IPv6 settings, which make an address from the MAC.
    moves = [
        *_relax(view),
        *(prepared if view.before.link(view.bridge) is None else reversed(prepared)),
        _set_up(view),
        *_hand_over(view),
        _add_addresses(view),
        _enslave(view),
        _turn(view),
        *_restore(view),
    ]
    return Plan(nic=view.nic, bridge=view.bridge, moves=tuple(moves), warnings=warnings(view))


def warnings(view: View) -> tuple[str, ...]:
    """What works, but not quite as before."""
    found = [
        f"{address.address} is a privacy address; on the bridge it will not be renewed as one"
        for address in view.before.addresses_of(view.nic)
        if _is_v6(address) and address.flags & IFA_F_TEMPORARY
    ]
    found += [
        f"{link.name} stays on {view.nic}: its VLAN passes beside the bridge, pods do not see it"
        for link in view.before.links
        if link.kind == "vlan" and link.parent == view.nic_link.index
    ]
    if view.client is None and any(
        a.valid_lft is not None and not _is_v6(a) for a in view.before.addresses_of(view.nic)
    ):
        found.append(
            f"{view.nic} has an address with an end, but no DHCP client of its was found: brdhcpd will renew it"
        )
    return tuple(found)


def _relax(view: View) -> list[Move]:
    """A strict reverse-path filter would drop what comes in through the bridge while routes still point to the NIC."""
    paths = [
        path
        for path in (*RP_FILTER, conf("ipv4", view.nic, "rp_filter"))
        if view.sysctl(path) not in (None, "0")
    ]
    if not paths:
        return []
    return [
        Move(
            title="let frames come in by either interface meanwhile",
            do=tuple(SysctlSet(path=path, value="0") for path in paths),
            undo=tuple(SysctlSet(path=path, value=view.sysctl(path) or "0") for path in paths),
        )
    ]


def _make_bridge(view: View, link: Link) -> Move:
    here = view.before.link(view.bridge)
    if here is None:
        made = LinkAdd(
            name=view.bridge, kind="bridge", address=link.address, mtu=link.mtu,
            data={"stp_state": 0, "forward_delay": 0},
        )  # fmt: skip
        return Move(
            title=f"make {view.bridge} with the MAC of {view.nic}",
            do=(made,),
            undo=(LinkDelete(name=view.bridge),),
        )
    return Move(
        title=f"give {view.bridge} the MAC of {view.nic}",
        do=(LinkSet(name=view.bridge, address=link.address),),
        undo=(LinkSet(name=view.bridge, address=here.address),),
    )


def _settle_sysctls(view: View) -> list[Move]:
    """The bridge treats packets as the NIC did; IPv6 makes no address of its own while addresses move."""
    special = {"addr_gen_mode": ADDR_GEN_NONE, "accept_dad": "0", "rp_filter": "0"}
    do: list[Change] = []
    undo: list[Change] = []
    for family, names in COPIED.items():
        for name in names:
            value = view.sysctl(conf(family, view.nic, name))
            if value is None:
                continue
            path = conf(family, view.bridge, name)
            wanted, old = special.get(name, value), view.sysctl(path)
            if old is None:  # a new interface begins with the defaults
                old = view.sysctl(conf(family, "default", name))
            elif old != wanted:
                undo.append(SysctlSet(path=path, value=old))
            if old != wanted:
                do.append(SysctlSet(path=path, value=wanted))
    return (
        [Move(title=f"let {view.bridge} treat packets as {view.nic} does", do=tuple(do), undo=tuple(undo))]
        if do
        else []
    )


def _set_up(view: View) -> Move:
    """The bridge is up before it has a port."""
    here = view.before.link(view.bridge)
    was_up = here is not None and here.up
    return Move(
        title=f"set {view.bridge} up",
        do=(LinkSet(name=view.bridge, up=True),),
        undo=() if here is None else (LinkSet(name=view.bridge, up=was_up),),
    )


def _hand_over(view: View) -> list[Move]:
    moves = []
    client = view.client
    if client is not None:
        moves.append(
            Move(
                title=f"end {client.name} on {view.nic} without releasing",
                do=(ClientStop(pid=client.pid, started=client.started, argv=client.argv),),
                undo=(ClientStart(nic=view.nic, argv=client.argv),),
            )
        )
    if view.lease is not None:
        moves.append(
            Move(
                title="hand the node's lease to brdhcpd",
                do=(LeaseHandOver(lease=view.lease),),
                undo=(LeaseTakeBack(),),
            )
        )
    return moves


def _add_addresses(view: View) -> Move:
    there = [_on(address, view) for address in _in_turn(view.before.addresses_of(view.nic))]
    return Move(
        title=f"put the addresses of {view.nic} on {view.bridge} as well",
        do=(*(AddressAdd(address=address) for address in there), AddressesReady(dev=view.bridge)),
        undo=(
            *(AddressDelete(address=address) for address in reversed(there)),
            *(RouteDelete(route=_route_on(r, view.nic, view.bridge)) for r in _expiring_prefixes(view)),
        ),
    )


def _enslave(view: View) -> Move:
    do: tuple[Action, ...] = (LinkSet(name=view.nic, master=view.bridge),)
    undo: tuple[Action, ...] = (LinkSet(name=view.nic, master=""),)
    mode = conf("ipv6", view.nic, "addr_gen_mode")
    if (value := view.sysctl(mode)) is not None:
        do = (SysctlSet(path=mode, value=ADDR_GEN_NONE), *do)
        undo = (*undo, SysctlSet(path=mode, value=value))
    if announced(view.before, view.nic):
        undo = (*undo, RoutersAsked(dev=view.nic))
    return Move(title=f"put {view.nic} into {view.bridge}", do=do, undo=undo, ready=view.bridge)


def _turn(view: View) -> Move:
    """Routes and rules to the bridge, addresses off the NIC: one batch, new before old."""
    nic, bridge, before = view.nic, view.bridge, view.before
    addresses = _in_turn(before.addresses_of(nic))
    routes = moved_routes(before, nic)
    routers = announced(before, nic)
    prefixes = [route for route in before.routes if _through(route, nic) and _made_by_kernel(route)]
    rules = [rule for rule in before.rules if nic in _devices(rule)]
    dad = conf("ipv6", nic, "accept_dad")
    quiet, ready, loud = _around(nic, dad, view.sysctl(dad), any(map(_is_v6, addresses)))
    do: tuple[Action, ...] = (
        *(_router(route, bridge) for route in routers),
        NeighboursCopied(source=nic, dev=bridge),
        *_add_routes(_route_on(route, nic, bridge) for route in routes),
        *(RuleAdd(rule=_rule_on(rule, nic, bridge)) for rule in rules),
        *(RuleDelete(rule=rule) for rule in rules),
        *_delete_routes(routes),
        *(AddressDelete(address=address) for address in reversed(addresses)),
        *(RouteDelete(route=route) for route in (*routers, *_expiring_prefixes(view))),
        *((RoutersAsked(dev=bridge),) if routers else ()),
    )
    undo: tuple[Action, ...] = (
        *quiet,
        *(AddressAdd(address=_clean(address)) for address in addresses),
        *ready,
        *(_router(route, nic) for route in routers),
        *(n for n in before.neighbours if n.dev == nic and n.state == NUD_PERMANENT),
        NeighboursCopied(source=bridge, dev=nic),
        *_add_routes(routes),
        *_delete_routes(_route_on(route, nic, bridge) for route in (*routes, *prefixes) if not _has(view, route)),
        *(RouteDelete(route=_route_on(replace(r, metric=m), nic, bridge)) for r in routers for m in _metrics(r)),
        *(RuleAdd(rule=rule) for rule in rules),
        *(RuleDelete(rule=_rule_on(rule, nic, bridge)) for rule in rules),
        *loud,
    )
    return Move(title=f"turn the routes to {bridge} and take the addresses off {nic}", do=do, undo=undo)


def _router(route: Route, dev: str) -> DefaultRouter:
    """The announced route until the next announcement: with another metric, so that the kernel replaces it."""
    return DefaultRouter(
        dev=dev, gateway=str(route.gateway), metric=_metrics(route)[1], expires=route.expires, pref=route.pref
    )


def _metrics(route: Route) -> tuple[int, int]:
    """Of an announced default route: the kernel's own, and that of its stand-in."""
    return route.metric or 0, (route.metric or 0) + 1


def _add_routes(routes: Iterable[Route]) -> list[Change]:
    """Before others of the same destination and metric, which may be another NIC's; hops of one route as a whole."""
    return [RouteAdd(route=r, replace=bool(r.multipath), prepend=not r.multipath) for r in routes]


def _delete_routes(routes: Iterable[Route]) -> list[Change]:
    return [RouteDelete(route=route) for route in routes if not route.multipath]


def _has(view: View, route: Route) -> bool:
    """Whether the bridge had the same route before: then it keeps it."""
    return _route_on(route, view.nic, view.bridge) in view.before.routes


def _restore(view: View) -> list[Move]:
    """What was relaxed is as strict as before, now on the bridge."""
    wanted: list[tuple[str, str, str]] = []
    for name, relaxed in (("rp_filter", "0"), ("accept_dad", "0"), ("addr_gen_mode", ADDR_GEN_NONE)):
        family = "ipv4" if name == "rp_filter" else "ipv6"
        value = view.sysctl(conf(family, view.nic, name))
        if value not in (None, relaxed):
            wanted.append((conf(family, view.bridge, name), str(value), relaxed))
    for path in (*RP_FILTER, conf("ipv4", view.nic, "rp_filter")):
        value = view.sysctl(path)
        if value not in (None, "0"):
            wanted.append((path, str(value), "0"))
    if not wanted:
        return []
    return [
        Move(
            title=f"be as strict on {view.bridge} as {view.nic} was",
            do=tuple(SysctlSet(path=path, value=value) for path, value, _ in wanted),
            undo=tuple(SysctlSet(path=path, value=relaxed) for path, _, relaxed in wanted),
        )
    ]


def moved_routes(before: Snapshot, nic: str) -> tuple[Route, ...]:
    """Routes through ``nic`` that the kernel will not make by itself, those on the link first."""
    found = [
        route
        for route in before.routes
        if _through(route, nic) and not _made_by_kernel(route) and not _is_announced(route)
        and (route.table != RT_TABLE_LOCAL or route.proto != RTPROT_KERNEL)
    ]  # fmt: skip
    return tuple(
        sorted(
            found,
            key=lambda route: (route.gateway is not None or bool(route.multipath), route.dst == "default"),
        )
    )


def announced(before: Snapshot, nic: str) -> tuple[Route, ...]:
    """Default routes through ``nic`` that the kernel made from router advertisements, and keeps alive with them."""
    return tuple(route for route in before.routes if route.dev == nic and _is_announced(route))


def _is_announced(route: Route) -> bool:
    return route.family == AF_INET6 and route.proto == RTPROT_RA and route.dst == "default" and bool(route.gateway)


def _made_by_kernel(route: Route) -> bool:
    """The prefix route of an address: it comes and goes with that address."""
    return (
        route.proto == RTPROT_KERNEL
        and route.gateway is None
        and not route.multipath
        and route.table != RT_TABLE_LOCAL
    )


def _expiring_prefixes(view: View) -> list[Route]:
    """The IPv6 prefix routes of addresses with an end: the kernel leaves them behind when such an address goes."""
    return [
        route
        for route in view.before.routes
        if route.dev == view.nic
        and route.family == AF_INET6
        and route.proto == RTPROT_KERNEL
        and route.expires is not None
    ]  # fmt: skip


def _through(route: Route, nic: str) -> bool:
    return route.dev == nic or any(hop.dev == nic for hop in route.multipath)


def _route_on(route: Route, old: str, new: str) -> Route:
    hops = tuple(replace(hop, dev=new if hop.dev == old else hop.dev) for hop in route.multipath)
    return replace(route, dev=new if route.dev == old else route.dev, multipath=hops)


def _devices(rule: Rule) -> tuple[object, object]:
    return rule.attrs.get("FRA_IIFNAME"), rule.attrs.get("FRA_OIFNAME")


def _rule_on(rule: Rule, old: str, new: str) -> Rule:
    names = ("FRA_IIFNAME", "FRA_OIFNAME")
    return replace(rule, attrs={k: new if k in names and v == old else v for k, v in rule.attrs.items()})


def _on(address: Address, view: View) -> Address:
    label = address.label
    if label is not None and label.startswith(view.nic):
        label = view.bridge + label[len(view.nic) :]
    return replace(_clean(address), dev=view.bridge, label=label[:15] if label else label)


def _clean(address: Address) -> Address:
    """Without what only the kernel may say; asking for it would be refused or, as NODAD, be there for ever."""
    return replace(address, flags=address.flags & ~(IFA_F_TENTATIVE | IFA_F_DADFAILED | IFA_F_TEMPORARY))


def _around(nic: str, path: str, value: str | None, wanted: bool) -> tuple[tuple[Action, ...], ...]:
    """No duplicate address detection while addresses that are ours already come back to the NIC."""
    if value is None or not wanted:
        return (), (), ()
    return (SysctlSet(path=path, value="0"),), (AddressesReady(dev=nic),), (SysctlSet(path=path, value=value),)


def _in_turn(addresses: Iterable[Address]) -> tuple[Address, ...]:
    """The order to add them in, so that the kernel lists them as it did: of IPv6 it shows the newest first."""
    addresses = tuple(addresses)
    return (*(a for a in addresses if not _is_v6(a)), *reversed([a for a in addresses if _is_v6(a)]))


def _is_v6(address: Address) -> bool:
    return ":" in address.address
