"""Reach"""

from __future__ import annotations

import itertools

import pytest
from testinfra.host import Host

from tests.infra.conftest import Lan, Plugged, Pods

pytestmark = pytest.mark.needs(pods=1, why="needs a pod")


def reaches(source: Host, address: object) -> bool:
    """One echo request, answered within 2 s (three tries: ARP may lose the first)."""
    return bool(source.run("ping -n -q -c 1 -i 0.2 -w 2 %s", str(address)).rc == 0)


def pairs(pods: Pods, *, same: bool) -> list[tuple[Plugged, Plugged]]:
    return [
        pair for pair in itertools.permutations(pods, 2) if (pair[0].pod.node == pair[1].pod.node) is same
    ]


@pytest.mark.needs(pods=2, why="needs two pods")
def test_pods_on_one_node_reach_each_other(lan: Lan, pods: Pods) -> None:
    """Pods on one node reach each other."""
    together = pairs(pods, same=True)
    assert together, "no two pods are on one node"
    for one, other in together:
        assert reaches(one.host, other.address), f"{one.name} does not reach {other.name}"


@pytest.mark.needs(pods=2, workers=1, why="needs a second node")
def test_pods_on_different_nodes_reach_each_other(lan: Lan, pods: Pods) -> None:
    """Pods on different nodes reach each other."""
    across = pairs(pods, same=False)
    assert across, "all pods are on one node"
    for one, other in across:
        assert reaches(one.host, other.address), f"{one.name} does not reach {other.name}"


def test_every_pod_reaches_the_router(lan: Lan, pods: Pods) -> None:
    """Every pod reaches the router."""
    for pod in pods:
        assert reaches(pod.host, lan.config.network.gateway), pod.name


def test_every_pod_reaches_the_internet(lan: Lan, pods: Pods) -> None:
    """Every pod reaches the internet, and finds it by name."""
    for pod in pods:
        assert reaches(pod.host, lan.internet), pod.name
        assert lan.internet in pod.host.check_output("getent ahostsv4 %s", lan.internet_name), pod.name


def test_every_pod_reaches_its_own_node_and_the_others(lan: Lan, pods: Pods) -> None:
    """Every pod reaches every node."""
    for pod in pods:
        for name, address in lan.config.node_addresses().items():
            assert reaches(pod.host, address), f"{pod.name} does not reach {name}"


def test_the_workstation_reaches_every_pod_and_sees_its_own_mac(lan: Lan, pods: Pods, host: Host) -> None:
    """The workstation reaches every pod at the pod's own MAC."""
    for pod in pods:
        assert reaches(host, pod.address), pod.name
        assert pod.mac in host.check_output("ip neigh show %s", pod.address), pod.name


def test_every_pod_reaches_the_workstation(lan: Lan, pods: Pods) -> None:
    """Every pod reaches the workstation."""
    for pod in pods:
        assert reaches(pod.host, lan.config.network.host), pod.name
