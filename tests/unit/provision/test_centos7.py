"""Templates of the centos7 guest, filled by the step's own shell with the guest's own settings."""

from __future__ import annotations

import json
from configparser import ConfigParser
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from envctl.provision.steps import PROVISION
from tests.unit.provision.test_steps import shell

GUEST = PROVISION / "centos7"


def filled(template: Path) -> str:
    done = shell(f". {GUEST}/guest.env; fill {template}")
    assert not done.returncode, done.stderr
    return done.stdout


def test_kubeadm_is_told_the_versions_and_the_runtime_of_this_guest() -> None:
    text = filled(PROVISION / "kubernetes/kubeadm.yaml")
    documents: dict[str, Any] = {one["kind"]: one for one in YAML(typ="safe").load_all(text)}
    init, cluster = documents["InitConfiguration"], documents["ClusterConfiguration"]
    assert init["apiVersion"] == cluster["apiVersion"] == "kubeadm.k8s.io/v1beta2"  # kubeadm 1.15 to 1.22
    assert init["nodeRegistration"]["criSocket"] == "/var/run/dockershim.sock"
    assert cluster["kubernetesVersion"] == "v1.16.2"
    assert cluster["imageRepository"] == "registry.k8s.io"
    assert cluster["etcd"]["local"]["imageTag"] == "3.3.15-0"
    driver = documents["KubeletConfiguration"]["cgroupDriver"]
    assert f"native.cgroupdriver={driver}" in json.loads((GUEST / "daemon.json").read_text())["exec-opts"]


def test_networkmanager_leaves_the_bridge_the_nic_and_the_cables_of_pods_alone() -> None:
    parsed = ConfigParser()
    parsed.read_string(filled(GUEST / "NetworkManager.conf"))
    unmanaged = parsed["keyfile"]["unmanaged-devices"].split(";")
    assert unmanaged == ["interface-name:veth*", "interface-name:mybr0", "interface-name:eth0"]


def test_the_lock_file_is_ascii_since_the_guests_python_2_prints_nothing_else_into_a_pipe() -> None:
    assert (PROVISION / "lock.json").read_bytes().isascii()
