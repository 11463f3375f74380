"""The same address, route or rule on another interface, and in which order they go there: pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from brdhcp.netlink.change import Address, Change, DefaultRouter, Route, RouteAdd, RouteDelete, Rule
from brdhcp.netlink.observe import Snapshot

AF_INET6 = 10
RT_TABLE_LOCAL, RTPROT_KERNEL, RTPROT_RA = 255, 2, 9
IFA_F_TEMPORARY, IFA_F_TENTATIVE, IFA_F_DADFAILED = 0x01, 0x40, 0x08


def router(route: Route, dev: str) -> DefaultRouter:
    """The announced route until the next announcement: with another metric, so that the kernel replaces it."""
    return DefaultRouter(
        dev=dev, gateway=str(route.gateway), metric=metrics(route)[1], expires=route.expires, pref=route.pref
    )


def metrics(route: Route) -> tuple[int, int]:
    """Of an announced default route: the kernel's own, and that of its stand-in."""
    return route.metric or 0, (route.metric or 0) + 1


def add_routes(routes: Iterable[Route]) -> list[Change]:
    """Before others of the same destination and metric, which may be another NIC's; hops of one route as a whole."""
    return [RouteAdd(route=r, replace=bool(r.multipath), prepend=not r.multipath) for r in routes]


def delete_routes(routes: Iterable[Route]) -> list[Change]:
    return [RouteDelete(route=route) for route in routes if not route.multipath]


def moved_routes(before: Snapshot, nic: str) -> tuple[Route, ...]:
    """Routes through ``nic`` that the kernel will not make by itself, those on the link first."""
    found = [
        route
        for route in before.routes
        if through(route, nic) and not made_by_kernel(route) and not is_announced(route)
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
    return tuple(route for route in before.routes if route.dev == nic and is_announced(route))


def is_announced(route: Route) -> bool:
    return (
        route.family == AF_INET6
        and route.proto == RTPROT_RA
        and route.dst == "default"
        and bool(route.gateway)
    )


def made_by_kernel(route: Route) -> bool:
    """The prefix route of an address: it comes and goes with that address."""
    return (
        route.proto == RTPROT_KERNEL
        and route.gateway is None
        and not route.multipath
        and route.table != RT_TABLE_LOCAL
    )


def through(route: Route, nic: str) -> bool:
    return route.dev == nic or any(hop.dev == nic for hop in route.multipath)


def route_on(route: Route, old: str, new: str) -> Route:
    hops = tuple(replace(hop, dev=new if hop.dev == old else hop.dev) for hop in route.multipath)
    return replace(route, dev=new if route.dev == old else route.dev, multipath=hops)


def devices(rule: Rule) -> tuple[object, object]:
    return rule.attrs.get("FRA_IIFNAME"), rule.attrs.get("FRA_OIFNAME")


def rule_on(rule: Rule, old: str, new: str) -> Rule:
    names = ("FRA_IIFNAME", "FRA_OIFNAME")
    return replace(rule, attrs={k: new if k in names and v == old else v for k, v in rule.attrs.items()})


def clean(address: Address) -> Address:
    """Without what only the kernel may say; asking for it would be refused or, as NODAD, be there for ever."""
    return replace(address, flags=address.flags & ~(IFA_F_TENTATIVE | IFA_F_DADFAILED | IFA_F_TEMPORARY))


def in_turn(addresses: Iterable[Address]) -> tuple[Address, ...]:
    """The order to add them in, so that the kernel lists them as it did: of IPv6 it shows the newest first."""
    addresses = tuple(addresses)
    return (*(a for a in addresses if not is_v6(a)), *reversed([a for a in addresses if is_v6(a)]))


def is_v6(address: Address) -> bool:
    return ":" in address.address
