"""IPv6 routers that announce themselves, before, during and after: their routes and prefixes stay alive everywhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.lan import Lan, until
from tests.lab.uplink.rig import Announcer, Probe, everything, same, settled, uplink

ADDRESS = "fd91::5eff:fe00:10"


@pytest.fixture
def lan() -> Iterator[Lan]:
    with Lan(serve=False) as made:
        settled(made)
        yield made


def default_routes(lan: Lan) -> list[dict[str, Any]]:
    found = json.loads(lan.node.run("ip -6 -j route show default").stdout)
    return [{key: route.get(key) for key in ("dev", "protocol", "metric")} for route in found]


def kernels_own(dev: str) -> list[dict[str, Any]]:
    return [{"dev": dev, "protocol": "ra", "metric": 1024}]


def valid_s(lan: Lan) -> int:
    for link in json.loads(lan.node.run("ip -6 -j addr").stdout):
        for address in link["addr_info"]:
            if address["local"] == ADDRESS:
                return int(address["valid_life_time"])
    return 0


def prolonged(lan: Lan, announcer: Announcer) -> None:
    """An advertisement renews the node's address, here as anywhere."""
    until(lambda: valid_s(lan) < 600, what="a second has passed")
    announcer.again()
    until(lambda: valid_s(lan) == 600, within=0.9, what="the announcement prolonged the address")


def test_announcements_prolong_the_nodes_address_on_the_bridge_and_after_the_way_back(lan: Lan) -> None:
    with Announcer(lan) as router:
        until(lambda: default_routes(lan) == kernels_own("eth0"), what="the router is known")
        settled(lan)
        before = everything(lan)
        prolonged(lan, router)
        uplink(lan, "migrate --confirm-within 20")
        until(lambda: default_routes(lan) == kernels_own("mybr0"), what="the kernel has its own route again")
        prolonged(lan, router)
        uplink(lan, "rollback")
        same(before, lan)
        prolonged(lan, router)


def test_a_router_that_is_silent_keeps_its_route_until_its_own_end(lan: Lan) -> None:
    with Announcer(lan, lifetime_s=300):
        until(lambda: default_routes(lan) == kernels_own("eth0"), what="the router is known")
        settled(lan)
    uplink(lan, "migrate --confirm-within 20")
    (route,) = json.loads(lan.node.run("ip -6 -j route show default").stdout)
    assert (route["dev"], 0 < route["expires"] <= 300) == ("mybr0", True)
    uplink(lan, "rollback")
    (route,) = json.loads(lan.node.run("ip -6 -j route show default").stdout)
    assert (route["dev"], 0 < route["expires"] <= 300) == ("eth0", True)


@pytest.mark.parametrize("step", [4, 5, 6])
def test_killed_around_the_turn_the_announced_route_comes_back_as_the_kernels_own(
    lan: Lan, step: int
) -> None:
    with Announcer(lan) as router:
        until(lambda: default_routes(lan) == kernels_own("eth0"), what="the router is known")
        settled(lan)
        before = everything(lan)
        uplink(lan, "migrate --confirm-within 20", crash_after=step, check=False)
        uplink(lan, "rollback")
        same(before, lan)
        prolonged(lan, router)


def test_ipv6_from_the_lan_is_answered_all_the_time(lan: Lan) -> None:
    lan.host.ip("addr add fd91::1/64 dev eth0 nodad")
    with Announcer(lan):
        until(lambda: valid_s(lan) > 0, what="the node has an address")
        settled(lan)
        with Probe(lan, ADDRESS) as probe:
            uplink(lan, "migrate --confirm-within 20")
            uplink(lan, "rollback")
    assert probe.sent > 50
    assert probe.lost <= 1, f"longest gap {probe.longest_gap_ms} ms"
