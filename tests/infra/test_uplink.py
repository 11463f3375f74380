"""Uplink"""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from testinfra.host import Host

from envctl import iproute
from envctl.environment import fingerprint, served_certificate, side_by_side
from tests.infra.conftest import Lan


@dataclass(frozen=True)
class Uplink:
    """What one node's kernel has."""

    links: dict[str, iproute.Link]
    routes: tuple[iproute.Route, ...]
    accept_ra: str

    @classmethod
    def of(cls, node: Host, bridge: str) -> Uplink:
        """Asked by one command."""
        setting = f"/proc/sys/net/ipv6/conf/{bridge}/accept_ra"
        said = node.check_output(iproute.ASK + "; cat %s", setting)
        there = iproute.parse(said)
        return cls(there.links, there.routes, said.splitlines()[-1])


@pytest.fixture(scope="module")
def uplinks(lan: Lan) -> dict[str, Uplink]:
    """What every node's kernel says, by node."""
    found = side_by_side(lambda node: Uplink.of(node, lan.config.bridge), lan.nodes.values())
    return dict(zip(lan.nodes, found, strict=True))


def test_the_address_of_every_node_is_on_its_bridge(lan: Lan, uplinks: dict[str, Uplink]) -> None:
    """Each node's address is on the bridge, and nowhere else."""
    for name, address in lan.config.node_addresses().items():
        holders = [link.name for link in uplinks[name].links.values() if link.has(str(address))]
        assert holders == [lan.config.bridge], name


def test_the_nic_of_every_node_is_a_port_without_an_address(lan: Lan, uplinks: dict[str, Uplink]) -> None:
    """Each NIC is a port without an address; the bridge has its MAC."""
    for name, uplink in uplinks.items():
        nic, bridge = uplink.links[lan.config.uplink.interface], uplink.links[lan.config.bridge]
        assert nic.master == lan.config.bridge, name
        assert not nic.addresses, f"{name}: {nic.name} has {nic.addresses}"
        assert bridge.mac == nic.mac, f"{name}: the bridge shows another MAC than the NIC"


def test_there_is_one_route_to_the_lan(lan: Lan, uplinks: dict[str, Uplink]) -> None:
    """Each node has exactly one route to the LAN."""
    for name, uplink in uplinks.items():
        found = [route.dev for route in uplink.routes if route.destination == str(lan.config.network.cidr)]
        assert found == [lan.config.bridge], name


def test_there_is_one_default_route(lan: Lan, uplinks: dict[str, Uplink]) -> None:
    """Each node has exactly one default route, through the bridge."""
    for name, uplink in uplinks.items():
        found = [(route.gateway, route.dev) for route in uplink.routes if route.destination == "default"]
        assert found == [(str(lan.config.network.gateway), lan.config.bridge)], name


def test_the_bridge_forwards_at_once(lan: Lan, uplinks: dict[str, Uplink]) -> None:
    """The bridges forward at once: no STP, no delay."""
    for name, uplink in uplinks.items():
        bridge = uplink.links[lan.config.bridge]
        assert (bridge.detail("stp_state"), bridge.detail("forward_delay")) == ("0", "0"), name


def test_router_advertisements_are_still_heard(uplinks: dict[str, Uplink]) -> None:
    """The bridges still hear router advertisements."""
    assert "0" not in {name: uplink.accept_ra for name, uplink in uplinks.items()}.values()


def test_the_apiserver_answers_with_the_certificate_that_it_had(lan: Lan) -> None:
    """The apiserver answers the workstation with its certificate."""
    expected = lan.provider.apiserver()
    served = served_certificate(lan.provider.host(), expected.address, expected.port)
    assert served, f"{expected.address}:{expected.port} does not answer TLS"
    assert fingerprint(served) == fingerprint(expected.pem)
