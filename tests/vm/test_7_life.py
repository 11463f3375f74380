"""Leases of pods that the kubelet makes, through restarts of everything that can be restarted."""

from __future__ import annotations

import pytest

from envctl.provision.steps import lock
from tests.vm import until
from tests.vm.conftest import LEASE_S, Machine


def books(vm: Machine) -> dict[str, str]:
    return {lease.mac: lease.address for lease in vm.provider.server_leases()}


def reached(vm: Machine, address: str) -> bool:
    return vm.host("ping -n -q -c 1 -W 3 %s", address, check=False).exit_status == 0


def test_a_pod_of_the_kubelet_has_an_address_that_the_server_has_in_its_books(vm: Machine) -> None:
    pod = vm.pod("pod1")
    dhcp = vm.provider.config.network.dhcp
    assert str(dhcp.first).rpartition(".")[0] == pod.address.rpartition(".")[0]
    assert int(str(dhcp.first).rpartition(".")[2]) <= int(pod.address.rpartition(".")[2]) <= 253
    assert books(vm)[pod.mac] == pod.address
    assert reached(vm, pod.address)


def test_deleting_a_pod_gives_its_address_back(vm: Machine) -> None:
    pod = vm.provider.pod_add(vm.master, "passing")
    assert books(vm)[pod.mac] == pod.address
    vm.kubectl("delete", "pod", "passing", "--wait=false")  # the kubelet's own tidying takes long after that
    until(lambda: pod.mac not in books(vm), within=120, what="the release in the server's books")


@pytest.mark.parametrize("unit", ["kubelet", "containerd", "brdhcpd"])
def test_restarting_a_service_loses_nothing(vm: Machine, unit: str) -> None:
    pods = vm.pods()
    vm.run("systemctl restart %s", unit, timeout=120)
    until(vm.ready, within=240, what="the node being Ready again")
    after = {pod.name: pod for pod in vm.provider.pod_list()}
    for pod in pods:
        assert (after[pod.name].address, after[pod.name].mac) == (pod.address, pod.mac)
        assert reached(vm, pod.address), pod.name
        assert books(vm)[pod.mac] == pod.address


def test_an_agent_that_is_killed_comes_back_with_every_lease(vm: Machine) -> None:
    pods = vm.pods()
    vm.run("systemctl kill --signal=KILL brdhcpd")
    until(lambda: vm.run("systemctl is-active brdhcpd", check=False).stdout == "active\n", within=120,
          what="the agent running again")  # fmt: skip
    macs = {lease["mac"] for lease in vm.run("brdhcpctl leases -o json").json()}
    assert {pod.mac for pod in pods} <= macs
    assert all(reached(vm, pod.address) for pod in pods)


def test_vagrant_alone_finds_every_step_done(vm: Machine) -> None:
    """`vagrant provision`, which plain `vagrant up` runs, sends the same scripts and finds nothing left to do."""
    before = vm.network()
    driver = vm.provider.driver()
    start = driver.log.stat().st_size
    driver.provision(vm_name="master")
    said = driver.log.read_text(errors="replace")[start:]
    for step in lock()["guests"]["debian12"]["steps"]:
        assert f"{step}: was done" in said, said[-2000:]
    assert vm.network() == before


def test_leases_of_pods_and_of_the_node_are_renewed_past_their_expiry(vm: Machine) -> None:
    """Every lease here lasts two minutes: each expiry in the server's books moves past the one of long ago."""
    pods = vm.pods()
    macs = [vm.run("cat /sys/class/net/%s/address", vm.provider.config.bridge).stdout.strip()]
    macs += [pod.mac for pod in pods]
    first = vm.before.get("expiries") or vm.expiries()

    def all_renewed() -> bool:
        now = vm.expiries()
        return all(now.get(mac, 0) >= first[mac] + LEASE_S for mac in macs)

    until(all_renewed, within=4 * LEASE_S, what="the renewal of every lease past its first expiry")
    assert all(reached(vm, pod.address) for pod in pods)
    assert vm.ready()
