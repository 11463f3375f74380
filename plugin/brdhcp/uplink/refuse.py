"""Why an uplink cannot be migrated: every reason at once, before anything is touched."""

from __future__ import annotations

import re
from ipaddress import ip_interface

from brdhcp.errors import UplinkRefused
from brdhcp.netlink.change import Route
from brdhcp.netlink.observe import IFF_LOOPBACK, Link, Snapshot
from brdhcp.uplink.moving import through
from brdhcp.uplink.view import View

BLOCKING = ("macvlan", "macvtap", "ipvlan", "ipvtap")
"""Links that take a NIC's frames for themselves, so that it cannot be a bridge port."""
AF_INET, RT_TABLE_LOCAL = 2, 255
OUR_PORT = re.compile(r"veth[0-9a-f]{8}")


def require_possible(view: View, opened: str | None) -> None:
    """Raises ``UplinkRefused`` naming every reason; ``opened`` says which migration is under way already, if one is."""
    found = reasons(view, opened)
    if found:
        raise UplinkRefused(
            f"{view.nic or 'the uplink'} cannot be moved into {view.bridge}: " + "; ".join(found),
            "nothing was changed",
        )


def reasons(view: View, opened: str | None = None) -> tuple[str, ...]:
    """Sentences; none when the migration can be done and undone."""
    found = []
    if opened is not None:
        found.append(f"another migration is open ({opened}): brdhcpctl uplink confirm, or rollback")
    if view.nic == view.bridge:
        return (*found, f"{view.nic} is the bridge itself")
    link = view.before.link(view.nic)
    if link is None:
        known = ", ".join(link.name for link in view.before.links if not link.flags & IFF_LOOPBACK)
        return (
            *found,
            f"there is no interface {view.nic} (there are: {known or 'none'}); name it with --nic",
        )
    return (
        *found,
        *_of_nic(view, link),
        *_of_bridge(view),
        *_of_addresses(view),
        *_of_routes(view),
        *_of_rules(view),
    )


def _of_nic(view: View, link: Link) -> list[str]:
    found = []
    if link.flags & IFF_LOOPBACK:
        found.append(f"{link.name} is the loopback interface")
    if link.kind == "bridge":
        found.append(
            f"{link.name} is a bridge already: use it as it is, as bridge of the network configuration"
        )
    if link.master is not None:
        found.append(f"{link.name} is a port of {link.master} already")
    if view.wireless:
        found.append(
            f"{link.name} is a Wi-Fi interface: an access point drops frames with other MACs than its own"
        )
    if view.fail_over_mac not in ("", "none"):
        found.append(
            f"{link.name} is a bond with fail_over_mac={view.fail_over_mac}: its MAC changes with the active port, "
            "and the bridge's would not"
        )
    found += [f"{argv} keeps the address of {link.name} and would put it back: only dhclient for IPv4, with the "
              f"interface in its command line, can be handed over" for argv in view.unhandled]  # fmt: skip
    if not link.up:
        found.append(f"{link.name} is down")
    stacked = [
        other.name for other in view.before.links
        if other.kind in BLOCKING and other.parent == link.index and other.link_netnsid is None
    ]  # fmt: skip
    if stacked:
        found.append(f"{', '.join(stacked)} stands on {link.name} and takes its frames: remove it first")
    return found


def _of_bridge(view: View) -> list[str]:
    here = view.before.link(view.bridge)
    if here is None:
        return [] if len(view.bridge.encode()) <= 15 else [f"{view.bridge} is longer than 15 bytes"]
    if here.kind != "bridge":
        return [
            f"{view.bridge} exists and is {'a ' + here.kind if here.kind else 'a network card'}, not a bridge"
        ]
    found = []
    foreign = [
        link.name
        for link in view.before.links
        if link.master == view.bridge and not OUR_PORT.fullmatch(link.name)
    ]
    if foreign:
        found.append(f"{view.bridge} has ports that are no pods': {', '.join(foreign)}")
    if here.bridge.get("stp_state") or here.bridge.get("forward_delay"):
        found.append(
            f"{view.bridge} has spanning tree or a forward delay, which would cut the node off for seconds: "
            f"ip link set {view.bridge} type bridge stp_state 0 forward_delay 0"
        )
    if here.mtu != view.nic_link.mtu:
        found.append(
            f"{view.bridge} has MTU {here.mtu}, {view.nic} has {view.nic_link.mtu}: make them the same first"
        )
    return found + _stolen(view.before, view.nic, view.bridge)


def _stolen(before: Snapshot, nic: str, bridge: str) -> list[str]:
    """An address on the bridge in the NIC's own network, such as the gateway's that isGateway puts there."""
    networks = [ip_interface(a.address).network for a in before.addresses_of(nic)]
    return [
        f"{bridge} has {a.address}, in the network of {nic} (isGateway does that): ip addr del {a.address} dev {bridge}"
        for a in before.addresses_of(bridge)
        if not ip_interface(a.address).is_link_local
        and any(ip_interface(a.address).ip in n for n in networks)
    ]


def _of_addresses(view: View) -> list[str]:
    if view.before.addresses_of(view.nic):
        return []
    return [
        f"{view.nic} has no address: there is nothing to move (to make it a port: ip link set {view.nic} master …)"
    ]


def _of_routes(view: View) -> list[str]:
    """Routes that could not be put back in their place, or not be said at all."""
    mine = [route for route in view.before.routes if through(route, view.nic)]
    keys = {_key(route) for route in mine if route.family == AF_INET and route.table != RT_TABLE_LOCAL}
    return [
        f"the route to {route.dst} has {', '.join(route.extra)}, which cannot be moved: remove it first"
        for route in mine
        if route.extra
    ] + [
        f"{other.dev} has a route to {other.dst} of the same metric, and moving one would change which is used: "
        "give one of them another metric"
        for other in view.before.routes
        if _key(other) in keys and not through(other, view.nic) and other.dev not in (None, view.bridge)
    ]


def _of_rules(view: View) -> list[str]:
    """A rule comes back behind others of its preference, so it must be alone with it."""
    found = []
    for rule in view.before.rules:
        names = (rule.attrs.get("FRA_IIFNAME"), rule.attrs.get("FRA_OIFNAME"))
        alike = [r for r in view.before.rules if (r.family, r.priority) == (rule.family, rule.priority)]
        if view.nic in names and len(alike) > 1:
            found.append(
                f"several rules have the preference {rule.priority}, one of them for {view.nic}: number them apart"
            )
    return list(dict.fromkeys(found))


def _key(route: Route) -> tuple[object, ...]:
    return route.family, route.table, route.dst, route.tos, route.metric or 0
