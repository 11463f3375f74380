"""The agent killed where nothing else tests it: while it renews and while it starts; and what is taken away by hand."""

from __future__ import annotations

import pytest
from brdhcp.agent import faults

from tests.lab.agent.rig import BRDHCPD, NOTE, STATE, Rig
from tests.lab.faults.both import agree, end, pods, stored
from tests.lab.lan import until


@pytest.mark.parametrize("point", [point for point in faults.POINTS if point.startswith("renew: ")])
def test_an_agent_that_dies_while_it_renews_has_the_lease_when_it_is_back(quiet: Rig, point: str) -> None:
    quiet.start(fault=point)
    address = quiet.add("web").address
    quiet.ctl("renew")
    assert quiet.agent is not None
    quiet.agent.wait(timeout=20)
    quiet.start()
    assert pods(quiet) == {"web": address}
    assert quiet.asked("DHCPDISCOVER") == 1
    end(quiet, "web")


@pytest.mark.parametrize("point", [point for point in faults.POINTS if point.startswith("start: ")])
def test_an_agent_that_dies_while_it_starts_loses_nothing(node: Rig, point: str) -> None:
    names = ["kept", "gone"]
    for name in names:
        node.add(name)
    node.kill()
    node.lan.node.run("ip netns del gone")
    dying = node.lan.node.spawn(f"env BRDHCP_FAULT='{point}' {BRDHCPD} --state-dir {STATE}", stderr=-3)
    assert dying.wait(timeout=20) != 0
    node.start()
    agree(node)
    assert list(pods(node)) == ["kept"]
    end(node, "kept")


def test_when_the_server_has_an_address_back_nobody_answers_to_it_any_more(quiet: Rig) -> None:
    """Another pod may have it at once. The agent stops just after the release, so that there is time to look."""
    quiet.start(fault="del: release sent")
    address = quiet.add("web").address
    quiet.lan.host.run(f"ping -c 1 -W 5 {address}")
    quiet.cni("DEL", "web")
    until(lambda: quiet.lan.server_leases() == {}, what="the server has the address back")
    assert quiet.lan.host.run(f"ping -c 1 -W 1 {address}", check=False).returncode != 0
    quiet.start()
    quiet.nothing_left()


def test_a_namespace_that_got_a_dead_ones_number_is_not_taken_for_it(node: Rig) -> None:
    """The kernel gives the inode of a namespace to the next one that is made."""
    machine = node.lan.node
    node.add("dead")
    number = machine.run("stat -Lc %i /run/netns/dead").stdout
    machine.run("ip netns del dead")

    def another() -> bool:
        machine.run("ip netns add other")
        if machine.run("stat -Lc %i /run/netns/other").stdout == number:
            return True
        machine.run("ip netns del other")
        return False

    until(another, within=30, what="a namespace gets the number again")
    living = machine.spawn("ip netns exec other sleep infinity")
    try:
        until(lambda: machine.run("ip netns pids other").stdout, what="a process is in it")
        assert node.ctl("gc") == {"released": 1}
        assert node.cni("ADD", "other").status == 0
        assert list(pods(node)) == ["other"]
        end(node, "other")
    finally:
        living.kill()
        living.wait()


def test_a_disk_that_turns_read_only_fails_what_needs_it_and_loses_no_address(quiet: Rig) -> None:
    machine, folder = quiet.lan.node, f"{STATE}/attachments"
    machine.run(f"sh -c 'mkdir -p {folder}; mount -t tmpfs tmpfs {folder}'")
    quiet.start()
    address = quiet.add("web").address
    quiet.pod("other")
    machine.run(f"mount -o remount,ro {folder}")
    answer = quiet.cni("ADD", "other")
    assert (answer.status, answer.json["code"]) == (1, 5)
    quiet.ctl("renew")
    until(lambda: quiet.events("lease-not-applied"), what="that the renewal is not on disk is said")
    assert (pods(quiet), list(quiet.lan.server_leases().values())) == ({"web": address}, [address])
    gone = quiet.cni("DEL", "web")
    assert (gone.status, gone.json["code"]) == (1, 5)
    assert list(quiet.lan.server_leases().values()) == [address], (
        "nothing is given back that is still on record"
    )
    machine.run(f"mount -o remount,rw {folder}")
    assert quiet.cni("DEL", "web").status == 0
    assert quiet.cni("ADD", "other").status == 0
    end(quiet, "other")


def test_a_veth_that_was_deleted_by_hand_is_named_by_check_and_its_lease_is_given_back(node: Rig) -> None:
    modern = {**NOTE, "cniVersion": "1.1.0"}
    result = node.add("web", modern).json
    node.lan.node.run(f"ip link del {result['interfaces'][1]['name']}")
    error = node.cni("CHECK", "web", {**modern, "prevResult": result})
    assert error.status == 1
    assert result["interfaces"][1]["name"] in error.stdout
    assert node.cni("DEL", "web").status == 0
    node.nothing_left()


def test_a_bridge_that_was_deleted_by_hand_is_said_by_check_and_status_and_made_again_by_add(
    node: Rig,
) -> None:
    modern = {**NOTE, "cniVersion": "1.1.0"}
    result = node.add("web", modern).json
    node.lan.node.run("ip link del mybr0")
    check = node.cni("CHECK", "web", {**modern, "prevResult": result})
    assert "mybr0" in check.stdout
    assert node.cni("STATUS", "", modern).json["code"] == 51
    node.pod("other")
    refused = node.cni("ADD", "other", {**modern, "acquireTimeout": 1})
    assert (refused.status, refused.json["code"]) == (1, 11)
    assert "no uplink" in refused.stdout
    assert "mybr0" not in node.links(), "an ADD that fails undoes the bridge that it made"
    alone = {**modern, "cniVersion": "1.0.0", "ipam": {"type": "host-local", "subnet": "10.77.0.0/24"}}
    assert node.cni("ADD", "other", alone, if_name="net1").status == 0
    assert "mybr0" in node.links()
    node.lan.node.ip("link set dev eth0 master mybr0", "addr add 172.16.91.10/24 dev mybr0")
    assert node.cni("DEL", "other", alone, if_name="net1").status == 0
    assert node.cni("ADD", "other", modern).status == 0
    assert node.cni("DEL", "web").status == 0
    node.lan.node.run("ip netns del web")
    assert stored(node) == list(pods(node).values())
    end(node, "other")
