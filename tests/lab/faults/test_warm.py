"""Leases taken ahead: quick when the server is slow, never the last ones, and given back when nobody needs them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.agent.rig import NOTE, STATE, Rig, rig
from tests.lab.faults.both import end, pods
from tests.lab.faults.test_network import lossy
from tests.lab.lan import until

AHEAD_AGAIN = """
import sys
from pathlib import Path
from brdhcp.store.leases import Store
store = Store(Path(sys.argv[1]))
pod = next(each for each in store if each.container_id == "second")
name = "warm-" + pod.mac.replace(":", "")
store.save(pod.replace(container_id=name, role="warm", veth="", netns="", netns_identity=None, netconf="", extra={}))
store.close()
"""
"""Writes the record of a lease taken ahead down again that the pod *second* has by now."""
POOL: dict[str, Any] = {**NOTE, "warmLeases": 2}


@pytest.fixture
def few() -> Iterator[Rig]:
    """A LAN whose server has five addresses."""
    with rig(dnsmasq=("--dhcp-range=172.16.91.60,172.16.91.64,120",)) as made:
        made.start()
        yield made


def settled(node: Rig, pods_: int, ready: int) -> None:
    """The pool is full, and the one that was taken to see whether there are more is back."""
    until(lambda: len(node.lan.server_leases()) == pods_ + ready, what=f"{ready} leases are ready")
    until(lambda: node.asked("DHCPRELEASE") >= 1, what="the spare one is given back")
    until(
        lambda: len(node.leases()) == pods_ + ready == len(node.lan.server_leases()), what="both sides agree"
    )


def test_the_next_pod_gets_a_lease_that_was_ready_and_asks_the_server_for_nothing(node: Rig) -> None:
    node.add("first", POOL)
    settled(node, 1, 2)
    ready = {
        lease["mac"]: lease["address"].partition("/")[0] for lease in node.leases() if lease["netns"] is None
    }
    lossy(node, 1)
    answer = node.add("second", POOL)
    node.lan.switch.run("nft delete table bridge loss")
    assert answer.address in ready.values()
    assert ready[answer.json["interfaces"][2]["mac"]] == answer.address
    node.lan.host.run(f"ping -c 1 -W 5 {answer.address}")
    node.ctl("renew")
    until(
        lambda: len(node.events("lease-renewed")) >= 2,
        what="both pods' leases are renewed in their own names",
    )
    assert node.events("lease-lost") == []
    for name in ("first", "second"):
        assert node.cni("DEL", name).status == 0
    node.stop()
    until(lambda: node.lan.server_leases() == {}, what="what was ready is given back at the end")


def test_a_pod_with_such_a_lease_keeps_it_over_a_restart_and_the_unused_ones_go_back(node: Rig) -> None:
    node.add("first", POOL)
    settled(node, 1, 2)
    address = node.add("second", POOL).address
    node.kill()
    node.start()
    until(
        lambda: set(node.lan.server_leases().values()) == set(pods(node).values()),
        what="only pods have leases",
    )
    assert pods(node)["second"] == address
    node.ctl("renew")
    until(lambda: len(node.events("lease-renewed")) >= 2, what="both are renewed")
    end(node, "first", "second")


def test_an_add_that_was_cut_off_before_it_forgot_the_lease_taken_ahead_loses_no_address(node: Rig) -> None:
    node.add("first", POOL)
    settled(node, 1, 2)
    address = node.add("second", POOL).address
    node.kill()
    node.lan.node.run(f"{sys.executable} - {STATE}", stdin=AHEAD_AGAIN)
    node.start()
    until(
        lambda: set(node.lan.server_leases().values()) == set(pods(node).values()),
        what="only pods have leases",
    )
    assert pods(node)["second"] == address
    end(node, "first", "second")


def test_an_address_that_another_host_uses_is_not_taken_ahead() -> None:
    with rig(dnsmasq=("--dhcp-range=172.16.91.60,172.16.91.62,120",)) as node:
        node.start()
        node.lan.host.ip("addr add 172.16.91.61/24 dev eth0", "addr add 172.16.91.62/24 dev eth0")
        assert node.add("first", {**POOL, "acquireTimeout": 30}).address == "172.16.91.60"
        until(
            lambda: [event for event in node.events("lease-declined") if "/warm-" in event["attachment"]],
            what="the other host is heard",
        )
        assert len(node.lan.server_leases()) == 1


def test_leases_taken_ahead_are_asked_for_as_the_configuration_says(node: Rig) -> None:
    conf = {**POOL, "ipam": {"type": "dhcp", "provide": [{"option": "user-class", "value": "\x04pods"}]}}
    node.add("first", conf)
    settled(node, 1, 2)
    log = node.lan.router.run("cat /run/dnsmasq.log").stdout
    assert log.count("user class: pods") >= 2 * node.asked("DHCPDISCOVER")


def test_the_pool_never_holds_the_last_addresses_of_a_range(few: Rig) -> None:
    wide = {**NOTE, "warmLeases": 10, "acquireTimeout": 2}
    few.add("first", wide)
    until(lambda: few.events("pool-exhausted"), within=60, what="the pool finds the end of the range")
    until(lambda: len(few.lan.server_leases()) == 1, what="all that was ready is given back")
    names = [f"c{number}" for number in range(4)]
    assert len({few.add(name).address for name in names}) == 4
    end(few, "first", *names)


def test_a_configuration_that_wants_none_any_more_gives_them_back(node: Rig) -> None:
    node.add("first", POOL)
    settled(node, 1, 2)
    node.add("second")
    until(
        lambda: set(node.lan.server_leases().values()) == set(pods(node).values()),
        what="only pods have leases",
    )
    end(node, "first", "second")
