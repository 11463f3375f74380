"""Templates of the centos7 guest, filled by the step's own shell with the guest's own settings."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from envctl.provision.steps import PROVISION
from tests.unit.provision.test_steps import shell

GUEST = PROVISION / "centos7"
ROOT = PROVISION.parent


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
    assert cluster["featureGates"] == {}, "kubeadm 1.16 knows none of ours"
    assert cluster["imageRepository"] == "registry.k8s.io"
    assert cluster["etcd"]["local"]["imageTag"] == "3.3.15-0"
    driver = documents["KubeletConfiguration"]["cgroupDriver"]
    assert f"native.cgroupdriver={driver}" in json.loads((GUEST / "daemon.json").read_text())["exec-opts"]


def test_the_lock_file_is_ascii_since_the_guests_python_2_prints_nothing_else_into_a_pipe() -> None:
    assert (PROVISION / "lock.json").read_bytes().isascii()


def test_the_page_about_the_guest_names_tests_that_exist() -> None:
    named = set(re.findall(r"`([a-z0-9]+(?:_[a-z0-9]+){3,})`", (ROOT / "docs/how-to/centos7.md").read_text()))
    there = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    assert len(named) > 20
    assert not [name for name in named if f"def test_{name}(" not in there]
