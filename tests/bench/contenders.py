"""Who is measured, and what each needs on the node before its first ADD."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from envctl.providers.lab_plugin import COMPILED_SHIM, SHIM
from tests.bench.lab import BIN, STATE, BenchLab
from tests.bench.peers import Peer

AGENT_SOCKET = "/run/brdhcp/agent.sock"
REFERENCE_SOCKET = "/run/cni/dhcp.sock"
BRDHCPD = f"{BIN}/brdhcpd --state-dir {STATE} --log-level error --log-format text"


@dataclass(frozen=True)
class Contender:
    """``executable`` is what the runtime starts with ``conf``; ``prepare`` starts what must run before."""

    name: str
    executable: str
    folder: str
    conf: dict[str, Any]
    prepare: Callable[[BenchLab], None]

    def call(self, lab: BenchLab, verb: str, names: list[str], *, together: bool) -> dict[str, Any]:
        """One verb for every name; the driver's answer."""
        environment = {"CNI_COMMAND": verb, "CNI_PATH": self.folder}
        return lab.order(
            do="call", executable=self.executable, names=names, environment=environment, together=together,
            conf=json.dumps(self.conf),
        )  # fmt: skip


def _network(kind: str, ipam: str, **more: Any) -> dict[str, Any]:
    return {"cniVersion": "1.0.0", "name": "mycninet", "type": kind, **more, "ipam": {"type": ipam}}


def reference(peer: Peer) -> Contender:
    """The reference bridge plugin with the reference dhcp daemon."""

    def prepare(lab: BenchLab) -> None:
        lab.start(f"{peer.folder}/dhcp daemon", REFERENCE_SOCKET)

    return Contender(
        f"reference {peer.version}", f"{peer.folder}/bridge", str(peer.folder),
        _network("bridge", "dhcp", bridge="mybr0"), prepare,
    )  # fmt: skip


def start_agent(lab: BenchLab) -> None:
    lab.start(BRDHCPD, AGENT_SOCKET)


def brdhcp(name: str = "brdhcp", shim: Path = COMPILED_SHIM, **keys: Any) -> Contender:
    """Ours: main plugin and IPAM in one."""
    conf = _network("brdhcp", "dhcp", bridge="mybr0", **keys)
    return Contender(name, str(shim), str(shim.parent), conf, start_agent)


def in_python() -> Contender:
    """The same with the shim for machines without a compiler."""
    return brdhcp("brdhcp, Python shim", SHIM)


def ipam_under(main: str, peer: Peer, folder: Path) -> Contender:
    """``brdhcp-ipam`` under a main plugin of the reference."""
    for name, target in (("brdhcp-ipam", COMPILED_SHIM), (main, peer.folder / main)):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.symlink_to(target)
    place = {"bridge": "mybr0"} if main == "bridge" else {"master": "mybr0"}
    conf = _network(main, "brdhcp-ipam", **place)
    return Contender(f"brdhcp-ipam under {main}", str(folder / main), str(folder), conf, start_agent)
