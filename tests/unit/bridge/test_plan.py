"""The plan of a bridge and of one port on it, from what was observed."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_interface
from typing import Any

import pytest
from brdhcp.bridge import naming, plan
from brdhcp.errors import InvalidConfiguration, UnsupportedField
from brdhcp.netlink.change import (
    Address,
    AddressAdd,
    AddressDelete,
    BridgeVlan,
    LinkAdd,
    LinkDelete,
    LinkSet,
    SysctlSet,
)
from brdhcp.netlink.observe import IFF_PROMISC, IFF_UP, Link
from brdhcp.spec.netconf import Bridge
from brdhcp.spec.result import IPConfig, Result

CONF = Bridge(name="mybr0")
HERE = Link(name="mybr0", index=3, kind="bridge", address="02:00:5e:00:00:10", mtu=1500, flags=IFF_UP)


def port(conf: Bridge = CONF, here: Link | None = HERE, mac: str | None = None) -> plan.Port:
    return plan.port_of(conf, here, container_id="c1", if_name="eth0", network="n", mac=mac, seed="boot")


def test_a_bridge_that_is_there_and_up_needs_nothing() -> None:
    assert plan.ensure_bridge(CONF, HERE, "boot") == ()


def test_a_missing_bridge_is_made_in_one_request_that_forwards_at_once() -> None:
    (step,) = plan.ensure_bridge(CONF, None, "boot")
    assert step.do == (
        LinkAdd(
            name="mybr0",
            kind="bridge",
            address=naming.bridge_mac("mybr0", "boot"),
            up=True,
            data={"stp_state": 0, "forward_delay": 0},
        ),
    )
    assert step.undo == (LinkDelete(name="mybr0"),)


def test_a_bridge_filters_vlans_only_when_made_for_them() -> None:
    (step,) = plan.ensure_bridge(replace(CONF, vlan=5), None, "boot")
    assert isinstance(step.do[0], LinkAdd)
    assert step.do[0].data["vlan_filtering"] == 1
    with pytest.raises(InvalidConfiguration, match="need VLAN filtering on the bridge mybr0"):
        plan.ensure_bridge(replace(CONF, vlan=5), HERE, "boot")
    filtering = replace(HERE, bridge={"vlan_filtering": 1})
    assert plan.ensure_bridge(replace(CONF, vlan=5), filtering, "boot") == ()


def test_a_bridge_that_is_down_is_set_up_and_put_back() -> None:
    (step,) = plan.ensure_bridge(replace(CONF, promisc_mode=True), replace(HERE, flags=0), "boot")
    assert step.do == (LinkSet(name="mybr0", up=True, promisc=True),)
    assert step.undo == (LinkSet(name="mybr0", up=False, promisc=False),)
    assert (
        plan.ensure_bridge(
            replace(CONF, promisc_mode=True), replace(HERE, flags=IFF_UP | IFF_PROMISC), "boot"
        )
        == ()
    )


@pytest.mark.parametrize(("kind", "what"), [("", "is a network card"), ("veth", "is a link of kind veth")])
def test_a_name_that_is_no_bridge_is_refused_with_the_way_to_one(kind: str, what: str) -> None:
    with pytest.raises(InvalidConfiguration) as error:
        plan.ensure_bridge(Bridge(name="eth0"), replace(HERE, name="eth0", kind=kind), "boot")
    assert error.value.msg == f'bridge "eth0" {what}, not a bridge'
    assert "brdhcpctl uplink" in error.value.details


def test_nothing_ever_touches_accept_ra_of_a_bridge() -> None:
    changes = [
        change
        for conf in (CONF, replace(CONF, promisc_mode=True, vlan=5))
        for here in (None, replace(HERE, flags=0, bridge={"vlan_filtering": 1}))
        for step in (*plan.ensure_bridge(conf, here, "boot"), *plan.attach(conf, port(conf), 9))
        for change in step.do
    ]
    assert not [change for change in changes if isinstance(change, SysctlSet)]


def test_plugging_in_is_one_request() -> None:
    (step,) = plan.attach(CONF, port(), 9)
    assert step.do == (
        LinkAdd(
            name=naming.veth_name("c1", "eth0"),
            kind="veth",
            address=naming.port_mac("c1", "eth0"),
            mtu=1500,
            up=True,
            master="mybr0",
            peer="eth0",
            peer_address=naming.pod_mac("c1", "eth0", "n"),
            peer_mtu=1500,
            peer_netns_fd=9,
        ),
    )
    assert step.undo == (LinkDelete(name=naming.veth_name("c1", "eth0")),)


def test_the_port_has_the_bridges_mtu_and_the_pod_what_was_asked_for() -> None:
    assert (port().mtu, port().bridge_mtu) == (1500, 1500)
    jumbo = replace(HERE, mtu=9000)
    assert port(here=jumbo).mtu == 9000
    small = port(replace(CONF, mtu=1400), jumbo)
    assert (small.mtu, small.bridge_mtu) == (1400, 9000)
    made = port(replace(CONF, mtu=1400), None)
    assert (made.mtu, made.bridge_mtu, made.bridge_mac) == (1400, 1400, naming.bridge_mac("mybr0", "boot"))
    with pytest.raises(InvalidConfiguration, match="mtu 9000 is above the 1500 of the bridge mybr0"):
        port(replace(CONF, mtu=9000))


def test_a_mac_that_was_asked_for_is_given() -> None:
    assert port(mac="02:00:00:00:00:0a").mac == "02:00:00:00:00:0a"


@pytest.mark.parametrize(
    ("keys", "changes"),
    [
        ({"hairpin_mode": True}, [LinkSet(name="V", port={"hairpin": 1})]),
        (
            {"hairpin_mode": True, "port_isolation": True},
            [LinkSet(name="V", port={"hairpin": 1, "isolated": 1})],
        ),
        ({"vlan": 5}, [BridgeVlan(dev="V", vid=5, pvid=True, untagged=True)]),
        (
            {"vlan_trunk": ((5, 5), (10, 12)), "preserve_default_vlan": False},
            [
                BridgeVlan(dev="V", vid=1, add=False),
                BridgeVlan(dev="V", vid=5),
                BridgeVlan(dev="V", vid=10, vid_end=12),
            ],
        ),
        ({"preserve_default_vlan": False}, []),
    ],
)
def test_settings_of_the_port_are_asked_for_only_when_wanted(
    keys: dict[str, Any], changes: list[Any]
) -> None:
    veth = naming.veth_name("c1", "eth0")
    (step,) = plan.attach(replace(CONF, **keys), port(), 9)
    expected = [
        replace(change, name=veth) if isinstance(change, LinkSet) else replace(change, dev=veth)
        for change in changes
    ]
    assert list(step.do[1:]) == expected


GATEWAY = replace(CONF, is_gateway=True)
DELEGATED = Result(ips=(IPConfig(address=ip_interface("10.0.0.5/24"), gateway=ip_address("10.0.0.1")),))


def test_a_gateway_has_the_address_once_and_the_node_forwards() -> None:
    (step,) = plan.gateway(GATEWAY, DELEGATED, [], sysctls={"ipv4/ip_forward": "0"})
    address = Address(dev="mybr0", address="10.0.0.1/24", broadcast="10.0.0.255")
    assert step.do == (AddressAdd(address=address), SysctlSet(path="ipv4/ip_forward", value="1"))
    assert step.undo == (SysctlSet(path="ipv4/ip_forward", value="0"), AddressDelete(address=address))
    assert plan.gateway(GATEWAY, DELEGATED, [address], sysctls={"ipv4/ip_forward": "1"}) == ()
    assert plan.gateway(CONF, DELEGATED, []) == ()


def test_another_address_in_the_gateways_place_is_kept_unless_forced_and_never_the_uplinks() -> None:
    other = Address(dev="mybr0", address="172.16.91.10/24")
    with pytest.raises(UnsupportedField, match=r"isGateway wants 10\.0\.0\.1/24 on mybr0, which has 172"):
        plan.gateway(GATEWAY, DELEGATED, [other])
    forced = replace(GATEWAY, force_address=True)
    (step,) = plan.gateway(forced, DELEGATED, [other], sysctls={"ipv4/ip_forward": "1"})
    assert step.do[0] == AddressDelete(address=other)
    assert step.undo[-1] == AddressAdd(address=other)
    with pytest.raises(UnsupportedField) as error:
        plan.gateway(forced, DELEGATED, [other], carries_uplink=True)
    assert "would cut the node off" in error.value.details


def test_turning_ipv6_forwarding_on_keeps_the_nodes_own_default_route() -> None:
    result = Result(ips=(IPConfig(address=ip_interface("fd00::5/64"), gateway=ip_address("fd00::1")),))
    sysctls = {
        "ipv6/conf/all/forwarding": "0",
        "ipv6/conf/eth0/accept_ra": "1",
        "ipv6/conf/mybr0/accept_ra": "1",
        "ipv6/conf/lo/accept_ra": "0",
    }
    (step,) = plan.gateway(GATEWAY, result, [], sysctls=sysctls)
    assert step.do[1:] == (
        SysctlSet(path="ipv6/conf/eth0/accept_ra", value="2"),
        SysctlSet(path="ipv6/conf/mybr0/accept_ra", value="2"),
        SysctlSet(path="ipv6/conf/all/forwarding", value="1"),
    )
