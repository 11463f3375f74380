"""What a node knows of its pods' networks: the files of both runtimes, read as on the node, by a Python of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

from envctl.providers.vagrant_cluster import RECORDS

POD, GONE, LOOPBACK = (sha256(name).hexdigest() for name in (b"pod", b"gone", b"loopback"))
RESULT = {
    "cniVersion": "0.3.1",
    "interfaces": [
        {"name": "mybr0", "mac": "52:54:00:91:00:10"},
        {"name": "veth5f2c0a11", "mac": "3e:2b:70:7c:11:5d"},
        {"name": "eth0", "mac": "0a:58:ac:10:5b:83", "sandbox": "/proc/4242/ns/net"},
    ],
    "ips": [{"version": "4", "interface": 2, "address": "172.16.91.131/24", "gateway": "172.16.91.2"}],
    "routes": [{"dst": "10.96.0.0/12", "gw": "172.16.91.10"}, {"dst": "0.0.0.0/0", "gw": "172.16.91.2"}],
    "dns": {"nameservers": ["172.16.91.2"]},
}
# `docker inspect` of a sandbox, as far as it is read; of a container that is gone it says nothing but an exit status.
SANDBOX = {
    "Id": POD,
    "State": {"Status": "running", "Running": True, "Pid": 4242},
    "Name": "/k8s_POD_pod1_default_9f4c1e6b-af2e-47c3-b6ee-0b5f2d54364e_0",
    "Config": {
        "Image": "registry.k8s.io/pause:3.1",
        "Labels": {
            "envctl.pod": "pod1",
            "io.kubernetes.container.name": "POD",
            "io.kubernetes.docker.type": "podsandbox",
            "io.kubernetes.pod.name": "pod1",
            "io.kubernetes.pod.namespace": "default",
            "io.kubernetes.pod.uid": "9f4c1e6b-af2e-47c3-b6ee-0b5f2d54364e",
        },
    },
}
CACHED = {
    "kind": "cniCacheV1",
    "containerId": POD,
    "config": "eyJjbmlWZXJzaW9uIjoiMC4zLjEiLCJuYW1lIjoibXljbmluZXQiLCJ0eXBlIjoiYnJkaGNwIn0=",
    "ifName": "eth0",
    "networkName": "mycninet",
    "cniArgs": [
        ["IgnoreUnknown", "1"],
        ["K8S_POD_NAMESPACE", "default"],
        ["K8S_POD_NAME", "pod1"],
        ["K8S_POD_INFRA_CONTAINER_ID", POD],
    ],
    "result": RESULT,
}
KNOWN = {"name": "pod1", "namespace": "default", "container": POD, "pid": "4242", "result": RESULT}


def node(root: Path, files: dict[str, str], docker: str = "") -> list[dict[str, Any]]:
    """What the script says on a node with these files, and with a docker that is this shell script."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "bin").mkdir()
    if docker:
        (root / "bin/docker").write_text(f"#!/bin/sh\n{docker}\n")
        (root / "bin/docker").chmod(0o755)
    argv = [sys.executable, "-c", RECORDS.read_text(), str(root)]
    done = subprocess.run(argv, capture_output=True, text=True, env={"PATH": f"{root}/bin:{os.defpath}"})
    assert not done.returncode, done.stderr
    said = json.loads(done.stdout)
    assert isinstance(said, list)
    return said


def test_containerds_record_names_the_pod_and_its_process_is_in_a_file(tmp_path: Path) -> None:
    files = {
        f"var/lib/cni/results/mycninet-{POD}-eth0": json.dumps(CACHED),
        f"run/containerd/io.containerd.runtime.v2.task/k8s.io/{POD}/init.pid": "4242",
    }
    assert node(tmp_path, files) == [KNOWN]


def test_the_bare_result_of_kubelet_1_16_is_joined_with_the_labels_of_dockers_sandbox(tmp_path: Path) -> None:
    """libcni 0.7.1 under the kubelet's --cni-cache-dir; the loopback network leaves a file of its own there."""
    results, bare = "var/lib/cni/cache/results", json.dumps(RESULT, separators=(",", ":"))
    files = {
        f"{results}/mycninet-{POD}-eth0": bare,
        f"{results}/cni-loopback-{POD}-lo": '{"cniVersion":"0.2.0","ip4":{"ip":"127.0.0.1/8"},"dns":{}}',
        f"{results}/mycninet-{GONE}-eth0": bare,
        "inspected": json.dumps([SANDBOX], indent=4),
    }
    docker = f'echo "$*" >{tmp_path}/asked; cat {tmp_path}/inspected; echo no such container >&2; exit 1'
    named = [record for record in node(tmp_path, files, docker) if record["name"]]
    assert named == [KNOWN]
    asked = (tmp_path / "asked").read_text().split()
    assert asked[:3] == ["inspect", "--type", "container"]
    assert set(asked[3:]) == {POD, GONE}


def test_a_sandbox_that_has_ended_has_no_process(tmp_path: Path) -> None:
    ended = {**SANDBOX, "State": {"Status": "exited", "Running": False, "Pid": 0}}
    files = {
        f"var/lib/cni/cache/results/mycninet-{POD}-eth0": json.dumps(RESULT),
        "inspected": json.dumps([ended]),
    }
    assert node(tmp_path, files, f"cat {tmp_path}/inspected") == [{**KNOWN, "pid": ""}]
