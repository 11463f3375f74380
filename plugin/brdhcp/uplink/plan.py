"""From what is there to what will be done: pure, printable, and refused as a whole when a part could not be undone.

The order is what keeps the node on the network. Its addresses are put on the bridge while the NIC still has them; the
NIC becomes a port (from here on frames come in through the bridge, and still leave through the NIC); when the bridge is
ready, one batch turns the routes round and takes the addresses off the NIC. Going back is the same film backwards.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from brdhcp.netlink.change import (
    Address,
    AddressAdd,
    AddressDelete,
    Change,
    LinkAdd,
    LinkDelete,
    LinkSet,
    Route,
    RouteDelete,
    RuleAdd,
    RuleDelete,
    SysctlSet,
)
from brdhcp.netlink.observe import Link
from brdhcp.uplink.moving import (
    add_routes,
    announced,
    clean,
    delete_routes,
    devices,
    in_turn,
    is_v6,
    made_by_kernel,
    metrics,
    moved_routes,
    route_on,
    router,
    rule_on,
    through,
)
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
from brdhcp.uplink.view import COPIED, RELAXED, View, conf

RT_SCOPE_LINK, RTPROT_KERNEL, IFA_F_TEMPORARY = 253, 2, 0x01
AF_INET6 = 10
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
        if is_v6(address) and address.flags & IFA_F_TEMPORARY
    ]
    found += [
        f"{link.name} stays on {view.nic}: its VLAN passes beside the bridge, pods do not see it"
        for link in view.before.links
        if link.kind == "vlan" and link.parent == view.nic_link.index
    ]
    found += [
        f"{socket} is bound to {view.nic} by name and will hear nothing there: bind it to {view.bridge}"
        for socket in view.bound
    ]
    if view.client is None and any(
        a.valid_lft is not None and not is_v6(a) for a in view.before.addresses_of(view.nic)
    ):
        found.append(
            f"{view.nic} has an address with an end, but no DHCP client of its was found: brdhcpd will renew it"
        )
    return tuple(found)


def _relax(view: View) -> list[Move]:
    """A strict reverse-path filter would drop what comes in through the bridge while routes still point to the NIC;
    duplicate address detection asked of every interface would silence addresses that are ours."""
    paths = [
        path
        for path in (*RELAXED, conf("ipv4", view.nic, "rp_filter"))
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
    there = [_on(address, view) for address in in_turn(view.before.addresses_of(view.nic))]
    return Move(
        title=f"put the addresses of {view.nic} on {view.bridge} as well",
        do=(*(AddressAdd(address=address) for address in there), AddressesReady(dev=view.bridge)),
        undo=(
            *(AddressDelete(address=address) for address in reversed(there)),
            *(RouteDelete(route=route_on(r, view.nic, view.bridge)) for r in _expiring_prefixes(view)),
        ),
    )


def _enslave(view: View) -> Move:
    do: tuple[Action, ...] = (LinkSet(name=view.nic, master=view.bridge),)
    undo: tuple[Action, ...] = (LinkSet(name=view.nic, master=""),)
    mode = conf("ipv6", view.nic, "addr_gen_mode")
    if (value := view.sysctl(mode)) is not None and _has_link_local(view):
        do = (SysctlSet(path=mode, value=ADDR_GEN_NONE), *do)
        undo = (*undo, SysctlSet(path=mode, value=value))
    if announced(view.before, view.nic):
        undo = (*undo, RoutersAsked(dev=view.nic))
    return Move(title=f"put {view.nic} into {view.bridge}", do=do, undo=undo, ready=view.bridge)


def _turn(view: View) -> Move:
    """Routes and rules to the bridge, addresses off the NIC: one batch, new before old."""
    nic, bridge, before = view.nic, view.bridge, view.before
    addresses = in_turn(before.addresses_of(nic))
    routes = moved_routes(before, nic)
    routers = announced(before, nic)
    prefixes = [route for route in before.routes if through(route, nic) and made_by_kernel(route)]
    rules = [rule for rule in before.rules if nic in devices(rule)]
    dad = conf("ipv6", nic, "accept_dad")
    quiet, ready, loud = _around(nic, dad, view.sysctl(dad), any(map(is_v6, addresses)))
    do: tuple[Action, ...] = (
        *(router(route, bridge) for route in routers),
        NeighboursCopied(source=nic, dev=bridge),
        *add_routes(route_on(route, nic, bridge) for route in routes),
        *(RuleAdd(rule=rule_on(rule, nic, bridge)) for rule in rules),
        *(RuleDelete(rule=rule) for rule in rules),
        *delete_routes(routes),
        *(AddressDelete(address=address) for address in reversed(addresses)),
        *(RouteDelete(route=route) for route in (*routers, *_expiring_prefixes(view))),
        *((RoutersAsked(dev=bridge),) if routers else ()),
    )
    undo: tuple[Action, ...] = (
        *quiet,
        *(AddressAdd(address=clean(address)) for address in addresses),
        *ready,
        *(router(route, nic) for route in routers),
        *(n for n in before.neighbours if n.dev == nic and n.state == NUD_PERMANENT),
        NeighboursCopied(source=bridge, dev=nic),
        *add_routes(routes),
        *delete_routes(
            route_on(route, nic, bridge) for route in (*routes, *prefixes) if not _has(view, route)
        ),
        *(
            RouteDelete(route=route_on(replace(r, metric=m), nic, bridge))
            for r in routers
            for m in metrics(r)
        ),
        *(RuleAdd(rule=rule) for rule in rules),
        *(RuleDelete(rule=rule_on(rule, nic, bridge)) for rule in rules),
        *loud,
    )
    return Move(title=f"turn the routes to {bridge} and take the addresses off {nic}", do=do, undo=undo)


def _has(view: View, route: Route) -> bool:
    """Whether the bridge had the same route before: then it keeps it."""
    return route_on(route, view.nic, view.bridge) in view.before.routes


def _restore(view: View) -> list[Move]:
    """What was relaxed is as strict as before, now on the bridge."""
    wanted: list[tuple[str, str, str]] = []
    for name, relaxed in (("rp_filter", "0"), ("accept_dad", "0"), ("addr_gen_mode", ADDR_GEN_NONE)):
        family = "ipv4" if name == "rp_filter" else "ipv6"
        value = view.sysctl(conf(family, view.nic, name))
        if value not in (None, relaxed) and (name != "addr_gen_mode" or _has_link_local(view)):
            wanted.append((conf(family, view.bridge, name), str(value), relaxed))
    for path in (*RELAXED, conf("ipv4", view.nic, "rp_filter")):
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


def _on(address: Address, view: View) -> Address:
    label = address.label
    if label is not None and label.startswith(view.nic):
        label = view.bridge + label[len(view.nic) :]
    return replace(clean(address), dev=view.bridge, label=label[:15] if label else label)


def _around(nic: str, path: str, value: str | None, wanted: bool) -> tuple[tuple[Action, ...], ...]:
    """No duplicate address detection while addresses that are ours already come back to the NIC."""
    if value is None or not wanted:
        return (), (), ()
    return (
        (SysctlSet(path=path, value="0"),),
        (AddressesReady(dev=nic),),
        (SysctlSet(path=path, value=value),),
    )


def _has_link_local(view: View) -> bool:
    """Whether the NIC has its IPv6 address of the link; where somebody took it away, none may be made anew."""
    return any(is_v6(a) and a.scope == RT_SCOPE_LINK for a in view.before.addresses_of(view.nic))
