"""What is refused, and that every reason is named at once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from brdhcp.errors import UplinkRefused
from brdhcp.netlink.change import Address, NextHop, Route, Rule
from brdhcp.netlink.observe import IFF_UP, Link
from brdhcp.uplink.refuse import reasons, require_possible

from tests.unit.uplink.node import DEFAULT, ETH0, STATIC, view

BRIDGE = Link(
    name="mybr0", index=5, kind="bridge", mtu=1500, flags=IFF_UP, bridge={"stp_state": 0, "forward_delay": 0}
)
ETH1 = Link(name="eth1", index=3, mtu=1500, flags=IFF_UP)
POD = Link(name="veth0123abcd", index=6, kind="veth", master="mybr0")


def test_the_node_of_the_note_is_not_refused() -> None:
    assert reasons(view()) == ()


def test_a_bridge_with_pods_only_is_not_refused() -> None:
    assert reasons(view(links=(BRIDGE, POD))) == ()


def of_nic(**change: Any) -> dict[str, Any]:
    node = view()
    links = tuple(replace(link, **change) if link == ETH0 else link for link in node.before.links)
    return {"before": replace(node.before, links=links)}


CASES: dict[str, tuple[dict[str, Any], str]] = {
    "a port": (of_nic(master="br9"), "eth0 is a port of br9 already"),
    "a bridge": (of_nic(kind="bridge"), "eth0 is a bridge already"),
    "down": (of_nic(flags=0), "eth0 is down"),
    "wifi": ({"wireless": True}, "Wi-Fi"),
    "a bond": ({"fail_over_mac": "active"}, "fail_over_mac=active"),
    "missing": ({"nic": "eth7"}, "there is no interface eth7 (there are: eth0); name it with --nic"),
    "itself": ({"bridge": "eth0"}, "eth0 is the bridge itself"),
    "a long name": ({"bridge": "b" * 16}, "longer than 15 bytes"),
    "an unknown client": ({"unhandled": ("dhcpcd eth0",)}, "dhcpcd eth0 keeps the address of eth0"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_nic_that_cannot_go_is_refused_by_its_reason(case: str) -> None:
    change, reason = CASES[case]
    assert reason in "; ".join(reasons(replace(view(), **change)))


@pytest.mark.parametrize(
    ("links", "reason"),
    [
        ((replace(ETH1, name="mybr0"),), "is a network card, not a bridge"),
        ((replace(BRIDGE, kind="vlan"),), "is a vlan, not a bridge"),
        ((BRIDGE, replace(ETH1, master="mybr0")), "ports that are no pods': eth1"),
        ((replace(BRIDGE, bridge={"stp_state": 1}),), "spanning tree"),
        ((replace(BRIDGE, mtu=1400),), "MTU 1400, eth0 has 1500"),
        ((Link(name="mv0", index=9, kind="macvlan", parent=2),), "mv0 stands on eth0"),
    ],
)
def test_what_is_in_the_way_is_named(links: tuple[Link, ...], reason: str) -> None:
    assert reason in "; ".join(reasons(view(links=links)))


def test_a_nic_without_an_address_has_nothing_to_move() -> None:
    assert "eth0 has no address" in reasons(view(addresses=()))[0]


def test_the_gateways_address_on_the_bridge_is_named_with_its_cure() -> None:
    stolen = Address(dev="mybr0", address="172.16.91.2/24")
    said = "; ".join(reasons(view(links=(BRIDGE,), addresses=(STATIC, stolen))))
    assert "ip addr del 172.16.91.2/24 dev mybr0" in said


@pytest.mark.parametrize(
    "other",
    [
        replace(DEFAULT, dev="eth1", gateway="172.16.91.1"),
        Route(family=2, dst="172.16.91.0/24", dev="eth1", scope=253, proto=2),
    ],
)
def test_a_route_that_competes_with_another_interfaces_is_refused(other: Route) -> None:
    said = "; ".join(reasons(view(links=(ETH1,), routes=(other,))))
    assert f"eth1 has a route to {other.dst} of the same metric" in said


def test_a_route_shared_by_both_interfaces_does_not_compete_with_itself() -> None:
    hops = (NextHop(dev="eth0", gateway="172.16.91.1"), NextHop(dev="eth1", gateway="10.0.0.1"))
    assert reasons(view(links=(ETH1,), routes=(Route(family=2, dst="10.2.0.0/16", multipath=hops),))) == ()


def test_a_route_with_more_than_can_be_said_is_refused() -> None:
    said = reasons(view(routes=(Route(family=2, dst="10.0.0.0/8", dev="eth0", extra=("RTA_ENCAP",)),)))
    assert said == ("the route to 10.0.0.0/8 has RTA_ENCAP, which cannot be moved: remove it first",)


def test_a_rule_whose_place_among_equals_would_be_lost_is_refused() -> None:
    rules = (
        Rule(family=2, priority=100, table=1, attrs={"FRA_IIFNAME": "eth0"}),
        Rule(family=2, priority=100, table=2),
    )
    assert "several rules have the preference 100" in reasons(view(rules=rules))[0]


def test_an_open_migration_is_named_beside_every_other_reason() -> None:
    node = replace(view(addresses=()), **CASES["wifi"][0])
    with pytest.raises(UplinkRefused) as refused:
        require_possible(node, "eth0 into mybr0, waiting")
    for reason in ("another migration is open (eth0 into mybr0, waiting)", "Wi-Fi", "no address"):
        assert reason in refused.value.msg
