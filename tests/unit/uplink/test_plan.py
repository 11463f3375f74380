"""The plan: what is done, in which order, and that each step knows its undoing."""

from __future__ import annotations

import pytest
from brdhcp.netlink.change import (
    Address,
    AddressAdd,
    AddressDelete,
    DefaultRouter,
    LinkAdd,
    LinkSet,
    NextHop,
    Route,
    RouteAdd,
    RouteDelete,
    Rule,
    RuleAdd,
    RuleDelete,
    SysctlSet,
)
from brdhcp.uplink.clients import Client
from brdhcp.uplink.plan import plan
from brdhcp.uplink.steps import (
    Action,
    AddressesReady,
    ClientStart,
    ClientStop,
    LeaseHandOver,
    LeaseTakeBack,
    NeighboursCopied,
    RoutersAsked,
)
from brdhcp.uplink.view import View

from tests.unit.uplink.node import DEFAULT, MAC, ON_LINK, ROUTER, STATIC, view

ON_BRIDGE = Address(
    dev="mybr0", address="172.16.91.10/24", broadcast="172.16.91.255", label="mybr0", flags=0x80
)


def done(node: View) -> list[Action]:
    return [action for move in plan(node).moves for action in move.do]


def undone(node: View) -> list[Action]:
    return [action for move in reversed(plan(node).moves) for action in move.undo]


def place(actions: list[Action], action: Action) -> int:
    assert action in actions, f"{action} is not among\n" + "\n".join(map(str, actions))
    return actions.index(action)


def test_the_bridge_is_made_with_the_mac_of_the_nic_and_forwards_at_once() -> None:
    first = done(view())[0]
    assert isinstance(first, LinkAdd)
    assert (first.name, first.kind, first.address, first.mtu, first.up) == (
        "mybr0",
        "bridge",
        MAC,
        1500,
        False,
    )
    assert first.data == {"stp_state": 0, "forward_delay": 0}


def test_the_address_is_on_the_bridge_before_the_nic_is_a_port_and_leaves_the_nic_last() -> None:
    actions = done(view())
    there, port, gone = (
        AddressAdd(address=ON_BRIDGE),
        LinkSet(name="eth0", master="mybr0"),
        AddressDelete(address=STATIC),
    )
    by_bridge = RouteAdd(
        route=Route(family=2, dst="default", dev="mybr0", gateway="172.16.91.2"), prepend=True
    )
    order = [place(actions, one) for one in (there, port, by_bridge, RouteDelete(route=DEFAULT), gone)]
    assert order == sorted(order)


def test_going_back_the_nic_answers_alone_before_it_leaves_the_bridge() -> None:
    actions = undone(view())
    bridged = Route(family=2, dst="172.16.91.0/24", dev="mybr0", prefsrc="172.16.91.10", scope=253, proto=2)
    order = [
        place(actions, one)
        for one in (
            AddressAdd(address=STATIC),
            NeighboursCopied(source="mybr0", dev="eth0"),
            RouteAdd(route=DEFAULT, prepend=True),
            RouteDelete(route=bridged),
            LinkSet(name="eth0", master=""),
            AddressDelete(address=ON_BRIDGE),
        )
    ]
    assert order == sorted(order)


def test_the_prefix_route_of_an_address_is_left_to_the_kernel() -> None:
    assert not [a for a in done(view()) if isinstance(a, RouteAdd) and a.route.dst == ON_LINK.dst]


def test_a_label_begins_with_the_bridges_name_and_fits() -> None:
    named = Address(dev="eth0", address="172.16.91.11/24", label="eth0:webserver12")
    labels = [a.address.label for a in done(view(addresses=(STATIC, named))) if isinstance(a, AddressAdd)]
    assert labels == ["mybr0", "mybr0:webserver"]


def test_ipv6_addresses_are_added_in_the_order_that_lists_them_as_before() -> None:
    both = tuple(Address(dev="eth0", address=f"fd91::{n}/64") for n in (2, 1))
    added = [a.address.address for a in done(view(addresses=(STATIC, *both))) if isinstance(a, AddressAdd)]
    assert added == ["172.16.91.10/24", "fd91::1/64", "fd91::2/64"]


