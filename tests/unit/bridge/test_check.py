"""CHECK as a comparison: every difference, in words."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network
from typing import Any

import pytest
from brdhcp.bridge.check import Promised, There, differences, require_as_promised
from brdhcp.errors import NotAsPromised
from brdhcp.netlink.change import Address, Route
from brdhcp.netlink.observe import IFF_UP, Link
from brdhcp.spec import result as spec
from brdhcp.spec.netconf import Bridge
from brdhcp.spec.result import Interface, IPConfig, Result

MAC = "02:00:00:00:00:01"
PROMISED = Promised(
    conf=Bridge(name="mybr0"),
    result=Result(
        interfaces=(
            Interface(name="mybr0", mac="02:00:5e:00:00:10"),
            Interface(name="veth1"),
            Interface(name="eth0", mac=MAC, sandbox="/run/netns/pod"),
        ),
        ips=(IPConfig(address=ip_interface("172.16.91.131/24"), interface=2),),
        routes=(spec.Route(dst=ip_network("0.0.0.0/0"), gw=ip_address("172.16.91.2")),),
    ),
    if_name="eth0",
    netns="/run/netns/pod",
    veth="veth1",
    mac=MAC,
)
BRIDGE = Link(name="mybr0", index=3, kind="bridge", address="02:00:5e:00:00:10", flags=IFF_UP)
VETH = Link(name="veth1", index=7, kind="veth", master="mybr0", flags=IFF_UP, port={"mode": 0, "isolated": 0})
POD = Link(name="eth0", index=2, kind="veth", address=MAC, flags=IFF_UP, parent=7)
THERE = There(
    bridge=BRIDGE,
    veth=VETH,
    pod=POD,
    addresses=(Address(dev="eth0", address="172.16.91.131/24"),),
    routes=(Route(family=2, dst="default", dev="eth0", gateway="172.16.91.2"),),
)


def test_what_is_as_promised_passes() -> None:
    assert differences(PROMISED, THERE) == ()
    require_as_promised(PROMISED, THERE)


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"bridge": None}, "the bridge mybr0 is gone"),
        ({"bridge": replace(BRIDGE, kind="dummy")}, "mybr0 is a link of kind dummy, not a bridge"),
        ({"bridge": replace(BRIDGE, flags=0)}, "the bridge mybr0 is down"),
        (
            {"bridge": replace(BRIDGE, address="02:00:00:00:00:99")},
            "mybr0 has MAC 02:00:00:00:00:99, prevResult says 02:00:5e:00:00:10",
        ),
        ({"veth": None}, "the node's end veth1 is gone"),
        ({"veth": replace(VETH, master="other")}, "veth1 is in other, not in mybr0"),
        ({"veth": replace(VETH, master=None)}, "veth1 is in no bridge, not in mybr0"),
        ({"veth": replace(VETH, flags=0)}, "veth1 is down"),
        ({"veth": replace(VETH, port={"mode": 1})}, "veth1 has hairpin mode on"),
        ({"pod": None}, "eth0 is gone from the pod"),
        (
            {"pod": replace(POD, address="02:00:00:00:00:02")},
            f"eth0 of the pod has MAC 02:00:00:00:00:02, not {MAC}",
        ),
        ({"pod": replace(POD, flags=0)}, "eth0 of the pod is down"),
        ({"pod": replace(POD, parent=9)}, "eth0 of the pod is not the other end of veth1"),
        ({"addresses": ()}, "eth0 of the pod has no address 172.16.91.131/24 (it has none)"),
        (
            {"addresses": (Address(dev="eth0", address="172.16.91.131/25"),)},
            "eth0 of the pod has no address 172.16.91.131/24 (it has 172.16.91.131/25)",
        ),
        ({"routes": ()}, "the pod has no route to 0.0.0.0/0 via 172.16.91.2"),
    ],
)
def test_each_difference_is_a_sentence(change: dict[str, Any], difference: str) -> None:
    assert differences(PROMISED, replace(THERE, **change)) == (difference,)


def test_all_differences_are_in_one_error() -> None:
    with pytest.raises(NotAsPromised) as error:
        require_as_promised(PROMISED, replace(THERE, veth=None, routes=(), addresses=()))
    assert error.value.code == 103
    assert len(error.value.msg.split("; ")) == 3


def test_another_namespace_than_the_promised_one_is_a_difference() -> None:
    assert differences(replace(PROMISED, netns="/run/netns/other"), THERE) == (
        "prevResult has eth0 in /run/netns/pod, CNI_NETNS is /run/netns/other",
    )


def test_interfaces_and_addresses_of_later_plugins_are_not_looked_at() -> None:
    more = replace(
        PROMISED.result,
        interfaces=(*PROMISED.result.interfaces, Interface(name="ifb0"), Interface(name="tap0", sandbox="x")),
        ips=(*PROMISED.result.ips, IPConfig(address=ip_interface("10.0.0.1/24"), interface=4)),
    )
    extra = (*THERE.routes, Route(family=2, dst="10.0.0.0/8", dev="eth0"))
    assert differences(replace(PROMISED, result=more), replace(THERE, routes=extra)) == ()


def test_under_another_main_plugin_only_the_pods_side_is_looked_at() -> None:
    mine = replace(PROMISED, veth="", result=replace(PROMISED.result, interfaces=()))
    assert differences(mine, replace(THERE, bridge=None, veth=None)) == ()


def test_a_link_that_is_to_be_down_is_down() -> None:
    l2 = replace(PROMISED, conf=Bridge(name="mybr0", disable_container_interface=True), result=Result())
    assert differences(l2, replace(THERE, pod=replace(POD, flags=0))) == ()
    assert differences(l2, THERE) == ("eth0 of the pod is up",)
