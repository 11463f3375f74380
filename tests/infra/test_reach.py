"""Reach"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable

import pytest
from testinfra.host import Host

from envctl.environment import side_by_side
from tests.infra.conftest import Lan, Plugged, Pods

pytestmark = pytest.mark.needs(pods=1, why="needs a pod")


ASK = "for a in {}; do ping -n -q -c 1 -i 0.2 -w 2 $a >/dev/null 2>&1 && echo $a & done; wait"


def unreached(source: Host, addresses: Iterable[object]) -> set[str]:
    """Those of the addresses that do not answer within 2 s; all are asked at once, by one command."""
    asked = {str(address) for address in addresses}
    return asked - set(source.check_output(ASK.format(" ".join(sorted(asked)))).split())


def each_reaches(pods: Iterable[Plugged], targets: Callable[[Plugged], Iterable[object]]) -> None:
    """Every pod reaches its targets; the failure names who does not reach what."""
    listed = list(pods)
    missed = side_by_side(lambda pod: unreached(pod.host, targets(pod)), listed)
    assert not {pod.name: missing for pod, missing in zip(listed, missed, strict=True) if missing}


def others(pods: Pods, pod: Plugged, *, same: bool) -> list[str]:
    """The other pods on the same node, or on different ones."""
    return [one.address for one in pods if one is not pod and (one.pod.node == pod.pod.node) is same]


@pytest.mark.needs(pods=2, why="needs two pods")
def test_pods_on_one_node_reach_each_other(lan: Lan, pods: Pods) -> None:
    """Pods on one node reach each other."""
    together = [pod for pod in pods if others(pods, pod, same=True)]
    assert together, "no two pods are on one node"
    each_reaches(together, lambda pod: others(pods, pod, same=True))


@pytest.mark.needs(pods=2, workers=1, why="needs a second node")
def test_pods_on_different_nodes_reach_each_other(lan: Lan, pods: Pods) -> None:
    """Pods on different nodes reach each other."""
    apart = [pod for pod in pods if others(pods, pod, same=False)]
    assert apart, "all pods are on one node"
    each_reaches(apart, lambda pod: others(pods, pod, same=False))


def test_every_pod_reaches_the_router(lan: Lan, pods: Pods) -> None:
    """Every pod reaches the router."""
    each_reaches(pods, lambda _pod: [lan.config.network.gateway])


def test_every_pod_reaches_the_internet(lan: Lan, pods: Pods) -> None:
    """Every pod reaches the internet, and finds it by name."""
    each_reaches(pods, lambda _pod: [lan.internet])
    for pod in pods:
        assert lan.internet in pod.host.check_output("getent ahostsv4 %s", lan.internet_name), pod.name


def test_every_pod_reaches_its_own_node_and_the_others(lan: Lan, pods: Pods) -> None:
    """Every pod reaches every node."""
    each_reaches(pods, lambda _pod: lan.config.node_addresses().values())


def test_the_workstation_reaches_every_pod_and_sees_its_own_mac(lan: Lan, pods: Pods, host: Host) -> None:
    """The workstation reaches every pod at the pod's own MAC."""
    assert not unreached(host, [pod.address for pod in pods])
    table = {entry["dst"]: entry.get("lladdr") for entry in json.loads(host.check_output("ip -j neigh show"))}
    assert {pod.address: table.get(pod.address) for pod in pods} == {pod.address: pod.mac for pod in pods}


def test_every_pod_reaches_the_workstation(lan: Lan, pods: Pods) -> None:
    """Every pod reaches the workstation."""
    each_reaches(pods, lambda _pod: [lan.config.network.host])
