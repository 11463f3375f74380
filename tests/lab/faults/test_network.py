"""A LAN that loses, repeats and reorders frames; addresses that are in use; servers that contradict each other."""

from __future__ import annotations

import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.lab.agent.rig import NOTE, ROOT, Rig, rig
from tests.lab.faults.both import Server, agree, end
from tests.lab.lan import until


def lossy(node: Rig, one_in: int) -> None:
    """Every ``one_in``-th DHCP frame through the switch is lost, in a fixed order."""
    rules = "\n".join([
        "add table bridge loss",
        "add chain bridge loss forward { type filter hook forward priority 0; }",
        f"add rule bridge loss forward udp dport {{ 67, 68 }} numgen inc mod {one_in} 0 counter drop",
    ])  # fmt: skip
    node.lan.switch.run("nft -f -", stdin=rules)


def test_with_every_third_frame_lost_every_pod_gets_its_address_and_gives_it_back(node: Rig) -> None:
    lossy(node, 3)
    names = [
        f"c{number}" for number in range(13)
    ]  # no multiple of three: each round of releases loses others
    patient = {**NOTE, "acquireTimeout": 40}
    with ThreadPoolExecutor(6) as pool:
        addresses = {answer.address for answer in pool.map(lambda name: node.add(name, patient), names)}
    assert len(addresses) == 13
    end(node, *names)
    dropped = node.lan.switch.run("nft list table bridge loss").stdout
    assert "packets 0 " not in dropped


def test_a_release_that_the_lan_loses_is_sent_again_after_del_has_answered(node: Rig) -> None:
    for name in ("a", "b"):
        node.add(name)
    lossy(node, 1)
    for name in ("a", "b"):
        assert node.cni("DEL", name).status == 0
    assert len(node.lan.server_leases()) == 2
    node.lan.switch.run("nft delete table bridge loss")
    node.nothing_left()


def test_a_release_is_not_sent_again_once_a_newer_pod_may_be_the_same_client(node: Rig) -> None:
    named, args = {**NOTE, "clientId": "pod"}, "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=db-0"
    node.add("again")
    node.add("db", named, args=args)
    node.add("other")
    assert node.cni("DEL", "again").status == 0
    assert node.cni("ADD", "again").status == 0
    assert node.cni("DEL", "db", named, args=args).status == 0
    assert node.cni("DEL", "other").status == 0
    until(lambda: node.asked("DHCPRELEASE") >= 5, what="the other's release is sent three times")
    assert node.asked("DHCPRELEASE") == 5
    agree(node)
    end(node, "again")


def test_what_the_interface_will_not_carry_counts_as_lost_and_the_lease_goes_on(node: Rig) -> None:
    node.add("web")
    node.lan.node.run("ip -n web link set dev eth0 mtu 128")
    assert node.ctl("renew") == {"asked": 1}
    node.lan.node.run("ip -n web link set dev eth0 mtu 1500")
    assert node.ctl("renew") == {"asked": 1}
    until(lambda: node.events("lease-renewed"), what="it is renewed")
    assert node.events("bug") == []
    end(node, "web")


@pytest.mark.parametrize("manner", ["twice", "swapped", "late"])
def test_frames_that_come_twice_out_of_order_or_late_change_nothing(node: Rig, manner: str) -> None:
    """The cable to the server runs through a forwarder of ours."""
    switch = node.lan.switch
    switch.ip("link set dev to-router nomaster", "link add w0 type veth peer name w1", "link set w0 up",
              "link set w1 up", "link set w1 master lan")  # fmt: skip
    argv = [
        "env",
        f"PYTHONPATH={ROOT}",
        sys.executable,
        "-m",
        "tests.lab.faults.forwarder",
        "to-router",
        "w0",
        manner,
    ]
    forwarder = switch.spawn(shlex.join(argv), stdout=subprocess.PIPE)
    assert forwarder.stdout is not None
    assert forwarder.stdout.readline() == "ready\n"
    names = [f"c{number}" for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        assert len({answer.address for answer in pool.map(node.add, names)}) == 8
    end(node, *names)
    assert node.events("bug") == []
    switch.run("pkill -KILL -f tests.lab.faults.forwarder", check=False)
    forwarder.wait()
    forwarder.stdout.close()


def test_a_pool_that_is_exhausted_is_said_and_serves_again_once_an_address_is_free() -> None:
    with rig(dnsmasq=("--dhcp-range=172.16.91.60,172.16.91.61,120",)) as node:
        node.start()
        node.add("a")
        node.add("b")
        node.pod("c")
        refused = node.cni("ADD", "c", {**NOTE, "acquireTimeout": 1})
        assert (refused.status, refused.json["code"]) == (1, 11)
        agree(node)
        assert node.cni("DEL", "a").status == 0
        assert node.cni("ADD", "c").status == 0
        agree(node)
        end(node, "b", "c")


def test_an_address_that_another_host_uses_is_declined_and_another_one_is_taken() -> None:
    mac, used = "02:00:5e:00:77:02", "172.16.91.140"
    with rig(dnsmasq=(f"--dhcp-host={mac},{used}",)) as node:
        node.start()
        node.lan.host.ip(f"addr add {used}/24 dev eth0")
        node.pod("web")
        wanted = {**NOTE, "capabilities": {"mac": True}, "runtimeConfig": {"mac": mac}}
        answer = node.cni("ADD", "web", wanted)
        assert answer.status == 0, answer.stdout
        assert answer.address != used
        assert node.asked("DHCPDECLINE") == 1
        assert used in node.events("lease-declined")[0]["message"]
        assert node.lan.server_leases() == {mac: answer.address}
        end(node, "web")


def test_of_two_servers_one_gives_the_address_and_the_other_keeps_none(node: Rig) -> None:
    other = node.lan.host
    server = Server(other, "172.16.91.1")
    try:
        names = [f"c{number}" for number in range(4)]
        given = {node.add(name).address for name in names}

        def both() -> dict[str, str]:
            theirs = other.run("cat /run/dnsmasq.leases").stdout.split("\n")
            return node.lan.server_leases() | {line.split()[1]: line.split()[2] for line in theirs if line}

        assert set(both().values()) == given
        end(node, *names, taken=both)
        until(lambda: both() == {}, what="both servers have every address back")
    finally:
        server.stop()
