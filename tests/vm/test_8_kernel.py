"""What the build machine's kernel lacks and the guest's has: VLANs on the bridge, netem, bonds.

Everything is in namespaces of the guest and on a bridge of its own; the LAN is not touched.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.vm.conftest import Machine

SERVER = """
set -e
ip link add labbr type bridge vlan_filtering 1 stp_state 0 forward_delay 0
ip link set labbr up
ip netns add labserver
ip link add to-server type veth peer name eth0 netns labserver
ip link set to-server master labbr up
bridge vlan add vid 100 dev to-server
ip -n labserver link set eth0 up
ip -n labserver link add link eth0 name eth0.100 type vlan id 100
ip -n labserver link set eth0.100 up
ip -n labserver address add 198.51.100.1/24 dev eth0
ip -n labserver address add 203.0.113.1/24 dev eth0.100
for lan in eth0:198.51.100 eth0.100:203.0.113; do
    ip netns exec labserver dnsmasq --conf-file=/dev/null --port=0 --bind-interfaces --interface=${lan%:*} --no-ping \\
        --user=root --dhcp-range=${lan#*:}.10,${lan#*:}.99,120 --dhcp-leasefile=/run/lab-${lan%:*}.leases \\
        --pid-file=/run/lab-${lan%:*}.pid
done
"""
REMOVE = """
kill $(cat /run/lab-*.pid) 2>/dev/null
for name in labserver labpod; do ip netns delete $name 2>/dev/null; done
ip link delete labbr 2>/dev/null
true
"""


@pytest.fixture
def lan(vm: Machine) -> Iterator[Machine]:
    """A bridge with a DHCP server on it, once untagged and once in VLAN 100."""
    vm.run(REMOVE)
    vm.run(SERVER)
    yield vm
    vm.run(REMOVE)


def call(vm: Machine, verb: str, **keys: object) -> str:
    """One CNI call for a pod in a namespace of its own."""
    conf = {
        "cniVersion": "1.0.0",
        "name": "lab",
        "type": "brdhcp",
        "bridge": "labbr",
        "ipam": {"type": "dhcp"},
        **keys,
    }
    environment = {"CNI_COMMAND": verb, "CNI_CONTAINERID": "labpod", "CNI_NETNS": "/run/netns/labpod",
                   "CNI_IFNAME": "eth0", "CNI_PATH": "/opt/cni/bin"}  # fmt: skip
    return vm.master.run("/opt/cni/bin/brdhcp", input=json.dumps(conf), env=environment, timeout=120).stdout


def test_a_pod_in_a_vlan_gets_its_address_from_the_server_of_that_vlan(lan: Machine) -> None:
    lan.run("ip netns add labpod")
    result = json.loads(call(lan, "ADD", vlan=100))
    assert result["ips"][0]["address"].startswith("203.0.113.")
    assert lan.run("ip netns exec labpod ping -n -q -c 1 -W 5 203.0.113.1").exit_status == 0
    ports = {entry["ifname"]: entry["vlans"] for entry in lan.run("bridge -j vlan show").json()}
    port = result["interfaces"][1]["name"]
    assert [vlan["vlan"] for vlan in ports[port] if "PVID" in vlan.get("flags", ())] == [100]
    call(lan, "CHECK", vlan=100, prevResult=result)
    call(lan, "DEL", vlan=100)


def test_a_lan_that_loses_and_delays_packets_still_gives_an_address(lan: Machine) -> None:
    lan.run("modprobe sch_netem && tc qdisc add dev to-server root netem delay 150ms 50ms loss 25%")
    lan.run("ip netns add labpod")
    result = json.loads(call(lan, "ADD"))
    assert result["ips"][0]["address"].startswith("198.51.100.")
    call(lan, "DEL")


def test_a_bond_whose_mac_follows_its_ports_is_refused_as_an_uplink(vm: Machine) -> None:
    make = """
    modprobe -a bonding dummy; ip netns delete labbond 2>/dev/null
    set -e
    ip netns add labbond
    ip -n labbond link add bond0 type bond mode active-backup fail_over_mac active miimon 100
    ip -n labbond link add port0 type dummy
    ip -n labbond link set port0 master bond0
    ip -n labbond link set bond0 up
    ip -n labbond address add 192.0.2.10/24 dev bond0
    ip -n labbond route add default via 192.0.2.1
    """
    vm.run(make)
    plan = "ip netns exec labbond brdhcpctl uplink plan --nic bond0 --bridge labbr0 --state-dir /run/labbond 2>&1"
    refused = vm.run(plan, check=False)
    vm.run("ip netns delete labbond; rm -rf /run/labbond")
    assert refused.exit_status == 1, refused.stdout
    assert "fail_over_mac" in refused.stdout
