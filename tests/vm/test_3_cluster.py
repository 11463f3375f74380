"""The cluster, before the plugin's network is the LAN's."""

from __future__ import annotations

import ssl

from tests.vm import until
from tests.vm.conftest import Machine


def test_the_apiserver_is_where_the_note_has_it_and_kubectl_reaches_it(cluster: Machine) -> None:
    vm = cluster
    assert "https://172.16.91.10:8443" in vm.provider.kubeconfig.read_text()
    assert vm.kubectl("get", "--raw", "/healthz") == "ok"
    vm.before["kubeconfig"] = vm.provider.kubeconfig.read_text()
    vm.before["certificate"] = vm.provider.apiserver().pem
    assert ssl.PEM_cert_to_DER_cert(vm.before["certificate"])


def test_doing_it_again_changes_nothing(cluster: Machine) -> None:
    vm = cluster
    before = vm.run("systemctl show -p ExecMainPID brdhcpd kubelet containerd").stdout
    for action in (*vm.provider.actions(), *vm.provider.plugin_actions(vm.master)):
        action.run()
    assert vm.run("systemctl show -p ExecMainPID brdhcpd kubelet containerd").stdout == before


def test_the_node_becomes_ready(cluster: Machine) -> None:
    until(cluster.ready, within=300, what="the node being Ready")
    cluster.before["network"] = cluster.network()
