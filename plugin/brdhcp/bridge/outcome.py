"""From a lease or a delegated IPAM's answer to the result of ADD: what the pod gets, and what the runtime
is told.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, ip_interface

from brdhcp.dhcp.lease import Lease
from brdhcp.errors import InvalidConfiguration
from brdhcp.netlink.change import Address
from brdhcp.spec.netconf import NetConf
from brdhcp.spec.result import Dns, Interface, IPConfig, Result, Route


def node_address(addresses: Iterable[Address], bridge: str, network: IPv4Network) -> IPv4Address | None:
    """The node's own address on ``bridge`` in the pod's ``network``, or None; the first one wins."""
    for address in addresses:
        if address.dev == bridge and ":" not in address.address:
            interface = IPv4Interface(address.address)
            if interface.ip in network:
                return interface.ip
    return None


def of_lease(lease: Lease, netconf: NetConf, node: IPv4Address | None) -> Result:
    """Address, routes and DNS of a lease, with a route through ``node`` for each ``serviceCIDR``.

    The result has no interfaces: see ``complete``. Raises InvalidConfiguration when a service route is
    wanted and the node has no address on the pod's network.
    """
    metric = netconf.dhcp.priority if netconf.dhcp else None
    routes = [
        Route(dst=route.destination, gw=route.router if int(route.router) else None, priority=metric)
        for route in lease.routes
    ]
    if netconf.service_cidr and node is None:
        raise InvalidConfiguration(
            f"serviceCIDR needs an address of this node on {netconf.bridge.name} in {lease.address.network}",
            "move the node's address to the bridge first: brdhcpctl uplink migrate",
        )
    routes += [Route(dst=cidr, gw=node, priority=metric) for cidr in netconf.service_cidr]
    dns = Dns(nameservers=tuple(map(str, lease.dns)), domain=lease.domain, search=lease.search)
    return Result(
        ips=(IPConfig(address=lease.address, gateway=lease.gateway),),
        routes=tuple(routes),
        dns=netconf.dns or dns,
    )


def of_delegate(result: Result, netconf: NetConf) -> Result:
    """A delegated IPAM's answer with what ``isGateway``, ``isDefaultGateway`` and ``dns`` make of it.

    A route without a next hop goes through the gateway of its family, as in the reference plugins.

    Raises InvalidConfiguration when the IPAM gave no address.
    """
    if not result.ips:
        raise InvalidConfiguration(
            f'the IPAM plugin "{netconf.delegated}" gave no address',
            "see the ipam part of the network configuration",
        )
    ips, routes = list(result.ips), list(result.routes)
    for index, ip in enumerate(ips):
        if netconf.bridge.is_gateway and ip.gateway is None:
            ips[index] = ip = replace(ip, gateway=ip.address.network.network_address + 1)
        default = ip_interface("::/0" if ip.address.version == 6 else "0.0.0.0/0").network
        if netconf.bridge.is_default_gateway and not any(r.dst == default and r.gw for r in routes):
            routes.append(Route(dst=default, gw=ip.gateway))
    by_family = {ip.address.version: ip.gateway for ip in reversed(ips)}
    routes = [r if r.gw or r.scope else replace(r, gw=by_family.get(r.dst.version)) for r in routes]
    return replace(result, ips=tuple(ips), routes=tuple(routes), dns=netconf.dns or result.dns)


def complete(result: Result, *, bridge: Interface, port: Interface, pod: Interface) -> Result:
    """The result with its interfaces: bridge, the node's end, the pod's end, which has all addresses (index
    2).
    """
    return replace(
        result,
        interfaces=(bridge, port, pod),
        ips=tuple(replace(ip, interface=2) for ip in result.ips),
    )
