"""Leases"""

from __future__ import annotations

import json
from collections import Counter
from ipaddress import IPv4Address

import pytest

from envctl.environment import side_by_side
from tests.infra.conftest import Lan, Pods
from tests.infra.seen import Seen

pytestmark = pytest.mark.needs(pods=1, why="needs a pod")


def test_every_pod_has_an_address_from_the_range_of_the_dhcp_server(lan: Lan, pods: Pods) -> None:
    """Every pod has an address from the server's range."""
    dhcp = lan.config.network.dhcp
    for pod in pods:
        assert pod.address, f"{pod.name} has no address"
        assert dhcp.first <= IPv4Address(pod.address) <= dhcp.last, f"{pod.name} has {pod.address}"


def test_the_kernel_of_the_pod_has_what_the_result_says(lan: Lan, pods: Pods, seen: dict[str, Seen]) -> None:
    """Each pod's kernel has what its CNI result says."""
    for pod in pods:
        look = seen[pod.name]
        assert look.held == (f"{pod.address}/{lan.config.network.cidr.prefixlen}",), pod.name
        assert look.mac == pod.mac, pod.name
        assert look.gateways == (str(lan.config.network.gateway),), pod.name


def test_the_server_has_every_pod_in_its_books(lan: Lan, pods: Pods) -> None:
    """The server's own books have each pod's address and MAC."""
    books = lan.books()
    for pod in pods:
        assert pod.mac in books, f"the server knows nothing of {pod.name} ({pod.mac})"
        assert books[pod.mac].address == pod.address, pod.name


def test_no_address_and_no_mac_is_given_twice(lan: Lan, pods: Pods) -> None:
    """Addresses and MACs are unique."""
    taken = [*map(str, lan.config.node_addresses().values()), *(pod.address for pod in pods)]
    assert not [address for address, times in Counter(taken).items() if times > 1]
    assert not [mac for mac, times in Counter(pod.mac for pod in pods).items() if times > 1]


def test_the_agents_know_every_lease(lan: Lan, pods: Pods) -> None:
    """The agents have every lease on record."""
    leases = lan.leases()
    for pod in pods:
        assert pod.mac in leases, f"no agent knows {pod.name} ({pod.mac})"
        assert str(leases[pod.mac]["address"]).partition("/")[0] == pod.address


def test_the_agents_find_every_pod_as_it_was_promised(lan: Lan) -> None:
    """The agents' own CHECK finds every pod as it was promised."""
    answers = side_by_side(lambda node: node.run("brdhcpctl check -o json"), lan.nodes.values())
    for name, checked in zip(lan.nodes, answers, strict=True):
        faults = [row["faults"] for row in json.loads(checked.stdout) if not row["ok"]]
        assert checked.rc == 0 and not faults, f"{name}: {faults}"
