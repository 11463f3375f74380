"""The machine and the plugin on it, before it has a cluster."""

from __future__ import annotations

from tests.vm.conftest import Machine


def test_the_machine_has_one_nic_and_its_reserved_address_by_dhcp(vm: Machine) -> None:
    links = {name: link for name, link in vm.network()["links"].items() if name.startswith(("eth", "en"))}
    assert list(links) == ["eth0"]
    assert links["eth0"]["addresses"][0] == f"{vm.provider.config.nodes.master}/24"
    leases = {lease.mac: lease.address for lease in vm.provider.server_leases()}
    assert leases[links["eth0"]["mac"]] == str(vm.provider.config.nodes.master)


def test_an_empty_cgroup_is_kept_frozen_from_boot_on(vm: Machine) -> None:
    assert vm.run("cat /sys/fs/cgroup/freezer/held/freezer.state").stdout == "FROZEN\n"


def test_the_plugin_is_installed_and_its_agent_answers(vm: Machine) -> None:
    for action in vm.provider.plugin_actions(vm.master):
        action.run()
    assert vm.run("systemctl is-active brdhcpd").stdout == "active\n"
    assert vm.run("brdhcpctl leases -o json").json() == []
    vm.before["network"] = vm.network()
    vm.before["interfaces"] = vm.run("cat /etc/network/interfaces").stdout


def test_the_plan_says_what_would_be_done_and_changes_nothing(vm: Machine) -> None:
    plan = vm.run("brdhcpctl uplink plan --nic eth0 -o json").json()
    assert (plan["nic"], plan["bridge"], plan["persist"]) == ("eth0", "mybr0", "ifupdown")
    assert plan["steps"]
    assert vm.network() == vm.before["network"]
