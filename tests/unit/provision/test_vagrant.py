"""The provider of virtual machines, as far as it is pure."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

from envctl.config import Config
from envctl.environment import provider_of
from envctl.errors import EnvctlError
from envctl.providers import vagrant_check, vagrant_cluster, vagrant_ground, vagrant_settings
from envctl.providers.vagrant import Virtual
from envctl.providers.vagrant_ground import Ground
from envctl.provision.steps import PROVISION
from envctl.wait import until

CONFIG = Config(provider="vagrant", guest="debian12", name="unit")


def test_the_configuration_is_what_is_true_of_a_virtual_machine() -> None:
    config = vagrant_settings.adapted(CONFIG)
    assert list(config.node_addresses()) == ["master"]
    assert config.network.dhcp.server == config.network.gateway
    assert config.apiserver.kind == "real"
    assert config.uplink.address == "dhcp"
    assert config.netconf()["serviceCIDR"] == "10.96.0.0/12"
    assert config.uplink.confirm_s >= 60
    assert vagrant_settings.adapted(config) == config


def test_the_provider_is_chosen_by_the_configuration_and_making_one_touches_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENVCTL_STATE", str(tmp_path / "state"))
    provider = provider_of(CONFIG)
    assert isinstance(provider, Virtual)
    assert not provider.exists()
    titles = [action.title for action in provider.actions()]
    assert titles[:3] == ["hypervisor", "box debian12", "virtual machine master"]
    assert "kubeadm on master" in titles
    assert not (tmp_path / "state").exists()


def test_commands_run_where_the_hypervisor_is() -> None:
    assert Ground("unit").argv(["virsh", "uri"]) == ["virsh", "uri"]
    assert Ground("unit").proxy_command() == ""
    inside = Ground("unit", 42).argv(["virsh", "uri"])
    assert inside[:3] == ["nsenter", "--target", "42"]
    assert inside[-2:] == ["virsh", "uri"]
    assert "%h %p" in Ground("unit", 42).proxy_command()


def test_a_command_that_fails_there_says_what_it_said() -> None:
    with pytest.raises(EnvctlError, match="exit status 3") as caught:
        Ground("unit").run("sh", "-c", "echo no domain >&2; exit 3")
    assert caught.value.cause == "no domain"


def test_namespaces_are_found_by_the_name_that_their_process_shows() -> None:
    with subprocess.Popen(["bash", "-c", "exec -a 'envctl-vm unit-test' sleep 60"]) as process:
        try:
            until(lambda: "unit-test" in vagrant_ground.holders(), within=20, otherwise=AssertionError)
            assert vagrant_ground.holders()["unit-test"] == process.pid
        finally:
            process.kill()


def test_a_hypervisor_that_ends_while_it_starts_is_not_waited_for(tmp_path: Path) -> None:
    log = tmp_path / "start.log"
    log.write_text("unshare: Operation not permitted\n")
    with (
        subprocess.Popen(["false"]) as outer,
        pytest.raises(EnvctlError, match="libvirt did not start") as caught,
    ):
        vagrant_ground._wait_for("unit-never", outer, log)
    assert caught.value.cause == "unshare: Operation not permitted"
    assert "doctor" in caught.value.hint


def test_removing_ends_the_process_that_holds_the_namespaces_and_takes_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENVCTL_STATE", str(tmp_path))
    (tmp_path / "unit-gone/vagrant").mkdir(parents=True)
    with subprocess.Popen(["bash", "-c", "exec -a 'envctl-vm unit-gone' sleep 60"]) as process:
        try:
            until(lambda: "unit-gone" in vagrant_ground.holders(), within=20, otherwise=AssertionError)
            assert vagrant_ground.remove("unit-gone")
            assert process.wait(20) == -signal.SIGKILL
        finally:
            process.kill()
    assert not list(tmp_path.iterdir())
    assert not vagrant_ground.remove("unit-gone")


def network(folder: Path, **environment: str) -> ElementTree.Element:
    """What network.sh defines, caught by a virsh that writes it down."""
    virsh = folder / "bin/virsh"
    virsh.parent.mkdir(exist_ok=True)
    virsh.write_text(
        f'#!/bin/sh\ncase "$1" in net-define) cat "$2" >{folder}/net.xml ;; net-info) exit 1 ;; esac\n'
    )
    virsh.chmod(0o755)
    words = {**environment, "PATH": f"{virsh.parent}:{os.environ['PATH']}"}
    subprocess.run([PROVISION / "libvirt/network.sh", "ensure"], check=True, env=words)
    return ElementTree.parse(folder / "net.xml").getroot()


def test_the_network_is_the_one_of_the_documentation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENVCTL_DRIVER", "qemu")
    plain = network(tmp_path)
    ours = network(tmp_path, **vagrant_settings.of_vagrant(vagrant_settings.adapted(CONFIG)))
    for defined in (plain, ours):
        assert [address.get("address") for address in defined.findall("ip")] == ["172.16.91.2", "172.16.91.1"]
        span = defined.find("ip/dhcp/range")
        assert span is not None
        assert (span.get("start"), span.get("end")) == ("172.16.91.128", "172.16.91.253")
        host = defined.find("ip/dhcp/host")
        assert host is not None
        assert host.get("ip") == "172.16.91.10"
        bridge = defined.find("bridge")
        assert bridge is not None
        assert (bridge.get("stp"), bridge.get("delay")) == ("off", "0")
    assert ours.findtext("name") == "unit-lan"


def test_a_router_on_the_workstations_address_is_configured_once(tmp_path: Path) -> None:
    defined = network(
        tmp_path, ENVCTL_GATEWAY="172.16.91.1", ENVCTL_DNS_HOST="203.0.113.10 internet.lab.test"
    )
    assert [address.get("address") for address in defined.findall("ip")] == ["172.16.91.1"]
    assert defined.findtext("dns/host/hostname") == "internet.lab.test"


def test_a_pod_is_joined_with_the_runtimes_record_of_its_network() -> None:
    item = {
        "metadata": {"name": "pod1"},
        "spec": {"nodeName": "master"},
        "status": {"podIP": "172.16.91.131", "conditions": [{"type": "Ready", "status": "True"}]},
    }
    old = {
        "name": "pod1",
        "container": "old",
        "pid": "",
        "result": {"ips": [{"address": "172.16.91.130/24"}]},
    }
    now = {
        "name": "pod1",
        "container": "now",
        "pid": "7",
        "result": {"ips": [{"address": "172.16.91.131/24"}]},
    }
    pod = vagrant_cluster._pod(item, [now, old])
    assert (pod.container_id, pod.netns, pod.address, pod.running) == (
        "now",
        "/proc/7/ns/net",
        "172.16.91.131",
        True,
    )
    gone = vagrant_cluster._pod({**item, "metadata": {"name": "pod1", "deletionTimestamp": "now"}}, [])
    assert (gone.running, gone.address) == (False, "")


def test_the_driver_may_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENVCTL_DRIVER", "kvm")
    assert vagrant_check.driver() == "kvm"


def test_what_was_found_out_about_kvm_is_remembered_until_the_next_boot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ENVCTL_DRIVER", raising=False)
    monkeypatch.setenv("ENVCTL_CACHE", str(tmp_path))
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    (tmp_path / f"kvm-{boot}").write_text("qemu")
    assert vagrant_check.driver() == "qemu"
    warned = next(finding for finding in vagrant_check.findings(CONFIG) if finding.id == "kvm")
    assert warned.level == "warning"
    assert "emulated" in warned.what


def test_while_there_is_no_kernel_to_try_with_nothing_is_remembered_about_kvm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first `doctor` on a machine comes before its first box, and must not speak for what comes after."""
    monkeypatch.delenv("ENVCTL_DRIVER", raising=False)
    monkeypatch.setenv("ENVCTL_CACHE", str(tmp_path))
    monkeypatch.setattr(vagrant_check, "BOOT", tmp_path)
    monkeypatch.setattr(vagrant_check, "_kvm_is_there", lambda: True)
    assert vagrant_check.driver() == "kvm"
    found = next(finding for finding in vagrant_check.findings(CONFIG) if finding.id == "kvm")
    assert (found.level, "tried with the box" in found.what) == ("ok", True)
    assert not list(tmp_path.iterdir())
    box = tmp_path / "box/key/vmlinuz"
    box.parent.mkdir(parents=True)
    box.write_bytes(b"no kernel boots from this")
    assert vagrant_check.driver() == "qemu"
    assert [path.read_text() for path in tmp_path.glob("kvm-*")] == ["qemu"]
