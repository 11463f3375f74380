"""Life of a lease"""

from __future__ import annotations

import pytest

from envctl.environment import side_by_side
from tests.infra.conftest import Lan, Plugged, Pods
from tests.infra.seen import unreached
from tests.lab.lan import until

SLOW_S = 5.0
"""What an emulated machine's first answer may have taken longer than a later one."""


def test_a_pod_that_goes_gives_its_address_back(lan: Lan, temporary_pod: Plugged) -> None:
    """A pod that goes gives its address back to the server."""
    assert lan.books()[temporary_pod.mac].address == temporary_pod.address
    node = lan.node_of(temporary_pod)
    ports = node.check_output("ls /sys/class/net/%s/brif", lan.config.bridge).split()
    lan.provider.pod_rm(temporary_pod.name)
    until(lambda: temporary_pod.mac not in lan.books(), what="the release in the server's books")
    assert len(node.check_output("ls /sys/class/net/%s/brif", lan.config.bridge).split()) == len(ports) - 1


@pytest.mark.needs(pods=1, why="needs a pod")
def test_a_killed_agent_keeps_every_lease_and_asks_for_none_again(lan: Lan, pods: Pods) -> None:
    """A killed agent comes back with every lease and asks for none."""
    leases, books = lan.leases(), lan.books()
    nodes = lan.provider.nodes()
    side_by_side(lambda node: lan.provider.stop_agent(node, "KILL"), nodes)
    side_by_side(lan.provider.start_agent, nodes)
    after = lan.leases()
    assert after.keys() == leases.keys()
    assert {mac: lease["address"] for mac, lease in after.items()} == {
        mac: lease["address"] for mac, lease in leases.items()
    }
    now, due = lan.books(), 0.45 * lan.config.network.dhcp.lease_s  # T1, and that up to a tenth early
    assert {mac: entry.address for mac, entry in now.items()} == {
        mac: it.address for mac, it in books.items()
    }
    for mac, entry in now.items():
        later = entry.expires - books[mac].expires  # nothing, or what a renewal that was due (T1) makes of it
        assert later == 0 or later >= due - SLOW_S, f"{entry.address} was asked for again after {later} s"
    assert not unreached(lan.host, [pod.address for pod in pods])
