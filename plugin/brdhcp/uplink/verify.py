"""After the steps: is the node where it was, only through the bridge? And after a rollback: is all as it was?"""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, ip_interface
from typing import Any

from brdhcp.netlink.change import Address, AddressAdd, LinkSet, Route, RouteAdd, RuleAdd, SysctlSet
from brdhcp.netlink.describe import describe
from brdhcp.netlink.kernel import same_address, same_route
from brdhcp.netlink.observe import Snapshot
from brdhcp.uplink.moving import announced, moved_routes

FORWARDING = 3


def faults(before: Snapshot, now: Snapshot, nic: str, bridge: str) -> tuple[str, ...]:
    """What is not as the plan promised; none when the bridge has all that the NIC had."""
    port, link = now.link(nic), now.link(bridge)
    found = []
    if port is None or link is None or port.master != bridge:
        return (f"{nic} is no port of {bridge}",)
    if port.port.get("state", FORWARDING) != FORWARDING:
        found.append(f"{nic} does not forward yet")
    if link.address != port.address:
        found.append(f"{bridge} has another MAC than {nic}")
    left = [a.address for a in now.addresses_of(nic)]
    if left:
        found.append(f"{nic} still has {', '.join(left)}")
    there = {ip_interface(a.address) for a in now.addresses_of(bridge)}
    missing = [a.address for a in before.addresses_of(nic) if ip_interface(a.address) not in there]
    if missing:
        found.append(f"{bridge} lacks {', '.join(missing)}")
    for route in moved_routes(before, nic):
        wanted = (route.family, route.dst, route.table, route.metric)
        if not any((r.family, r.dst, r.table, r.metric) == wanted and _by(r, bridge) for r in now.routes):
            found.append(f"there is no route to {route.dst} through {bridge} in table {route.table}")
    found += [
        f"there is no default route through {router.gateway} on {bridge}"
        for router in announced(before, nic)
        if not any(_announced_by(router, r, bridge) for r in now.routes)
    ]
    return tuple(found)


def _announced_by(router: Route, route: Route, dev: str) -> bool:
    """The same default route, be it the kernel's again or still its stand-in."""
    return route.dst == "default" and route.gateway == router.gateway and route.dev == dev


def stand_in(before: Snapshot, now: Snapshot, nic: str) -> bool:
    """Whether a router that had announced itself on the NIC has not done so again yet."""
    return not all(
        any(
            _announced_by(router, r, nic) and (r.proto, r.metric) == (router.proto, router.metric)
            for r in now.routes
        )
        for router in announced(before, nic)
    )


def _by(route: Route, dev: str) -> bool:
    return route.dev == dev or any(hop.dev == dev for hop in route.multipath)


def gateway(before: Snapshot, nic: str) -> IPv4Address | None:
    """The IPv4 router of the NIC's default route, whose answer is the last proof."""
    for route in before.routes:
        if route.family == 2 and route.dst == "default" and route.dev == nic and route.gateway:
            return IPv4Address(route.gateway)
    return None


NEVER_A_NIC = ("bridge", "vlan", "macvlan", "macvtap", "ipvlan", "ipvtap")
"""Links that may have the MAC of the NIC under them."""


def renamed(before: Snapshot, now: Snapshot, nic: str) -> str | None:
    """What ``nic`` is called now, by its MAC; None when it has its name, is gone, or several links have that MAC."""
    old = before.link(nic)
    if old is None or not old.address or now.link(nic) is not None:
        return None
    alike = [link.name for link in now.links if link.address == old.address and link.kind not in NEVER_A_NIC]
    return alike[0] if len(alike) == 1 else None


def differences(before: Snapshot, now: Snapshot, nic: str, bridge: str) -> tuple[str, ...]:
    """What a rollback has not brought back, each as the command that would; lifetimes run, and are not compared."""
    found: list[str] = []
    old, new = before.link(nic), now.link(nic)
    if old is None or new is None:
        return (f"# {nic} is gone",)
    if (old.master or None) != (new.master or None):
        found.append(describe(LinkSet(name=nic, master=old.master or "")))
    found += [describe(LinkSet(name=nic, **change)) for change in _link_changes(old, new)]
    if before.link(bridge) is None and now.link(bridge) is not None:
        found.append(f"ip link del dev {bridge}")
    here = now.addresses_of(nic)
    found += [
        describe(AddressAdd(address=address))
        for address in before.addresses_of(nic)
        if not any(same_address(_plain(address), _plain(one)) for one in here)
    ]
    found += [
        describe(RouteAdd(route=route))
        for route in moved_routes(before, nic)
        if not any(same_route(route, one) for one in now.routes)
    ]
    found += [
        describe(RouteAdd(route=router))
        for router in announced(before, nic)
        if not any(_announced_by(router, one, nic) for one in now.routes)
    ]
    found += [describe(RuleAdd(rule=rule)) for rule in before.rules if rule not in now.rules]
    of_nic = (path for path in before.sysctls if f"/{nic}/" in path or "/all/" in path)
    found += [
        describe(SysctlSet(path=path, value=before.sysctls[path]))
        for path in of_nic
        if now.sysctls.get(path) != before.sysctls[path]
    ]
    return tuple(found)


def _link_changes(old: Any, new: Any) -> list[dict[str, Any]]:
    return [
        {name: getattr(old, name)}
        for name in ("up", "address", "mtu")
        if getattr(old, name) != getattr(new, name)
    ]


def _plain(address: Address) -> Address:
    return replace(address, proto=None, valid_lft=None, preferred_lft=None)
