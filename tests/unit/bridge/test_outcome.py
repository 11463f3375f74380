"""What a lease or a delegated IPAM's answer becomes."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, ip_address, ip_interface, ip_network

import pytest
from brdhcp.bridge import outcome
from brdhcp.dhcp.codecs import Route as LeaseRoute
from brdhcp.dhcp.lease import Lease
from brdhcp.errors import InvalidConfiguration
from brdhcp.netlink.change import Address
from brdhcp.spec.ipam import Dhcp, Ipam
from brdhcp.spec.netconf import Bridge, NetConf
from brdhcp.spec.result import Dns, Interface, IPConfig, Result, Route

ROUTER, NODE = IPv4Address("172.16.91.2"), IPv4Address("172.16.91.10")
LEASE = Lease(
    address=IPv4Interface("172.16.91.131/24"),
    server_id=IPv4Address("172.16.91.254"),
    lease_s=120,
    t1_s=60,
    t2_s=105,
    acquired_at=0.0,
    routers=(ROUTER,),
    routes=(
        LeaseRoute(IPv4Network("192.0.2.0/24"), IPv4Address("0.0.0.0")),
        LeaseRoute(IPv4Network("0.0.0.0/0"), ROUTER),
    ),
    dns=(ROUTER,),
    domain="lan",
    search=("lan", "example.org"),
)
CONF = NetConf(cni_version="1.0.0", name="n", ipam=Ipam(type="dhcp", is_dhcp=True), dhcp=Dhcp())


def test_address_routes_and_dns_of_a_lease_become_the_result() -> None:
    assert outcome.of_lease(LEASE, CONF, None) == Result(
        ips=(IPConfig(address=LEASE.address, gateway=ROUTER),),
        routes=(Route(dst=ip_network("192.0.2.0/24")), Route(dst=ip_network("0.0.0.0/0"), gw=ROUTER)),
        dns=Dns(nameservers=("172.16.91.2",), domain="lan", search=("lan", "example.org")),
    )


def test_service_routes_go_through_the_node_and_priority_is_their_metric() -> None:
    conf = replace(CONF, service_cidr=(IPv4Network("10.96.0.0/12"),), dhcp=Dhcp(priority=50))
    routes = outcome.of_lease(LEASE, conf, NODE).routes
    assert routes[-1] == Route(dst=ip_network("10.96.0.0/12"), gw=NODE, priority=50)
    assert {route.priority for route in routes} == {50}


def test_a_service_route_without_an_address_of_the_node_is_refused_with_what_to_do() -> None:
    conf = replace(CONF, service_cidr=(IPv4Network("10.96.0.0/12"),))
    with pytest.raises(InvalidConfiguration) as error:
        outcome.of_lease(LEASE, conf, None)
    assert "172.16.91.0/24" in error.value.msg
    assert "brdhcpctl uplink migrate" in error.value.details


def test_dns_of_the_configuration_takes_the_place_of_the_leases() -> None:
    dns = Dns(nameservers=("192.0.2.53",))
    assert outcome.of_lease(LEASE, replace(CONF, dns=dns), None).dns == dns


def test_the_nodes_address_is_the_one_on_the_bridge_in_the_pods_network() -> None:
    addresses = [
        Address(dev="eth1", address="172.16.91.9/24"),
        Address(dev="mybr0", address="fe80::1/64"),
        Address(dev="mybr0", address="10.0.0.1/8"),
        Address(dev="mybr0", address="172.16.91.10/24"),
    ]
    assert outcome.node_address(addresses, "mybr0", LEASE.address.network) == NODE
    assert outcome.node_address(addresses[:3], "mybr0", LEASE.address.network) is None


def test_a_delegates_routes_go_through_its_gateway_and_a_default_one_is_made_when_asked() -> None:
    ips = (IPConfig(address=ip_interface("10.0.0.5/24")), IPConfig(address=ip_interface("fd00::5/64")))
    result = Result(ips=ips, routes=(Route(dst=ip_network("10.8.0.0/16")),))
    bridge = Bridge(is_gateway=True, is_default_gateway=True)
    conf = NetConf(cni_version="1.0.0", name="n", bridge=bridge, ipam=Ipam(type="host-local", is_dhcp=False))
    found = outcome.of_delegate(result, conf)
    assert [str(ip.gateway) for ip in found.ips] == ["10.0.0.1", "fd00::1"]
    assert [(str(route.dst), str(route.gw)) for route in found.routes] == [
        ("10.8.0.0/16", "10.0.0.1"),
        ("0.0.0.0/0", "10.0.0.1"),
        ("::/0", "fd00::1"),
    ]


def test_a_delegate_that_gives_no_address_is_named() -> None:
    conf = NetConf(cni_version="1.0.0", name="n", ipam=Ipam(type="static", is_dhcp=False))
    with pytest.raises(InvalidConfiguration, match='"static" gave no address'):
        outcome.of_delegate(Result(), conf)


def test_all_addresses_belong_to_the_pods_interface() -> None:
    bridge, port, pod = (Interface(name=name) for name in ("mybr0", "veth0", "eth0"))
    result = Result(ips=(IPConfig(address=ip_interface("10.0.0.5/24"), gateway=ip_address("10.0.0.1")),))
    found = outcome.complete(result, bridge=bridge, port=port, pod=pod)
    assert found.interfaces == (bridge, port, pod)
    assert found.ips[0].interface == 2
