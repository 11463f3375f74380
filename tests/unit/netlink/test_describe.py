"""A change reads as the command that a person would type."""

from __future__ import annotations

import pytest
from brdhcp.netlink.change import (
    Address,
    AddressAdd,
    AddressDelete,
    BridgeVlan,
    Change,
    DefaultRouter,
    LinkAdd,
    LinkDelete,
    LinkSet,
    NeighbourAdd,
    NextHop,
    Route,
    RouteAdd,
    RouteDelete,
    Rule,
    RuleAdd,
    RuleDelete,
    SysctlSet,
)
from brdhcp.netlink.describe import describe

HOPS = (NextHop(dev="a", gateway="10.0.0.1"), NextHop(dev="b", gateway="10.0.0.2", weight=3, flags=4))
RULE = Rule(
    family=2,
    priority=9,
    table=100,
    attrs={"FRA_SRC": "10.0.0.0", "src_len": 8, "FRA_IIFNAME": "eth0", "FRA_FWMARK": 5},
)
SAID: dict[str, Change] = {
    "ip link add name br0 address 02:00:00:00:00:01 mtu 1400 up type bridge stp_state 0": LinkAdd(
        name="br0", kind="bridge", address="02:00:00:00:00:01", mtu=1400, up=True, data={"stp_state": 0}
    ),
    "ip link add name v0 master br0 type veth peer name eth0 netns /proc/self/fd/7": LinkAdd(
        name="v0", kind="veth", master="br0", peer="eth0", peer_netns_fd=7
    ),
    "ip link set dev eth0 nomaster down": LinkSet(name="eth0", master="", up=False),
    "ip link set dev eth0 master br0 promisc on": LinkSet(name="eth0", master="br0", promisc=True),
    "ip link set dev v0 type bridge_slave hairpin 1": LinkSet(name="v0", port={"hairpin": 1}),
    "ip link del dev v0": LinkDelete(name="v0"),
    "ip addr add 10.0.0.2/24 dev eth0 brd 10.0.0.255 label eth0:1 valid_lft 100 preferred_lft 50": AddressAdd(
        address=Address(
            dev="eth0",
            address="10.0.0.2/24",
            broadcast="10.0.0.255",
            label="eth0:1",
            valid_lft=100,
            preferred_lft=50,
        )
    ),
    "ip addr replace fd00::1/64 dev eth0 nodad noprefixroute": AddressAdd(
        address=Address(dev="eth0", address="fd00::1/64", flags=0x202), replace=True
    ),
    "ip addr add 10.0.0.2 peer 10.0.0.3/32 dev eth0 scope link": AddressAdd(
        address=Address(dev="eth0", address="10.0.0.2/32", peer="10.0.0.3/32", scope=253)
    ),
    "ip addr del 10.0.0.2/24 dev eth0": AddressDelete(address=Address(dev="eth0", address="10.0.0.2/24")),
    "ip route replace default via 10.0.0.1 dev eth0 metric 50 mtu 1300": RouteAdd(
        route=Route(
            family=2, dst="default", gateway="10.0.0.1", dev="eth0", metric=50, metrics={"mtu": 1300}
        ),
        replace=True,
    ),
    "ip route prepend 10.1.0.0/16 via 10.9.9.9 dev eth0 table 100 onlink": RouteAdd(
        route=Route(family=2, dst="10.1.0.0/16", gateway="10.9.9.9", dev="eth0", table=100, flags=4),
        prepend=True,
    ),
    "ip route add blackhole 10.7.0.0/16": RouteAdd(route=Route(family=2, dst="10.7.0.0/16", type=6)),
    "ip route add 10.8.0.0/16 via inet6 fe80::1 dev eth0": RouteAdd(
        route=Route(family=2, dst="10.8.0.0/16", gateway="fe80::1", dev="eth0")
    ),
    "ip route add 10.9.0.0/16 nexthop via 10.0.0.1 dev a weight 1 nexthop via 10.0.0.2 dev b weight 3 onlink": RouteAdd(
        route=Route(family=2, dst="10.9.0.0/16", multipath=HOPS)
    ),
    "ip -6 route del fd01::/64 dev eth0 proto kernel metric 256 pref medium": RouteDelete(
        route=Route(family=10, dst="fd01::/64", dev="eth0", proto=2, metric=256, pref=0)
    ),
    "ip -6 route add default via fe80::1 dev br0 proto ra metric 1025 expires 600": DefaultRouter(
        dev="br0", gateway="fe80::1", metric=1025, expires=600
    ),
    "ip rule add pref 9 from 10.0.0.0/8 to all fwmark 0x5/0xffffffff iif eth0 lookup 100": RuleAdd(rule=RULE),
    "ip rule del pref 9 from 10.0.0.0/8 to all fwmark 0x5/0xffffffff iif eth0 lookup 100": RuleDelete(
        rule=RULE
    ),
    "ip neigh replace 10.0.0.1 lladdr 02:00:00:00:00:09 dev br0 nud stale": NeighbourAdd(
        dev="br0", dst="10.0.0.1", lladdr="02:00:00:00:00:09"
    ),
    "bridge vlan add dev v0 vid 10-20 untagged": BridgeVlan(dev="v0", vid=10, vid_end=20, untagged=True),
    "sysctl -w net.ipv6.conf.br0.accept_ra=2": SysctlSet(path="ipv6/conf/br0/accept_ra", value="2"),
    "sysctl -w net/ipv4/conf/eth0.5/rp_filter=1": SysctlSet(path="ipv4/conf/eth0.5/rp_filter", value="1"),
}


@pytest.mark.parametrize("said", SAID)
def test_a_change_is_the_command_that_a_person_would_type(said: str) -> None:
    assert describe(SAID[said]) == said
