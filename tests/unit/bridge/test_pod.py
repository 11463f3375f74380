"""The steps inside the pod."""

from __future__ import annotations

from ipaddress import ip_address, ip_interface, ip_network

import pytest
from brdhcp.bridge import pod
from brdhcp.netlink.change import (
    Address,
    AddressAdd,
    AddressDelete,
    LinkSet,
    Route,
    RouteAdd,
    RouteDelete,
)
from brdhcp.spec import result as spec
from brdhcp.spec.result import IPConfig, Result


def result(address: str = "172.16.91.131/24", *routes: tuple[str, str | None]) -> Result:
    return Result(
        ips=(IPConfig(address=ip_interface(address)),),
        routes=tuple(
            spec.Route(dst=ip_network(dst), gw=ip_address(gw) if gw is not None else None)
            for dst, gw in routes or (("0.0.0.0/0", "172.16.91.2"),)
        ),
    )


ADDRESS = Address(dev="eth0", address="172.16.91.131/24", broadcast="172.16.91.255")
DEFAULT = Route(family=2, dst="default", dev="eth0", gateway="172.16.91.2")


def test_an_address_comes_before_its_routes_and_goes_after_them() -> None:
    step = pod.configure("eth0", result())
    assert step.do == (AddressAdd(address=ADDRESS), RouteAdd(route=DEFAULT, append=True))
    assert step.undo == (RouteDelete(route=DEFAULT), AddressDelete(address=ADDRESS))
    assert pod.configure("eth0", result(), mtu=1400).do[0] == LinkSet(name="eth0", mtu=1400)


def test_a_route_on_the_link_comes_before_the_one_whose_gateway_is_behind_it() -> None:
    step = pod.configure(
        "eth0", result("172.16.91.131/32", ("0.0.0.0/0", "172.16.91.2"), ("172.16.91.2/32", None))
    )
    routes = [change.route for change in step.do if isinstance(change, RouteAdd)]
    assert [(route.dst, route.gateway, route.scope, route.flags) for route in routes] == [
        ("172.16.91.2/32", None, 253, 0),
        ("default", "172.16.91.2", 0, 4),
    ]


def test_a_gateway_that_is_the_pod_itself_means_on_the_link() -> None:
    step = pod.configure("eth0", result("10.0.0.5/24", ("10.8.0.0/16", "10.0.0.5")))
    assert isinstance(step.do[1], RouteAdd)
    assert (step.do[1].route.gateway, step.do[1].route.scope) == (None, 253)


def test_ipv6_addresses_skip_duplicate_detection_unless_it_is_wanted() -> None:
    ipv6 = result("fd00::5/64", ("::/0", "fe80::1"))
    for dad, flags in ((False, 2), (True, 0)):
        step = pod.configure("eth0", ipv6, dad=dad)
        assert step.do[0] == AddressAdd(address=Address(dev="eth0", address="fd00::5/64", flags=flags))
        assert step.do[1] == RouteAdd(
            route=Route(family=10, dst="default", dev="eth0", gateway="fe80::1"), append=True
        )


def test_the_same_route_twice_is_asked_for_once() -> None:
    twice = result("172.16.91.131/24", ("0.0.0.0/0", "172.16.91.2"), ("0.0.0.0/0", "172.16.91.2"))
    assert len(pod.configure("eth0", twice).do) == 2


def test_a_renewed_lease_that_says_the_same_changes_nothing() -> None:
    assert pod.reconfigure("eth0", result(), result()) is None
    assert pod.reconfigure("eth0", result(), result(), old_mtu=1500, new_mtu=1500) is None


def test_another_router_replaces_the_route_and_leaves_the_address() -> None:
    step = pod.reconfigure("eth0", result(), result("172.16.91.131/24", ("0.0.0.0/0", "172.16.91.3")))
    assert step is not None
    new = Route(family=2, dst="default", dev="eth0", gateway="172.16.91.3")
    assert step.do == (RouteDelete(route=DEFAULT), RouteAdd(route=new, append=True))
    assert step.undo == (RouteDelete(route=new), RouteAdd(route=DEFAULT, append=True))


def test_another_address_takes_the_place_of_the_old_one_with_all_routes() -> None:
    step = pod.reconfigure("eth0", result(), result("172.16.91.140/24"))
    assert step is not None
    other = Address(dev="eth0", address="172.16.91.140/24", broadcast="172.16.91.255")
    assert step.do == (
        AddressDelete(address=ADDRESS),
        AddressAdd(address=other),
        RouteAdd(route=DEFAULT, append=True),
    )


def test_another_mtu_is_set() -> None:
    step = pod.reconfigure("eth0", result(), result(), old_mtu=1500, new_mtu=1400)
    assert step is not None
    assert (step.do, step.undo) == ((LinkSet(name="eth0", mtu=1400),), (LinkSet(name="eth0", mtu=1500),))


@pytest.mark.parametrize(
    ("lease", "configured", "port", "mtu"),
    [
        (None, None, 1500, 1500),
        (1400, None, 1500, 1400),
        (9000, None, 1500, 1500),
        (68, None, 1500, 1500),
        (1400, 1300, 1300, 1300),
    ],
)
def test_the_leases_mtu_counts_where_the_bridge_carries_it(
    lease: int | None, configured: int | None, port: int, mtu: int
) -> None:
    assert pod.mtu_of(lease, configured, port) == mtu
