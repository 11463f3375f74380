"""Reach"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable

import pytest
from testinfra.host import Host

from tests.infra.conftest import Lan, Plugged, Pods
from tests.infra.seen import Seen, unreached

pytestmark = pytest.mark.needs(pods=1, why="needs a pod")


def each_reaches(
    pods: Iterable[Plugged], seen: dict[str, Seen], targets: Callable[[Plugged], Iterable[object]]
) -> None:
    """Every pod reaches its targets; the failure names who does not reach what."""
    missed = {pod.name: {str(target) for target in targets(pod)} - seen[pod.name].answered for pod in pods}
    assert not {name: missing for name, missing in missed.items() if missing}


def others(pods: Pods, pod: Plugged, *, same: bool) -> list[str]:
    """The other pods on the same node, or on different ones."""
    return [one.address for one in pods if one is not pod and (one.pod.node == pod.pod.node) is same]


@pytest.mark.needs(pods=2, why="needs two pods")
def test_pods_on_one_node_reach_each_other(pods: Pods, seen: dict[str, Seen]) -> None:
    """Pods on one node reach each other."""
    together = [pod for pod in pods if others(pods, pod, same=True)]
    assert together, "no two pods are on one node"
    each_reaches(together, seen, lambda pod: others(pods, pod, same=True))


@pytest.mark.needs(pods=2, workers=1, why="needs a second node")
def test_pods_on_different_nodes_reach_each_other(pods: Pods, seen: dict[str, Seen]) -> None:
    """Pods on different nodes reach each other."""
    apart = [pod for pod in pods if others(pods, pod, same=False)]
    assert apart, "all pods are on one node"
    each_reaches(apart, seen, lambda pod: others(pods, pod, same=False))


def test_every_pod_reaches_the_router(lan: Lan, pods: Pods, seen: dict[str, Seen]) -> None:
    """Every pod reaches the router."""
    each_reaches(pods, seen, lambda _pod: [lan.config.network.gateway])


@pytest.mark.needs(internet=1, why="needs something that stands for the internet")
def test_every_pod_reaches_the_internet(lan: Lan, pods: Pods, seen: dict[str, Seen]) -> None:
    """Every pod reaches the internet, and finds it by name."""
    each_reaches(pods, seen, lambda _pod: [lan.internet])
    assert {name: look.resolved for name, look in seen.items()} == dict.fromkeys(seen, lan.internet)


def test_every_pod_reaches_its_own_node_and_the_others(lan: Lan, pods: Pods, seen: dict[str, Seen]) -> None:
    """Every pod reaches every node."""
    each_reaches(pods, seen, lambda _pod: lan.config.node_addresses().values())


def test_the_workstation_reaches_every_pod_and_sees_its_own_mac(pods: Pods, host: Host) -> None:
    """The workstation reaches every pod at the pod's own MAC."""
    assert not unreached(host, [pod.address for pod in pods])
    table = {entry["dst"]: entry.get("lladdr") for entry in json.loads(host.check_output("ip -j neigh show"))}
    assert {pod.address: table.get(pod.address) for pod in pods} == {pod.address: pod.mac for pod in pods}


def test_every_pod_reaches_the_workstation(lan: Lan, pods: Pods, seen: dict[str, Seen]) -> None:
    """Every pod reaches the workstation."""
    each_reaches(pods, seen, lambda _pod: [lan.config.network.host])
