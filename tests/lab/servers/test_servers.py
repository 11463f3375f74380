"""The same life of a pod against every kind of DHCP server."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from tests.lab.agent.rig import Rig, rig
from tests.lab.faults.both import agree, end, pods
from tests.lab.lan import until
from tests.lab.servers.kinds import KINDS, Kind


@dataclass
class Here:
    """A node with an agent, and one kind of server."""

    node: Rig
    server: Kind


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: kind.name)
def here(request: pytest.FixtureRequest) -> Iterator[Here]:
    with rig(serve=False) as node:
        server = request.param(node.lan)
        server.start()
        node.start()
        yield Here(node, server)


def test_a_pod_gets_an_address_that_the_lan_reaches_and_the_server_has_it_back_after_del(here: Here) -> None:
    address = here.node.add("web").address
    here.node.lan.host.run(f"ping -c 1 -W 5 {address}")
    until(lambda: list(here.server.taken().values()) == [address], what="the server has it as taken")
    end(here.node, "web", taken=here.server.taken)


def test_ten_pods_at_once_have_ten_addresses_and_give_them_back(here: Here) -> None:
    names = [f"c{number}" for number in range(10)]
    with ThreadPoolExecutor(10) as pool:
        assert len({answer.address for answer in pool.map(here.node.add, names)}) == 10
    end(here.node, *names, taken=here.server.taken)


def test_a_lease_is_renewed_and_outlives_the_agent(here: Here) -> None:
    node = here.node
    address = node.add("web").address
    before = len(node.events("lease-renewed", all_agents=True))
    node.ctl("renew")
    until(lambda: len(node.events("lease-renewed", all_agents=True)) > before, what="the lease is renewed")
    node.kill()
    node.start()
    assert node.events("ready")[0]["kept"] == 1
    agree(node, here.server.taken)
    assert pods(node) == {"web": address}
    node.ctl("renew")
    until(lambda: node.events("lease-renewed"), what="the next agent renews it")
    end(node, "web", taken=here.server.taken)


def test_a_pod_that_died_without_del_gives_its_address_back(here: Here) -> None:
    here.node.add("web")
    here.node.lan.node.run("ip netns del web")
    assert here.node.ctl("gc") == {"released": 1}
    until(lambda: here.server.taken() == {}, what="the server has the address back")


def test_the_same_container_gets_its_address_again(here: Here) -> None:
    first = here.node.add("web").address
    assert here.node.cni("DEL", "web").status == 0
    until(lambda: here.server.taken() == {}, what="the server has the address back")
    assert here.node.cni("ADD", "web").address == first
    end(here.node, "web", taken=here.server.taken)
