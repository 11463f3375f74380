"""Everything that a virtual machine and its hypervisor wrote down."""

from __future__ import annotations

import shutil
from pathlib import Path

from envctl.errors import EnvctlError
from envctl.node import Node

GUEST_LOGS = {
    "agent.log": "journalctl --no-pager --unit brdhcpd",
    "kubelet.log": "journalctl --no-pager --unit kubelet",
    "runtime.log": "journalctl --no-pager --unit containerd --unit docker",
    "system.log": "journalctl --no-pager --lines 3000",
    "network.log": "ip -d addr; ip route show table all; bridge link; iptables-save; brdhcpctl uplink status",
    "pods.log": "kubectl --kubeconfig /etc/kubernetes/admin.conf get pods,events -A -o wide",
}


def collect(master: Node, state: Path, directory: Path) -> list[Path]:
    """Copy the logs below ``directory``; a guest that cannot be reached leaves the reason in place of its logs."""
    directory.mkdir(parents=True, exist_ok=True)
    sources = [state / "vagrant.log", *sorted((state / "hypervisor/var/log/libvirt/qemu").glob("*.log"))]
    files = [Path(shutil.copyfile(path, directory / path.name)) for path in sources if path.exists()]
    for name, command in GUEST_LOGS.items():
        try:
            done = master.run(command, check=False, timeout=120)
            said = done.stdout + done.stderr
        except EnvctlError as error:
            said = f"{error}\n"
        (directory / name).write_text(said)
        files.append(directory / name)
    return files
