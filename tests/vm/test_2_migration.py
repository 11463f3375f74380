"""The uplink migration of a real machine, over the ssh connection that it endangers, with kubectl watching."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from envctl import uplink
from envctl.environment import fingerprint, served_certificate
from envctl.node import ended
from tests.vm import until
from tests.vm.conftest import Machine

MIGRATE = "brdhcpctl uplink migrate --nic eth0 --bridge mybr0 --confirm-within %s"
CUT = "nft add table bridge cut; nft add chain bridge cut in '{ type filter hook prerouting priority 0; }'"
DROP = "nft add rule bridge cut in iif eth0 counter drop"
WAITING = "brdhcpctl uplink status | grep -q 'not confirmed'"
PORT = "ip -o link show eth0 | grep -q 'master mybr0'"


def as_before(vm: Machine) -> bool:
    return bool(vm.network() == vm.before["network"])


def detached(vm: Machine, name: str, command: str) -> None:
    """Run a command on the machine that goes on when ssh does not."""
    vm.run("systemd-run --quiet --collect --unit=%s sh -c %s", name, command)


def test_the_plan_says_what_would_be_done_and_changes_nothing(vm: Machine) -> None:
    plan = vm.run("brdhcpctl uplink plan --nic eth0 -o json").json()
    assert (plan["nic"], plan["bridge"], plan["persist"]) == ("eth0", "mybr0", "ifupdown")
    assert plan["steps"]
    assert as_before(vm)


def test_a_machine_that_is_cut_off_by_its_migration_is_brought_back_by_the_guard(vm: Machine) -> None:
    """Once the migration waits, every frame from the LAN is dropped: nobody can confirm, or help."""
    detached(vm, "vmtest-cut", f"until {WAITING}; do sleep 0.1; done; {CUT}; {DROP}")
    detached(vm, "vmtest-migrate", MIGRATE % "20")

    def undone() -> bool:
        return uplink.status(vm.master)["state"] == "rolled-back" and as_before(vm)

    until(undone, within=360, what="ssh and the network as before")
    dropped = re.search(r"packets (\d+)", vm.run("nft list table bridge cut").stdout)
    assert dropped, "nothing was ever dropped"
    assert int(dropped[1]) > 0
    vm.run("nft delete table bridge cut")
    assert vm.kubectl("get", "--raw", "/healthz") == "ok"


@pytest.mark.parametrize("moment", ["in the middle", "before the confirmation"])
def test_a_power_cut_leaves_the_machine_as_before_at_its_next_boot(vm: Machine, moment: str) -> None:
    """The machine resets itself without writing anything: when eth0 becomes a port, or once the migration waits."""
    first = PORT if moment == "in the middle" else WAITING
    boot = vm.run("cat /proc/sys/kernel/random/boot_id").stdout
    detached(
        vm,
        "vmtest-power",
        f"until {first}; do :; done; echo 1 >/proc/sys/kernel/sysrq; echo b >/proc/sysrq-trigger",
    )
    detached(vm, "vmtest-migrate", MIGRATE % "300")

    def booted() -> bool:
        vm.master.close()
        return vm.run("cat /proc/sys/kernel/random/boot_id", timeout=20).stdout != boot

    until(booted, within=300, what="the next boot")
    until(
        lambda: not vm.run("systemctl is-active networking", check=False).exit_status,
        within=120,
        what="the network",
    )
    links = vm.network()["links"]
    assert links["eth0"] == vm.before["network"]["links"]["eth0"]
    assert "172.16.91.10/24" not in links.get("mybr0", {}).get("addresses", [])
    assert vm.network()["routes"] == [
        route for route in vm.before["network"]["routes"] if "mybr0" not in route
    ]
    assert uplink.status(vm.master)["state"] in ("none", "rolled-back")


def test_the_cluster_is_healthy_after_the_power_cuts(vm: Machine) -> None:
    until(vm.ready, within=420, what="the node being Ready after the power cuts")
    vm.before["network"] = vm.network()


def test_the_machine_is_migrated_while_a_watch_is_open(vm: Machine, tmp_path: Path) -> None:
    host, heard = vm.provider.host(), tmp_path / "watch.log"
    watch = host.argv(" ".join(vm.provider.kubectl_argv("get", "configmaps", "--watch", "--output=name")))
    pings = host.argv("ping -n -i 0.2 -c 200 172.16.91.10")
    with heard.open("wb") as log:
        watching = subprocess.Popen(watch, stdout=log, process_group=0)
    with ended(watching):
        until(heard.read_bytes, within=60, what="the watch being open")
        with subprocess.Popen(pings, stdout=subprocess.PIPE, text=True) as ping:
            done = uplink.migrate(vm.master, host, vm.provider.config)
            said = ping.communicate(timeout=120)[0]
        vm.kubectl("create", "configmap", "seen-by-the-watch")
        until(lambda: b"configmap/seen-by-the-watch" in heard.read_bytes(), within=60,
              what="the event in the watch that was open before the migration")  # fmt: skip
    os.killpg(watching.pid, signal.SIGTERM)
    watching.wait()
    found = re.search(r"(\d+) packets transmitted, (\d+) received", said)
    assert found, said
    lost = int(found[1]) - int(found[2])
    assert lost <= 2, f"{lost} of {found[1]} pings were lost"
    assert done["state"] in ("waiting", "confirmed")
    assert uplink.status(vm.master)["state"] == "confirmed"


def test_the_address_is_on_the_bridge_and_the_bridge_has_the_nics_mac(vm: Machine) -> None:
    links, before = vm.network()["links"], vm.before["network"]["links"]
    assert "172.16.91.10/24" in links["mybr0"]["addresses"]
    assert not [address for address in links["eth0"]["addresses"] if "172.16" in address]
    assert links["eth0"]["master"] == "mybr0"
    assert links["mybr0"]["mac"] == links["eth0"]["mac"] == before["eth0"]["mac"]


def test_kubeconfig_and_certificate_are_those_of_before(vm: Machine) -> None:
    assert vm.provider.kubeconfig.read_text() == vm.before["kubeconfig"]
    served = served_certificate(vm.provider.host(), "172.16.91.10", 8443)
    assert fingerprint(served) == fingerprint(vm.before["certificate"])
    vm.before["served"] = served
    assert vm.kubectl("get", "--raw", "/healthz") == "ok"


def test_a_rollback_brings_back_what_was_and_a_second_migration_works(vm: Machine) -> None:
    uplink.rollback(vm.master)
    links = vm.network()["links"]
    assert links["eth0"]["addresses"][0] == "172.16.91.10/24"
    assert vm.run("cat /etc/network/interfaces").stdout == vm.before["interfaces"]
    assert vm.kubectl("get", "--raw", "/healthz") == "ok"
    assert served_certificate(vm.provider.host(), "172.16.91.10", 8443) == vm.before["served"]
    uplink.migrate(vm.master, vm.provider.host(), vm.provider.config)
    assert uplink.status(vm.master)["state"] == "confirmed"
    until(vm.ready, within=240, what="the node being Ready on the bridge")
