"""Steps inside the pod's namespace: its link up, its address and routes, and what a changed lease changes.
Pure.
"""

from __future__ import annotations

from ipaddress import IPv4Interface, IPv6Interface

from brdhcp.netlink.change import (
    Address,
    AddressAdd,
    AddressDelete,
    Change,
    LinkSet,
    Route,
    RouteAdd,
    RouteDelete,
    Step,
    SysctlSet,
)
from brdhcp.spec import result as spec
from brdhcp.spec.result import Result

AF_INET, AF_INET6 = 2, 10
RT_SCOPE_UNIVERSE, RT_SCOPE_LINK = 0, 253
RTNH_F_ONLINK = 4
IFA_F_NODAD = 0x02
SMALLEST_MTU = 576
"""What RFC 791 asks every host to take; a lease that says less (RFC 2132 §5.1 allows 68) is not believed."""


def link_up(if_name: str) -> Step:
    """The pod's end forwards: what a DHCP exchange needs."""
    return Step(
        title=f"set {if_name} of the pod up",
        do=(LinkSet(name=if_name, up=True),),
        undo=(LinkSet(name=if_name, up=False),),
    )


def plain_ipv6(if_name: str) -> tuple[SysctlSet, ...]:
    """The pod's IPv6 addresses follow from its MAC: neither RFC 7217 nor RFC 8981, which ``spoofGuard`` cannot foresee.

    IN6_ADDR_GEN_MODE_EUI64 (linux/if_link.h) has to be set before the link is up.
    """
    names = ("addr_gen_mode", "use_tempaddr")
    return tuple(SysctlSet(path=f"ipv6/conf/{if_name}/{name}", value="0") for name in names)


def mtu_of(lease_mtu: int | None, configured: int | None, port_mtu: int) -> int:
    """The pod's MTU: the configuration's, else option 26 of the lease where the bridge carries it, else the
    bridge's.
    """
    if configured is not None or lease_mtu is None or lease_mtu < SMALLEST_MTU:
        return port_mtu
    return min(lease_mtu, port_mtu)


def configure(
    if_name: str, result: Result, *, mtu: int | None = None, dad: bool = False, metric: int | None = None
) -> Step:
    """Addresses and routes of ``result``, and ``mtu`` where it is not what the link was made with (None).

    A route comes after the same one by another interface of the pod, as the kernel's own does: the first interface's
    default route counts as long as it is there.

    ``dad`` leaves IPv6 duplicate address detection on; ``metric`` is that of the routes the kernel makes
    itself.
    """
    links = (LinkSet(name=if_name, mtu=mtu),) if mtu is not None else ()
    addresses = _addresses(if_name, result, dad, metric)
    return Step(
        title=f"give {if_name} of the pod " + ", ".join(address.address for address in addresses),
        do=(
            *links,
            *(AddressAdd(address=address) for address in addresses),
            *(RouteAdd(route=route, append=True) for route in _routes(if_name, result)),
        ),
        undo=_undo(if_name, result, addresses),
    )


def reconfigure(
    if_name: str,
    old: Result,
    new: Result,
    *,
    old_mtu: int | None = None,
    new_mtu: int | None = None,
    dad: bool = False,
    metric: int | None = None,
) -> Step | None:
    """What takes the pod from ``old`` to ``new``, or None when it would notice nothing.

    An address goes before the one in its place comes: a second one of the same network would be its
    secondary and vanish with it. Routes go with the address they came through, so all of ``new`` are put in
    place again.
    """
    do = _changes(if_name, old, new, dad, metric)
    undo = _changes(if_name, new, old, dad, metric)
    if old_mtu != new_mtu and new_mtu is not None:
        do = (LinkSet(name=if_name, mtu=new_mtu), *do)
        undo = (*undo, *((LinkSet(name=if_name, mtu=old_mtu),) if old_mtu is not None else ()))
    if not do:
        return None
    return Step(title=f"change {if_name} of the pod to the lease as it is now", do=do, undo=undo)


def _changes(if_name: str, old: Result, new: Result, dad: bool, metric: int | None) -> tuple[Change, ...]:
    before, after = _addresses(if_name, old, dad, metric), _addresses(if_name, new, dad, metric)
    moved = before != after
    gone, kept = _routes(if_name, old), _routes(if_name, new)
    return (
        *(RouteDelete(route=route) for route in gone if route not in kept),
        *(AddressDelete(address=address) for address in before if address not in after),
        *(AddressAdd(address=address) for address in after if address not in before),
        *(RouteAdd(route=route, append=True) for route in kept if moved or route not in gone),
    )


def _undo(if_name: str, result: Result, addresses: tuple[Address, ...]) -> tuple[Change, ...]:
    return (
        *(RouteDelete(route=route) for route in reversed(_routes(if_name, result))),
        *(AddressDelete(address=address) for address in reversed(addresses)),
    )


def _addresses(if_name: str, result: Result, dad: bool, metric: int | None) -> tuple[Address, ...]:
    return tuple(
        Address(
            dev=if_name,
            address=str(ip.address),
            broadcast=_broadcast(ip.address),
            flags=IFA_F_NODAD if ip.address.version == 6 and not dad else 0,
            metric=metric,
        )
        for ip in result.ips
    )


def _broadcast(address: IPv4Interface | IPv6Interface) -> str | None:
    if address.version == 6 or address.network.prefixlen > 30:
        return None
    return str(address.network.broadcast_address)


def _routes(if_name: str, result: Result) -> tuple[Route, ...]:
    """Those on the link first: the gateway of another may lie behind one of them."""
    routes: list[Route] = []
    for asked in result.routes:
        route = _route(if_name, asked, result)
        if route not in routes:
            routes.append(route)
    return tuple(sorted(routes, key=lambda route: route.gateway is not None))


def _route(if_name: str, route: spec.Route, result: Result) -> Route:
    """Without a next hop it is on the link; a next hop that no address reaches is taken to be on it too."""
    gateway = route.gw
    if gateway is not None and any(gateway == ip.address.ip for ip in result.ips):
        gateway = None
    family = AF_INET6 if route.dst.version == 6 else AF_INET
    on_link = gateway is not None and not _reachable(gateway, result)
    metrics = {
        name: value for name, value in (("mtu", route.mtu), ("advmss", route.advmss)) if value is not None
    }
    scope = RT_SCOPE_LINK if gateway is None and family == AF_INET else RT_SCOPE_UNIVERSE
    return Route(
        family=family,
        dst=str(route.dst) if route.dst.prefixlen else "default",
        dev=if_name,
        gateway=None if gateway is None else str(gateway),
        metric=route.priority,
        table=254 if route.table is None else route.table,
        scope=scope if route.scope is None else route.scope,
        flags=RTNH_F_ONLINK if on_link else 0,
        metrics=metrics,
    )


def _reachable(gateway: object, result: Result) -> bool:
    """The next hop lies in a network of one of the pod's addresses, or is link-local (IPv6)."""
    if getattr(gateway, "is_link_local", False) and getattr(gateway, "version", 4) == 6:
        return True
    return any(gateway in ip.address.network for ip in result.ips)
