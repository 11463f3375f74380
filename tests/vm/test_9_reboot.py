"""A machine that was migrated and confirmed, with its cluster and its pods, through a reboot."""

from __future__ import annotations

from envctl import uplink
from tests.vm import until
from tests.vm.conftest import Machine


def test_a_machine_that_reboots_comes_back_on_its_bridge_with_its_cluster_and_its_pods(vm: Machine) -> None:
    before = {pod.name: pod for pod in vm.pods()}
    vm.run("systemd-run --quiet --on-active=1 systemctl reboot")
    vm.boots_again()
    links = vm.network()["links"]
    assert "172.16.91.10/24" in links["mybr0"]["addresses"]
    assert links["eth0"]["master"] == "mybr0"
    assert links["mybr0"]["mac"] == links["eth0"]["mac"]
    until(vm.ready, within=420, what="the cluster being healthy")

    def pods_back() -> bool:
        pods = [pod for pod in vm.provider.pod_list() if pod.running and pod.address]
        return len(pods) == 2 and all(
            vm.host("ping -n -q -c 1 -W 3 %s", pod.address, check=False).exit_status == 0 for pod in pods
        )

    until(pods_back, within=420, what="both pods with addresses again")
    now = {pod.mac for pod in vm.provider.pod_list()}
    dead = {pod.mac for pod in before.values()} - now

    def released() -> bool:
        return not dead & {lease.mac for lease in vm.provider.server_leases()}

    until(released, within=240, what="the leases of the dead sandboxes being given back")
    assert uplink.status(vm.master)["state"] in ("confirmed", "none")
