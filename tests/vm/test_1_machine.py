"""The machine and its cluster, before the plugin's network is the LAN's."""

from __future__ import annotations

import ssl

from tests.vm import until
from tests.vm.conftest import Machine


def test_the_machine_has_one_nic_and_its_reserved_address_by_dhcp(vm: Machine) -> None:
    links = {name: link for name, link in vm.network()["links"].items() if name.startswith(("eth", "en"))}
    assert list(links) == ["eth0"]
    assert links["eth0"]["addresses"][0] == f"{vm.provider.config.nodes.master}/24"
    leases = {lease.mac: lease.address for lease in vm.provider.server_leases()}
    assert leases[links["eth0"]["mac"]] == str(vm.provider.config.nodes.master)


def test_the_apiserver_is_where_the_note_has_it_and_kubectl_reaches_it(vm: Machine) -> None:
    assert "https://172.16.91.10:8443" in vm.provider.kubeconfig.read_text()
    assert vm.kubectl("get", "--raw", "/healthz") == "ok"
    vm.before["kubeconfig"] = vm.provider.kubeconfig.read_text()
    vm.before["certificate"] = vm.provider.apiserver().pem
    assert ssl.PEM_cert_to_DER_cert(vm.before["certificate"])


def test_the_plugin_is_installed_and_its_agent_answers(vm: Machine) -> None:
    for action in vm.provider.plugin_actions(vm.master):
        action.run()
    assert vm.run("systemctl is-active brdhcpd").stdout == "active\n"
    assert vm.run("brdhcpctl leases -o json").json() == []


def test_doing_it_again_changes_nothing(vm: Machine) -> None:
    before = vm.run("systemctl show -p ExecMainPID brdhcpd kubelet containerd").stdout
    for action in (*vm.provider.actions(), *vm.provider.plugin_actions(vm.master)):
        action.run()
    assert vm.run("systemctl show -p ExecMainPID brdhcpd kubelet containerd").stdout == before


def test_the_node_becomes_ready(vm: Machine) -> None:
    until(vm.ready, within=300, what="the node being Ready")
    vm.before["network"] = vm.network()
    vm.before["interfaces"] = vm.run("cat /etc/network/interfaces").stdout
