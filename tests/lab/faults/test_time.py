"""Servers that are away when they are needed, and clocks that jump. Leases last seconds here: time passes by itself."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.lab.agent.rig import NOTE, Rig
from tests.lab.faults.both import Server, agree, end, pods, strange_rig
from tests.lab.faults.clock import FAKETIME
from tests.lab.lan import until

Lab = tuple[Rig, Server]


@pytest.fixture
def fresh() -> Iterator[Lab]:
    """A node and a server of the test's own."""
    with strange_rig() as made:
        yield made


def count(node: Rig, name: str) -> int:
    return len(node.events(name))


def test_a_server_that_is_away_at_t1_is_asked_again_until_it_is_back(fresh: Lab) -> None:
    node, server = fresh
    server.mode(lease_s=12, t1_s=1, t2_s=10)
    node.add("web")
    server.mode(lease_s=12, t1_s=1, t2_s=10, silent=["REQUEST"])
    asked = len(server.seen("REQUEST"))
    until(lambda: len(server.seen("REQUEST")) > asked, what="the server is asked at T1")
    server.mode(lease_s=600)
    until(lambda: count(node, "lease-renewed"), within=30, what="the lease is renewed")
    assert count(node, "lease-lost") == 0
    end(node, "web")


def test_while_a_server_is_away_no_socket_is_held_between_two_questions(fresh: Lab) -> None:
    node, server = fresh
    server.mode(lease_s=3600, t1_s=1, t2_s=3000)
    node.add("web")
    server.mode(silent=["REQUEST"])
    asked = len(server.seen("REQUEST"))
    until(lambda: len(server.seen("REQUEST")) > asked, what="the server is asked at T1")
    held = "ip netns exec web cat /proc/net/packet"
    until(lambda: node.lan.node.run(held).stdout.count("\n") == 1, within=30, what="nothing is listened for")
    server.mode(lease_s=3600)
    node.ctl("renew")
    until(lambda: count(node, "lease-renewed"), what="the lease is renewed on a new socket")
    end(node, "web")


def test_a_server_that_is_away_until_t2_is_replaced_by_whoever_answers_the_broadcast(fresh: Lab) -> None:
    node, server = fresh
    server.mode(lease_s=10, t1_s=1, t2_s=2)
    node.add("web")
    server.mode(silent=["REQUEST"])
    asked = len(server.seen("REQUEST"))
    until(lambda: len(server.seen("REQUEST")) >= asked + 2, within=30, what="it is asked at T1 and at T2")
    server.mode(lease_s=600)
    until(lambda: count(node, "lease-renewed"), within=30, what="the lease is renewed")
    end(node, "web")


def test_a_lease_that_expires_takes_the_address_away_and_comes_back_with_the_server(fresh: Lab) -> None:
    node, server = fresh
    server.mode(lease_s=3, t1_s=1, t2_s=2)
    address = node.add("web").address
    server.mode(silent=["REQUEST", "DISCOVER"])
    until(lambda: count(node, "lease-lost"), within=30, what="the loss is noticed")
    until(lambda: pods(node) == {}, what="the pod has no address that is not its own any more")
    server.mode(lease_s=600)
    until(lambda: pods(node) == {"web": address}, within=30, what="the pod has its address again")
    end(node, "web")


def test_a_lease_that_ends_while_its_address_is_probed_is_an_error_with_a_reason(fresh: Lab) -> None:
    node, server = fresh
    server.mode(lease_s=1)
    node.pod("web")
    answer = node.cni("ADD", "web", {**NOTE, "probe": "rfc5227"})
    assert (answer.status, answer.json["code"]) == (1, 11)
    assert "ended before" in answer.json["msg"]
    assert (node.leases(), count(node, "bug")) == ([], 0)
    assert not any(link.startswith("veth") for link in node.links())


def test_a_del_while_a_lost_lease_is_just_being_granted_again_gives_it_back(fresh: Lab) -> None:
    node, server = fresh
    slow = {**NOTE, "probe": "rfc5227"}
    server.mode(lease_s=12, t1_s=1, t2_s=2)
    node.add("web", slow)
    server.mode(silent=["REQUEST", "DISCOVER"])
    until(lambda: count(node, "lease-lost"), within=30, what="the loss is noticed")
    granted = len(server.seen("REQUEST"))
    server.mode(lease_s=600)
    until(lambda: len(server.seen("REQUEST")) > granted, within=30, what="the address is granted again")
    assert node.cni("DEL", "web", slow).status == 0
    node.nothing_left()


def test_a_server_that_lost_its_memory_grants_the_same_address_at_renewal(node: Rig) -> None:
    address = node.add("web").address
    assert node.lan.server is not None
    node.lan.router.run("pkill -KILL dnsmasq")
    node.lan.server.wait()
    node.lan.router.run(f"rm {node.lan.LEASES}")
    node.lan.start_dnsmasq()
    assert node.lan.server_leases() == {}
    node.ctl("renew")
    until(lambda: count(node, "lease-renewed"), what="the lease is renewed")
    assert pods(node) == {"web": address}
    end(node, "web")


@pytest.mark.parametrize("days", [1, -1])
def test_a_clock_that_jumps_by_a_day_changes_no_lease(quiet: Rig, days: int) -> None:
    """The wall clock alone: leases run on the clock that nobody sets."""
    quiet.start()
    address = quiet.add("web").address
    asked = quiet.asked("DHCPDISCOVER")
    quiet.kill()
    quiet.start(LD_PRELOAD=str(FAKETIME), FAKETIME=f"{days:+d}d", FAKETIME_DONT_FAKE_MONOTONIC="1")
    assert quiet.events("ready")[0]["kept"] == 1
    wall = json.loads(quiet.lan.node.run("date +%s").stdout)
    assert (
        abs(
            int(quiet.events("ready")[0]["at"][8:10]) - int(quiet.lan.node.run(f"date -d @{wall} +%d").stdout)
        )
        >= 1
    )
    assert pods(quiet) == {"web": address}
    assert quiet.ctl("renew") == {"asked": 1}
    until(lambda: count(quiet, "lease-renewed"), what="the lease is renewed")
    assert (quiet.asked("DHCPDISCOVER"), count(quiet, "lease-lost")) == (asked, 0)
    agree(quiet)
    end(quiet, "web")
