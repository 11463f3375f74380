"""What the runtime of a node knows of each pod's network: sent to the node, run there, printed as JSON.

libcni keeps what a plugin answered. Since 0.8 its record says whose it is, and containerd knows the process. Before, as
in kubelet 1.16, the record is the bare result in a file called NETWORK-CONTAINER-INTERFACE, and Docker knows the rest.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

BARE = re.compile(r"-([0-9a-f]{64})-eth0$")
"""The end of a bare result's file name: the container of a pod, and the interface that the kubelet asks for."""


def records(root: Path) -> list[dict[str, Any]]:
    """One per attachment: ``name`` and ``namespace`` of the pod, ``container``, ``pid`` ("" when it does not run),
    and ``result``, the CNI result. ``root`` is where the node's files are."""
    found = []
    bare: dict[str, Any] = {}
    cni = root / "var/lib/cni"
    for path in (*cni.glob("results/*"), *cni.glob("cache/results/*")):
        try:
            record = json.loads(path.read_text())
        except (OSError, ValueError):
            continue
        old = BARE.search(path.name)
        if old and "kind" not in record:
            bare[old[1]] = record
        else:
            found.append(_of_containerd(record, root))
    return found + (_of_docker(bare) if bare else [])


def _of_containerd(record: dict[str, Any], root: Path) -> dict[str, Any]:
    names = dict(record.get("cniArgs") or ())
    container = record.get("containerId", "")
    pid = ""
    for path in root.glob(f"run/containerd/io.containerd.runtime.v*/k8s.io/{container}/init.pid"):
        pid = path.read_text().strip()
    return {
        "name": names.get("K8S_POD_NAME", ""),
        "namespace": names.get("K8S_POD_NAMESPACE", ""),
        "container": container,
        "pid": pid,
        "result": record.get("result") or {},
    }


def _of_docker(bare: dict[str, Any]) -> list[dict[str, Any]]:
    """The kubelet's labels on a pod's sandbox say whose it is. A container that is gone is left out of the answer."""
    argv = ["docker", "inspect", "--type", "container", *bare]
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    found = []
    for one in json.loads(done.stdout or b"[]"):
        labels = one["Config"]["Labels"] or {}
        found.append({
            "name": labels.get("io.kubernetes.pod.name", ""),
            "namespace": labels.get("io.kubernetes.pod.namespace", ""),
            "container": one["Id"],
            "pid": str(one["State"]["Pid"] or ""),
            "result": bare[one["Id"]],
        })  # fmt: skip
    return found


if __name__ == "__main__":
    print(json.dumps(records(Path(sys.argv[1] if len(sys.argv) > 1 else "/"))))
