"""The power is cut while the uplink is migrated, and after that: before there is a cluster, so that a boot is short."""

from __future__ import annotations

import pytest

from envctl import uplink
from tests.vm import until
from tests.vm.conftest import MIGRATE, WAITING, Machine

PORT = "ip -o link show eth0 | grep -q 'master mybr0'"


def wait_for_the_network(vm: Machine) -> None:
    active = "systemctl is-active networking"
    until(lambda: not vm.run(active, check=False).exit_status, within=120, what="the network")


@pytest.mark.parametrize("moment", ["in the middle", "before the confirmation"])
def test_a_power_cut_leaves_the_machine_as_before_at_its_next_boot(vm: Machine, moment: str) -> None:
    """The machine resets itself without writing anything: when eth0 becomes a port, or once the migration waits."""
    first = PORT if moment == "in the middle" else WAITING
    reset = "echo 1 >/proc/sys/kernel/sysrq; echo b >/proc/sysrq-trigger"
    vm.detached("vmtest-power", f"until {first}; do :; done; {reset}")
    vm.detached("vmtest-migrate", MIGRATE % "300")
    vm.boots_again()
    wait_for_the_network(vm)
    links = vm.network()["links"]
    assert links["eth0"] == vm.before["network"]["links"]["eth0"]
    assert "172.16.91.10/24" not in links.get("mybr0", {}).get("addresses", [])
    assert vm.network()["routes"] == [
        route for route in vm.before["network"]["routes"] if "mybr0" not in route
    ]
    assert uplink.status(vm.master)["state"] in ("none", "rolled-back")


def test_a_power_cut_after_the_confirmation_brings_the_machine_back_on_its_bridge(vm: Machine) -> None:
    uplink.migrate(vm.master, vm.provider.host(), vm.provider.config)
    vm.provider.power_cut()
    vm.provider.power_on()
    wait_for_the_network(vm)
    links = vm.network()["links"]
    assert "172.16.91.10/24" in links["mybr0"]["addresses"]
    assert links["eth0"]["master"] == "mybr0"
    assert links["mybr0"]["mac"] == links["eth0"]["mac"] == vm.before["network"]["links"]["eth0"]["mac"]
    assert uplink.status(vm.master)["state"] == "confirmed"
    uplink.rollback(vm.master)
    assert vm.network()["links"]["eth0"] == vm.before["network"]["links"]["eth0"]
    assert vm.run("cat /etc/network/interfaces").stdout == vm.before["interfaces"]
