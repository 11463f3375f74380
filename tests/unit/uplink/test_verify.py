"""After a rollback: is the NIC still the same, whatever it is called?"""

from __future__ import annotations

from dataclasses import replace

import pytest
from brdhcp.netlink.observe import Link, Snapshot
from brdhcp.uplink.verify import renamed

from tests.unit.uplink.node import ETH0, LO, MAC, view

BEFORE = view().before
BRIDGE = Link(name="mybr0", index=5, kind="bridge", address=MAC)
VLAN = Link(name="lan0.5", index=6, kind="vlan", address=MAC, parent=2)
LAN0 = replace(ETH0, name="lan0", master="mybr0")


@pytest.mark.parametrize(
    ("links", "name"),
    [
        ((ETH0, BRIDGE), None),
        ((LAN0, BRIDGE, VLAN), "lan0"),
        ((BRIDGE,), None),
        ((LAN0, replace(LAN0, name="lan1"), BRIDGE), None),
    ],
    ids=["its own name", "another name", "gone", "two of that MAC"],
)
def test_a_nic_under_another_name_is_known_by_its_mac(links: tuple[Link, ...], name: str | None) -> None:
    now = Snapshot(links=(LO, *links), addresses=(), routes=(), rules=())
    assert renamed(BEFORE, now, "eth0") == name
