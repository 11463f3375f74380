"""A pod in a VLAN: what the bridge sends in its name is untagged, and so no DHCPRELEASE of its.

Many a lab's kernel filters no VLANs. The record is made that of a pod in a VLAN: what is decided follows from it.
"""

from __future__ import annotations

import sys

import pytest

from tests.lab.agent.rig import STATE, Rig

IN_A_VLAN = """
import json, sys
from pathlib import Path
from brdhcp.store.leases import Store
store = Store(Path(sys.argv[1]))
for each in store:
    store.save(each.replace(netconf=json.dumps({**json.loads(each.netconf), "vlan": 5})))
store.close()
"""


@pytest.mark.parametrize("alive", [True, False])
def test_its_release_leaves_by_itself_or_is_said_to_be_impossible(node: Rig, alive: bool) -> None:
    address = node.add("web").address
    node.kill()
    node.lan.node.run(f"{sys.executable} - {STATE}", stdin=IN_A_VLAN)
    if not alive:
        node.lan.node.run("ip netns del web")
    node.start()
    if alive:
        assert node.cni("DEL", "web").status == 0
        node.nothing_left()
    assert node.leases() == []
    assert [event["address"] for event in node.events("release-impossible")] == [address] * (not alive)
    assert len(node.events("lease-released")) == alive
