"""The lab is the network of the documentation."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from envctl.node import NodeError
from envctl.providers import lab_machines
from envctl.providers.base import ProviderError
from envctl.providers.lab import Lab
from tests.lab.envctl_lab.labs import a_lab, fetch
from tests.lab.lan import until


def addresses(lab: Lab, machine: str, dev: str = "eth0") -> list[str]:
    shown = lab.machine(machine).run("ip -j -4 addr show dev %s", dev).json()
    return [f"{entry['local']}/{entry['prefixlen']}" for link in shown for entry in link["addr_info"]]


def test_every_machine_has_its_address(lab: Lab) -> None:
    assert addresses(lab, "host") == ["172.16.91.1/24"]
    assert addresses(lab, "router") == ["172.16.91.254/24", "172.16.91.2/24"]
    assert addresses(lab, "router", "wan") == ["203.0.113.1/24"]
    assert addresses(lab, "master") == ["172.16.91.10/24"]
    assert addresses(lab, "worker1") == ["172.16.91.11/24"]
    assert addresses(lab, "internet") == ["203.0.113.10/24"]
    assert addresses(lab, "switch", "lan") == []


def test_nodes_are_listed_master_first(lab: Lab) -> None:
    assert [(node.name, node.address) for node in lab.nodes()] == [
        ("master", "172.16.91.10"),
        ("worker1", "172.16.91.11"),
    ]
    assert lab.node("worker1").run("hostname").stdout == "worker1\n"


@pytest.mark.parametrize(
    "target", ["172.16.91.1", "172.16.91.2", "172.16.91.254", "172.16.91.11", "203.0.113.10"]
)
def test_the_master_reaches(lab: Lab, target: str) -> None:
    lab.node("master").run("ping -c 1 -W 2 %s", target)


def test_the_internet_sees_the_routers_address_and_knows_no_way_to_the_lan(lab: Lab) -> None:
    answer = fetch(lab.node("master"), "http://internet.lab.test/")
    assert answer == (200, "envctl-internet", "internet.lab.test\n")
    with pytest.raises(NodeError, match=r"172\.16\.91\.10"):
        lab.machine("internet").run("ping -c 1 -W 1 %s", "172.16.91.10")


def test_the_router_answers_dns_for_the_lab_and_for_nothing_else(lab: Lab) -> None:
    found = lab.host().run("getent hosts %s", "master.lab.test").stdout.split()
    assert found[0] == "172.16.91.10"
    assert lab.host().run("getent hosts %s", "example.org", check=False).exit_status == 2


def test_a_client_gets_a_lease_that_the_servers_books_show() -> None:
    with a_lab(uplink={"address": "dhcp"}, network={"dhcp": {"lease_s": 120}}) as lab:
        shown = lab.node("master").run("ip -j -4 addr show dev eth0").json()[0]["addr_info"]
        assert [(entry["local"], entry["dynamic"]) for entry in shown] == [("172.16.91.10", True)]
        assert 0 < shown[0]["valid_life_time"] <= 120
        books = {lease.mac: lease for lease in lab.server_leases()}
        assert books["02:00:ac:10:5b:0a"].address == "172.16.91.10"
        assert books["02:00:ac:10:5b:0a"].hostname == "master"
        assert lab.node("master").run("ip -j route show default").json()[0]["gateway"] == "172.16.91.2"


def test_an_announced_prefix_gives_every_node_an_ipv6_address_and_route() -> None:
    with a_lab(network={"ipv6": "fd16:91::/64"}, nodes={"workers": 0}) as lab:
        node = lab.node("master")

        def announced() -> bool:
            shown = node.run("ip -j -6 addr show dev eth0 scope global -tentative").json()
            return any(
                entry["local"].startswith("fd16:91::")
                for link in shown
                for entry in link.get("addr_info", ())
            )

        until(announced, within=15, what="an address from the router's announcement")
        node.run("ping -6 -c 1 -W 2 %s", "fd16:91::2")
        assert node.run("ip -j -6 route show default").json()[0]["protocol"] == "ra"


def test_a_machine_has_its_own_etc_opt_and_var_lib(lab: Lab) -> None:
    node = lab.node("master")
    node.run("touch /etc/envctl-was-here /opt/cni/bin/envctl-was-here /var/lib/brdhcp/envctl-was-here")
    for path in ("/etc/envctl-was-here", "/opt/cni/bin/envctl-was-here", "/var/lib/brdhcp/envctl-was-here"):
        assert not Path(path).exists()
        assert (lab_machines.directory(lab.env, "master") / f"disk{path}").exists()
        assert node.run("test -e %s", path).exit_status == 0
        assert lab.node("worker1").run("test -e %s", path, check=False).exit_status == 1


def test_machines_have_boot_and_machine_ids_of_their_own(lab: Lab) -> None:
    ids = {
        lab.machine(name).run("cat /proc/sys/kernel/random/boot_id /etc/machine-id").stdout
        for name in ("master", "worker1", "host")
    }
    assert len(ids) == 3


def test_ip_netns_shows_the_machines(lab: Lab) -> None:
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    names = {line.split()[0] for line in listed.splitlines()}
    assert {
        f"{lab.env}-{name}" for name in ("switch", "router", "host", "internet", "master", "worker1")
    } <= names
    shown = subprocess.run(
        ["ip", "netns", "exec", f"{lab.env}-master", "ip", "-4", "addr", "show", "dev", "eth0"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert "172.16.91.10/24" in shown


def test_orphans_leave_no_zombies(lab: Lab) -> None:
    node = lab.node("master")
    node.run("(true & true &) ; (sh -c 'exit 3' &)")
    until(lambda: "Z" not in node.run("ps -eo stat=").stdout, what="every orphan reaped")


def test_a_machine_that_is_not_there_is_named_with_those_that_are(lab: Lab) -> None:
    with pytest.raises(ProviderError, match="worker9") as caught:
        lab.node("worker9")
    assert "master, worker1" in caught.value.cause
    with pytest.raises(ProviderError, match="moon") as caught:
        lab.machine("moon")
    assert "router" in caught.value.cause


def test_this_machine_has_what_a_lab_needs(lab: Lab) -> None:
    assert [finding.what for finding in lab.check() if finding.level == "error"] == []


def test_logs_are_copied(lab: Lab, tmp_path: Path) -> None:
    files = lab.logs(tmp_path)
    assert tmp_path / "router/dnsmasq.log" in files
    assert "DHCP, IP range 172.16.91.128" in (tmp_path / "router/dnsmasq.log").read_text()