def test_what_the_kernel_alone_says_of_an_address_is_not_asked_for() -> None:
    tentative = Address(dev="eth0", address="fd91::1/64", flags=0x40 | 0x200)
    added = [a.address.flags for a in done(view(addresses=(tentative,))) if isinstance(a, AddressAdd)]
    assert added == [0x200]


@pytest.mark.parametrize(
    "route",
    [
        Route(
            family=2, dst="192.0.2.0/24", dev="eth0", gateway="172.16.91.1", metric=50, metrics={"mtu": 1400}
        ),
        Route(family=2, dst="198.51.100.0/24", dev="eth0", gateway="10.66.6.6", flags=4),
        Route(family=2, dst="default", dev="eth0", gateway="172.16.91.1", table=100),
        Route(family=2, dst="224.0.0.0/4", dev="eth0", scope=253, type=5),
        Route(family=2, dst="10.0.0.0/8", dev="eth0", table=255, type=2, scope=254),
        Route(family=10, dst="2001:db8::/48", dev="eth0", gateway="fd91::1", metric=77),
        Route(
            family=10, dst="2001:db8:1::/64", dev="eth0", proto=9, metric=256, gateway="fe80::1", expires=600
        ),
    ],
    ids=lambda route: f"{route.dst} table {route.table}",
)
def test_a_route_of_any_kind_moves_and_comes_back(route: Route) -> None:
    node = view(routes=(route,))
    there = [
        a.route
        for a in done(node)
        if isinstance(a, RouteAdd) and a.route.dst == route.dst and a.route != DEFAULT
    ]
    assert {r.dev for r in there} == {"mybr0"}
    assert RouteDelete(route=route) in done(node)
    assert RouteAdd(route=route, prepend=True) in undone(node)


def test_routes_of_others_and_the_kernels_own_stay() -> None:
    others = (
        Route(family=2, dst="10.1.0.0/16", dev="eth1", gateway="10.0.0.1"),
        Route(family=2, dst="192.168.99.0/24", type=6),
        Route(family=2, dst="172.16.91.10/32", dev="eth0", table=255, type=2, scope=254, proto=2),
        Route(family=10, dst="ff00::/8", dev="eth0", table=255, type=5, proto=2),
    )
    assert done(view(routes=others)) == done(view())


def test_of_several_next_hops_only_those_of_the_nic_change() -> None:
    hops = (NextHop(dev="eth0", gateway="172.16.91.1"), NextHop(dev="eth1", gateway="10.0.0.1", weight=2))
    route = Route(family=2, dst="10.2.0.0/16", multipath=hops)
    moved = next(a for a in done(view(routes=(route,))) if isinstance(a, RouteAdd) and a.route.multipath)
    assert [hop.dev for hop in moved.route.multipath] == ["mybr0", "eth1"]
    assert moved.replace


def test_routes_on_the_link_come_before_those_that_need_them() -> None:
    link = Route(family=2, dst="10.66.6.0/24", dev="eth0", scope=253)
    via = Route(family=2, dst="10.77.0.0/16", dev="eth0", gateway="10.66.6.6")
    added = [a.route.dst for a in done(view(routes=(via, link))) if isinstance(a, RouteAdd)]
    assert added == ["10.66.6.0/24", "10.77.0.0/16", "default"]


def test_an_announced_default_route_stays_the_kernels_own_and_its_router_is_asked() -> None:
    node = view(routes=(ROUTER,))
    assert DefaultRouter(dev="mybr0", gateway="fe80::1", metric=1025, expires=1800, pref=0) in done(node)
    assert DefaultRouter(dev="eth0", gateway="fe80::1", metric=1025, expires=1800, pref=0) in undone(node)
    assert place(done(node), RoutersAsked(dev="mybr0")) > place(done(node), RouteDelete(route=ROUTER))
    assert place(undone(node), RoutersAsked(dev="eth0")) > place(
        undone(node), LinkSet(name="eth0", master="")
    )
    assert not [a for a in done(node) if isinstance(a, RouteAdd) and a.route.proto == 9]


