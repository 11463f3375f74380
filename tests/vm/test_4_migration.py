"""The uplink migration of a real machine, over the ssh connection that it endangers, with kubectl watching."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path

from envctl import uplink
from envctl.environment import fingerprint, served_certificate
from envctl.node import ended
from tests.vm import until
from tests.vm.conftest import MIGRATE, WAITING, Machine

CUT = "nft add table bridge cut; nft add chain bridge cut in '{ type filter hook prerouting priority 0; }'"
DROP = "nft add rule bridge cut in iif eth0 counter drop"


def as_before(vm: Machine) -> bool:
    return bool(vm.network() == vm.before["network"])


def test_a_machine_that_is_cut_off_by_its_migration_is_brought_back_by_the_guard(vm: Machine) -> None:
    """Once the migration waits, every frame from the LAN is dropped: nobody can confirm, or help."""
    vm.detached("vmtest-cut", f"until {WAITING}; do sleep 0.1; done; {CUT}; {DROP}")
    vm.detached("vmtest-migrate", MIGRATE % "10")

    def undone() -> bool:
        dropped = re.search(r"packets (\d+)", vm.run("nft list table bridge cut", check=False).stdout)
        return (
            dropped is not None
            and int(dropped[1]) > 0
            and uplink.status(vm.master)["state"] == "rolled-back"
            and as_before(vm)
        )

    until(undone, within=360, what="frames being dropped, and then ssh and the network as before")
    vm.run("nft delete table bridge cut")
    assert vm.kubectl("get", "--raw", "/healthz") == "ok"


def test_the_machine_is_migrated_while_a_watch_is_open(vm: Machine, tmp_path: Path) -> None:
    host, heard = vm.provider.host(), tmp_path / "watch.log"
    watch = host.argv(" ".join(vm.provider.kubectl_argv("get", "configmaps", "--watch", "--output=name")))
    pings = host.argv("exec ping -n -i 0.2 172.16.91.10")
    with heard.open("wb") as log:
        watching = subprocess.Popen(watch, stdout=log, process_group=0)
    with ended(watching):
        until(heard.read_bytes, within=60, what="the watch being open")
        with subprocess.Popen(pings, stdout=subprocess.PIPE, text=True, process_group=0) as ping:
            try:
                done = uplink.migrate(vm.master, host, vm.provider.config)
            finally:
                os.killpg(ping.pid, signal.SIGINT)
            said = ping.communicate(timeout=30)[0]
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
