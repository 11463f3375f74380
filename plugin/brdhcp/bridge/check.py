"""CHECK: what ADD promised against what is there, every difference in one message (CNI SPEC, "CHECK").

What a later plugin of the chain added is not looked at: only what the result names and what this plugin made.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_interface

from brdhcp.errors import NotAsPromised
from brdhcp.netlink.change import Address, Route
from brdhcp.netlink.observe import IFF_PROMISC, Link
from brdhcp.spec.netconf import Bridge
from brdhcp.spec.result import Interface, IPConfig, Result
from brdhcp.spec.result import Route as PromisedRoute


@dataclass(frozen=True, slots=True, kw_only=True)
class Promised:
    """What ADD answered (``result``: prevResult, which later plugins may have added to) and what it made."""

    conf: Bridge
    result: Result
    if_name: str
    netns: str
    veth: str
    """``""`` when another main plugin made the interface."""
    mac: str


@dataclass(frozen=True, slots=True, kw_only=True)
class There:
    """What is there: the node's two links, and the pod's link, addresses and routes.

    ``guards``: what is missing of the port's nftables rules, as sentences.
    """

    bridge: Link | None = None
    veth: Link | None = None
    pod: Link | None = None
    addresses: tuple[Address, ...] = ()
    routes: tuple[Route, ...] = ()
    guards: tuple[str, ...] = ()


def require_as_promised(promised: Promised, there: There) -> None:
    """Raise NotAsPromised (code 103) with all that ``differences`` finds."""
    found = differences(promised, there)
    if found:
        raise NotAsPromised("; ".join(found), "delete the pod to have it made anew")


def differences(promised: Promised, there: There) -> tuple[str, ...]:
    """Sentences, one for each thing that is missing or not as it was promised; none when all is well."""
    found: list[str] = []
    if promised.veth:
        found += _node_side(promised, there)
    found += _interfaces(promised, there)
    found += _pod_link(promised, there)
    if there.pod is not None:
        found += _addresses(promised, there) + _routes(promised, there)
    return (*found, *there.guards)


def _node_side(promised: Promised, there: There) -> list[str]:
    name = promised.conf.name
    bridge, veth = there.bridge, there.veth
    if bridge is None:
        return [f"the bridge {name} is gone"]
    if bridge.kind != "bridge":
        return [f"{name} is a link of kind {bridge.kind or 'hardware'}, not a bridge"]
    found = [] if bridge.up else [f"the bridge {name} is down"]
    if promised.conf.promisc_mode and not bridge.flags & IFF_PROMISC:
        found.append(f"the bridge {name} is not in promiscuous mode")
    if veth is None:
        return [*found, f"the node's end {promised.veth} is gone"]
    if veth.master != name:
        found.append(f"{promised.veth} is in {veth.master or 'no bridge'}, not in {name}")
    if not veth.up:
        found.append(f"{promised.veth} is down")
    wanted = {
        "mode": promised.conf.hairpin_mode,
        "isolated": promised.conf.port_isolation,
    }
    words = {"mode": "hairpin mode", "isolated": "port isolation"}
    if veth.master == name:
        found += [
            f"{promised.veth} has {words[key]} {'off' if on else 'on'}"
            for key, on in wanted.items()
            if bool(veth.port.get(key, 0)) != on
        ]
    return found


def _interfaces(promised: Promised, there: There) -> list[str]:
    """prevResult's own interfaces: the pod's must be listed, with the namespace and MAC that are there."""
    listed = promised.result.interfaces
    if not listed:
        return []
    mine = [i for i in listed if i.sandbox and i.name == promised.if_name]
    if not mine:
        return [f"prevResult lists no interface {promised.if_name} in a sandbox"]
    found = [
        f"prevResult has {i.name} in {i.sandbox}, CNI_NETNS is {promised.netns}"
        for i in mine
        if promised.netns and i.sandbox != promised.netns
    ]
    if there.bridge is not None:
        found += _mac_differences(there.bridge, [i for i in listed if not i.sandbox])
    return found


def _mac_differences(link: Link, listed: list[Interface]) -> list[str]:
    return [
        f"{link.name} has MAC {link.address}, prevResult says {i.mac}"
        for i in listed
        if i.name == link.name and i.mac and i.mac.lower() != link.address
    ]


def _pod_link(promised: Promised, there: There) -> list[str]:
    pod, name = there.pod, promised.if_name
    if pod is None:
        return [f"{name} is gone from the pod"]
    found = []
    if pod.address != promised.mac.lower():
        found.append(f"{name} of the pod has MAC {pod.address}, not {promised.mac}")
    if pod.up == promised.conf.disable_container_interface:
        found.append(f"{name} of the pod is {'up' if pod.up else 'down'}")
    if there.veth is not None and pod.parent is not None and pod.parent != there.veth.index:
        found.append(f"{name} of the pod is not the other end of {promised.veth}")
    return found


def _addresses(promised: Promised, there: There) -> list[str]:
    here = {ip_interface(a.address) for a in there.addresses if a.dev == promised.if_name}
    missing = [ip.address for ip in _own_ips(promised) if ip.address not in here]
    present = ", ".join(sorted(map(str, here))) or "none"
    return [
        f"{promised.if_name} of the pod has no address {address} (it has {present})" for address in missing
    ]


def _own_ips(promised: Promised) -> list[IPConfig]:
    """The addresses of our interface: those without an index, or with the index of an interface of that
    name.
    """
    listed = promised.result.interfaces
    return [
        ip
        for ip in promised.result.ips
        if ip.interface is None or not listed or listed[ip.interface].name == promised.if_name
    ]


def _routes(promised: Promised, there: There) -> list[str]:
    return [
        f"the pod has no route to {route.dst}" + (f" via {route.gw}" if route.gw else "")
        for route in promised.result.routes
        if not any(_matches(route, here) for here in there.routes)
    ]


def _matches(route: PromisedRoute, here: Route) -> bool:
    dst = "default" if route.dst.prefixlen == 0 else str(route.dst)
    family = 10 if route.dst.version == 6 else 2
    return (
        (here.dst, here.family) == (dst, family)
        and (route.gw is None or here.gateway == str(route.gw))
        and (route.table is None or here.table == route.table)
        and (route.priority is None or here.metric == route.priority)
    )
