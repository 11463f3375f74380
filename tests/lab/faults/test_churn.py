"""A node's worth of pods that come and go in all orders, many at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.lab.agent.rig import Rig
from tests.lab.faults.both import agree, pods


@pytest.mark.timeout(120)
def test_a_node_under_churn_ends_as_it_began(node: Rig) -> None:
    names = [f"c{number}" for number in range(110)]

    def life(name: str) -> int:
        node.pod(name)
        failed = 0
        for _ in range(2):
            failed += node.cni("ADD", name).status
            failed += node.cni("DEL", name).status
        return failed + node.cni("ADD", name).status

    with ThreadPoolExecutor(24) as pool:
        assert sum(pool.map(life, names)) == 0
    assert len(pods(node)) == len(names)
    agree(node)
    with ThreadPoolExecutor(24) as pool:
        assert sum(pool.map(lambda name: node.cni("DEL", name).status, names)) == 0
    node.nothing_left()
    assert node.events("bug") == []
