"""Uplink"""

from __future__ import annotations

import json
from typing import Any

from testinfra.host import Host

from envctl.environment import fingerprint, served_certificate
from tests.infra.conftest import Lan


def addresses(node: Host) -> dict[str, dict[str, Any]]:
    return {link["ifname"]: link for link in json.loads(node.check_output("ip -j addr"))}


def routes(node: Host, selector: str) -> list[dict[str, Any]]:
    return list(json.loads(node.check_output("ip -j -4 route show %s", selector)))


def test_the_address_of_every_node_is_on_its_bridge(lan: Lan) -> None:
    """Each node's address is on the bridge, and nowhere else."""
    for name, address in lan.config.node_addresses().items():
        holders = [
            link
            for link, facts in addresses(lan.nodes[name]).items()
            if any(entry.get("local") == str(address) for entry in facts["addr_info"])
        ]
        assert holders == [lan.config.bridge], name


def test_the_nic_of_every_node_is_a_port_without_an_address(lan: Lan) -> None:
    """Each NIC is a port without an address; the bridge has its MAC."""
    for name, node in lan.nodes.items():
        links = addresses(node)
        nic, bridge = links[lan.config.uplink.interface], links[lan.config.bridge]
        assert nic.get("master") == lan.config.bridge, name
        assert not nic["addr_info"], name
        assert bridge["address"] == nic["address"], f"{name}: the bridge shows another MAC than the NIC"


def test_there_is_one_route_to_the_lan(lan: Lan) -> None:
    """Each node has exactly one route to the LAN."""
    for name, node in lan.nodes.items():
        found = routes(node, str(lan.config.network.cidr))
        assert [route["dev"] for route in found] == [lan.config.bridge], name


def test_there_is_one_default_route(lan: Lan) -> None:
    """Each node has exactly one default route, through the bridge."""
    for name, node in lan.nodes.items():
        found = [(route.get("gateway"), route["dev"]) for route in routes(node, "default")]
        assert found == [(str(lan.config.network.gateway), lan.config.bridge)], name


def test_the_bridge_forwards_at_once(lan: Lan) -> None:
    """The bridges forward at once: no STP, no delay."""
    for name, node in lan.nodes.items():
        (link,) = json.loads(node.check_output("ip -j -d link show %s", lan.config.bridge))
        data = link["linkinfo"]["info_data"]
        assert (data["stp_state"], data["forward_delay"]) == (0, 0), name


def test_router_advertisements_are_still_heard(lan: Lan) -> None:
    """The bridges still hear router advertisements."""
    for name, node in lan.nodes.items():
        assert node.check_output("cat /proc/sys/net/ipv6/conf/%s/accept_ra", lan.config.bridge) != "0", name


def test_the_apiserver_answers_with_the_certificate_that_it_had(lan: Lan) -> None:
    """The apiserver answers the workstation with its certificate."""
    expected = lan.provider.apiserver()
    served = served_certificate(lan.provider.host(), expected.address, expected.port)
    assert served, f"{expected.address}:{expected.port} does not answer TLS"
    assert fingerprint(served) == fingerprint(expected.pem)
