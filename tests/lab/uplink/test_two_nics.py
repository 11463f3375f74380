"""A node with a second network card: whatever belongs to that one is as before at every moment."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.lan import Lan, cable
from tests.lab.uplink.rig import everything, same, settled, uplink


@pytest.fixture
def lan() -> Iterator[Lan]:
    with Lan(serve=False) as made:
        cable(made.router, "eth1", made.node, "eth1")
        made.node.ip("addr add 10.44.0.10/24 dev eth1", "addr add fd44::10/64 dev eth1 nodad")
        settled(made)
        yield made


def test_routes_of_the_other_card_that_look_alike_are_left_alone(lan: Lan) -> None:
    lan.node.run("ip -6 route add default via fe80::1 dev eth0 metric 1024 expires 2000")
    lan.node.run("ip -6 route append 2001:db8::/32 dev eth0 metric 1024")
    lan.node.run("ip -6 route append 2001:db8::/32 dev eth1 metric 1024")
    lan.node.ip(
        "route add default via 10.44.0.1 dev eth1 metric 100",
        "route add 10.55.0.0/16 nexthop via 172.16.91.1 dev eth0 weight 1 nexthop via 10.44.0.1 dev eth1 weight 2",
    )
    before = everything(lan)
    uplink(lan, "migrate --confirm-within 20")
    moved = everything(lan)
    for part in ("routes", "addresses"):
        on_eth1 = [line for line in map(str, before[part]) if "eth1" in line and "eth0" not in line]
        assert [line for line in map(str, moved[part]) if "eth1" in line and "mybr0" not in line] == on_eth1
    assert not [line for line in moved["routes"] if "dev eth0" in line and "multicast" not in line]
    uplink(lan, "rollback")
    same(before, lan)


def test_two_cards_in_one_network_are_refused_since_the_order_of_their_routes_would_change(lan: Lan) -> None:
    lan.node.ip("addr add 172.16.91.20/24 dev eth1")
    said = uplink(lan, "migrate", check=False)
    assert "eth1 has a route to 172.16.91.0/24 of the same metric" in said["msg"]


def test_the_card_with_the_better_default_route_is_the_uplink_and_equal_ones_must_be_named(lan: Lan) -> None:
    lan.node.ip("route add default via 10.44.0.1 dev eth1 metric 100")
    assert uplink(lan, "plan")["nic"] == "eth0"
    lan.node.ip(
        "route del default via 172.16.91.2", "route append default via 172.16.91.2 dev eth0 metric 100"
    )
    assert "equally good default routes" in uplink(lan, "plan", check=False)["msg"]