def test_rules_that_name_the_nic_name_the_bridge() -> None:
    rule = Rule(family=2, priority=100, table=100, attrs={"FRA_IIFNAME": "eth0", "FRA_FWMARK": 16})
    node = view(rules=(rule,))
    moved = Rule(family=2, priority=100, table=100, attrs={"FRA_IIFNAME": "mybr0", "FRA_FWMARK": 16})
    assert place(done(node), RuleAdd(rule=moved)) < place(done(node), RuleDelete(rule=rule))
    assert place(undone(node), RuleAdd(rule=rule)) < place(undone(node), RuleDelete(rule=moved))


def test_strict_filters_are_relaxed_first_and_as_strict_as_before_in_the_end_on_the_bridge_as_well() -> None:
    strict = dict.fromkeys(
        ("ipv4/conf/all/rp_filter", "ipv6/conf/all/accept_dad", "ipv4/conf/eth0/rp_filter"), "1"
    )
    actions = done(view(sysctls=strict))
    assert actions[:3] == [SysctlSet(path=path, value="0") for path in strict]
    for path in (*strict, "ipv4/conf/mybr0/rp_filter"):
        assert SysctlSet(path=path, value="1") in actions[-4:]


@pytest.mark.parametrize("value", ["1", "2"])
def test_the_bridge_listens_to_router_advertisements_as_the_nic_did(value: str) -> None:
    settings = {"ipv6/conf/eth0/accept_ra": value, "ipv6/conf/default/accept_ra": "0"}
    assert SysctlSet(path="ipv6/conf/mybr0/accept_ra", value=value) in done(view(sysctls=settings))


def test_a_nic_without_a_link_local_address_makes_none_and_the_bridge_neither() -> None:
    mode = {"ipv6/conf/eth0/addr_gen_mode": "0", "ipv6/conf/default/addr_gen_mode": "0"}
    local = Address(dev="eth0", address="fe80::5eff:fe00:10/64", scope=253)
    path = "ipv6/conf/mybr0/addr_gen_mode"
    assert SysctlSet(path=path, value="0") not in done(view(sysctls=mode))
    assert SysctlSet(path=path, value="0") in done(view(sysctls=mode, addresses=(STATIC, local)))


def test_ipv6_addresses_are_ready_before_anything_depends_on_them() -> None:
    node = view(
        addresses=(STATIC, Address(dev="eth0", address="fd91::10/64")),
        sysctls={"ipv6/conf/eth0/accept_dad": "1"},
    )
    assert place(done(node), AddressesReady(dev="mybr0")) < place(
        done(node), LinkSet(name="eth0", master="mybr0")
    )
    back = undone(node)
    assert place(back, AddressesReady(dev="eth0")) < place(back, RouteAdd(route=DEFAULT, prepend=True))


def test_the_dhcp_client_ends_before_addresses_move_and_begins_again_when_all_is_back() -> None:
    client = Client(name="dhclient", pid=77, started=5, argv=("dhclient", "eth0"))
    lease: dict[str, str | int | float | None] = {
        "bridge": "mybr0",
        "mac": MAC,
        "address": "172.16.91.10/24",
        "expires": 1.0,
    }
    node = view(client=client, lease=lease)
    stop = ClientStop(pid=77, started=5, argv=("dhclient", "eth0"))
    assert place(done(node), stop) < place(done(node), AddressAdd(address=ON_BRIDGE))
    assert LeaseHandOver(lease=lease) in done(node)
    back = undone(node)
    start = ClientStart(nic="eth0", argv=("dhclient", "eth0"))
    assert place(back, LeaseTakeBack()) < place(back, start)
    assert place(back, LinkSet(name="eth0", master="")) < place(back, start)


def test_every_step_can_be_undone() -> None:
    local = Address(dev="eth0", address="fe80::1/64", scope=253)
    for move in plan(view(routes=(ROUTER,), addresses=(STATIC, local))).moves:
        of_the_bridge = all(isinstance(a, LinkSet | SysctlSet) and "mybr0" in str(a) for a in move.do)
        assert move.undo or of_the_bridge, (
            f"{move.title}: only what vanishes with the bridge needs no undoing"
        )
