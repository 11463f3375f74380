"""The plugin on a node of the lab: its files, its network, its agent, and a pod on the LAN."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from envctl import cni
from envctl.providers import lab_plugin
from envctl.providers.base import ProviderError
from envctl.providers.lab import Lab
from tests.lab.envctl_lab.labs import a_lab

BRIDGED = """
link add mybr0 address 02:00:ac:10:5b:0a type bridge stp_state 0 forward_delay 0
link set dev mybr0 up
addr flush dev eth0
link set dev eth0 master mybr0
addr add 172.16.91.10/24 brd + dev mybr0
route add default via 172.16.91.2
"""
"""The end state of an uplink migration, by hand."""


@pytest.fixture
def lab() -> Iterator[Lab]:
    with a_lab(nodes={"workers": 0}, network={"dhcp": {"lease_s": 120}}) as made:
        made.install_plugin(made.node("master"))
        yield made


def test_installing_puts_everything_in_its_place_and_the_agent_answers(lab: Lab) -> None:
    master = lab.machine("master")
    assert {"brdhcp", "brdhcp-ipam", "bridge", "portmap"} <= set(master.names(lab_plugin.BIN))
    assert cni.load(master).name == "mycninet"
    assert json.loads(master.get("/etc/cni/net.d/10-mycninet.conf")) == lab.config.netconf()
    assert "0.3.1" in cni.Runtime(master).version("brdhcp")
    assert master.run("command -v brdhcpctl; command -v brdhcpd").stdout.count("\n") == 2
    assert lab_plugin.agent_pids(master) != []


def test_installing_again_changes_nothing_that_runs(lab: Lab) -> None:
    master = lab.machine("master")
    before = lab_plugin.agent_pids(master)
    lab.install_plugin(master)
    assert lab_plugin.agent_pids(master) == before


@pytest.mark.parametrize("signal", ["TERM", "KILL"])
def test_the_agent_stops_and_starts(lab: Lab, signal: str) -> None:
    master = lab.machine("master")
    lab.stop_agent(master, signal)
    lab.stop_agent(master, signal)
    assert lab_plugin.agent_pids(master) == []
    lab.start_agent(master)
    lab.start_agent(master)
    assert len(lab_plugin.agent_pids(master)) == 1


def test_an_agent_that_cannot_start_is_an_error_with_its_log(lab: Lab) -> None:
    master = lab.machine("master")
    lab.stop_agent(master)
    master.run("rm %s && ln -s /nowhere %s", "/opt/brdhcp/bin/brdhcpd", "/opt/brdhcp/bin/brdhcpd")
    with pytest.raises(ProviderError, match="master: the agent does not answer STATUS") as caught:
        lab.start_agent(master)
    assert "brdhcpd: not found" in caught.value.cause


def test_a_reboot_brings_the_agent_back(lab: Lab) -> None:
    before = lab_plugin.agent_pids(lab.machine("master"))
    lab.reboot(lab.node("master"))
    after = lab_plugin.agent_pids(lab.machine("master"))
    assert len(after) == 1
    assert after != before


def test_a_pod_is_a_host_on_the_lan_and_gives_its_address_back(lab: Lab) -> None:
    master = lab.machine("master")
    master.run("ip -batch -", input=BRIDGED)
    pod = lab.pod_add(master, "web")
    books = {lease.mac: lease for lease in lab.server_leases()}
    assert books[pod.mac].address == pod.address
    assert books[pod.mac].hostname == "web"
    lab.pod_exec("web", "ping -c 1 -W 2 %s", "203.0.113.10")
    lab.host().run("ping -c 1 -W 2 %s", pod.address)
    neighbours = lab.host().run("ip -j neigh show %s", pod.address).json()
    assert [entry["lladdr"] for entry in neighbours] == [pod.mac]
    lab.pod_rm("web")
    assert lab.server_leases() == ()
