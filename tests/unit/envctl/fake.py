"""A provider that lives in memory, for plans and their order; the lab ring does all of it for real."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from envctl.config import Config
from envctl.errors import EnvctlError
from envctl.node import Completed, Node, quoted
from envctl.providers.base import Action, Apiserver, Finding, Pod, Provider, ServerLease
from envctl.providers.scene import Scene


class FakeNode(Node):
    """A node whose uplink is a word."""

    def __init__(self, name: str, address: str, log: list[str]) -> None:
        self.name, self.address, self.log = name, address, log
        self.uplink = "none"
        self.faulty: list[str] = []
        self.answers = True

    def argv(self, command: str, *args: object) -> list[str]:
        return ["sh", "-c", quoted(command, args)]

    def run(self, command: str, *args: object, check: bool = True, input: str | bytes | None = None,
            timeout: float = 30, env: Mapping[str, str] | None = None) -> Completed:  # fmt: skip
        words = quoted(command, args).split()
        status = 0
        if words[:2] == ["brdhcpctl", "uplink"]:
            self.log.append(f"{self.name}: uplink {words[2]}")
            after = {"migrate": "waiting", "confirm": "confirmed", "rollback": "none"}
            self.uplink = after.get(words[2], self.uplink)
        elif words[0] == "ping":
            status = 0 if self.answers else 1
        elif words[0] == "test":  # whether the NIC is in the bridge
            status = 0 if self.uplink == "confirmed" else 1
        state = {"state": self.uplink}
        checked = [{"container": name, "ok": False, "faults": ["no port"]} for name in self.faulty]
        answers = {"brdhcpctl check -o": checked}
        if words[:2] == ["export", "CNI_COMMAND=STATUS"]:
            status = 0 if self.uplink == "confirmed" else 127
        output = json.dumps(answers.get(" ".join(words[:3]), state))
        return Completed(self.name, " ".join(words), tuple(words), status, output, "")

    def spawn(self, command: str, *args: object, log: str, env: Mapping[str, str] | None = None) -> None:
        raise NotImplementedError

    def put(self, path: str, data: bytes, mode: int = 0o644) -> None:
        raise NotImplementedError

    def get(self, path: str) -> bytes:
        raise NotImplementedError

    def names(self, directory: str) -> list[str]:
        raise NotImplementedError


class FakeProvider(Provider):
    """Counts what is asked of it in ``log``."""

    def __init__(self, config: Config | None = None) -> None:
        super().__init__(config or Config())
        self.log: list[str] = []
        self.machines: dict[str, FakeNode] = {}
        self.pods: dict[str, Pod] = {}
        self.findings = [Finding("root", "ok", "root")]
        self.no_address_for = ""
        self.no_cluster = False
        self.workstation = FakeNode("host", str(self.config.network.host), self.log)

    def check(self) -> list[Finding]:
        return self.findings

    def actions(self) -> Sequence[Action]:
        if not self.slow:
            return [Action("machines", self._make)]
        return [
            Action("machines", self._make, "machine"), Action("a cluster on them", self._cluster, "kubeadm"),
        ]  # fmt: skip

    def _cluster(self) -> str:
        if self.no_cluster:
            raise EnvctlError("no cluster comes up")
        return "a cluster"

    def _make(self) -> str:
        for name, address in self.config.node_addresses().items():
            self.machines.setdefault(name, FakeNode(name, str(address), self.log))
        self.log.append("make")
        return "machines"

    def destroy(self) -> None:
        self.log.append("destroy")
        self.machines.clear()
        self.pods.clear()

    def exists(self) -> bool:
        return bool(self.machines)

    def nodes(self) -> tuple[Node, ...]:
        return tuple(self.machines.values())

    def host(self) -> Node:
        return self.workstation

    def apiserver(self) -> Apiserver:
        return Apiserver("stand-in", str(self.config.nodes.master), self.config.apiserver.port, "")

    def server_leases(self) -> tuple[ServerLease, ...]:
        return ()

    def plugin_actions(self, node: Node) -> Sequence[Action]:
        return [Action("files", lambda: "files")]

    def start_agent(self, node: Node) -> None:
        raise NotImplementedError

    def stop_agent(self, node: Node, signal: str = "TERM") -> None:
        raise NotImplementedError

    def reboot(self, node: Node) -> Node:
        raise NotImplementedError

    def pod_add(self, node: Node, name: str) -> Pod:
        if name == self.no_address_for:
            raise EnvctlError(f"{name} got no address")
        self.log.append(f"{node.name}: add {name}")
        address = f"172.16.91.{128 + len(self.pods)}/24"
        result = {"ips": [{"address": address}], "interfaces": [{"sandbox": "x", "mac": "02:00:00:00:00:01"}]}
        self.pods[name] = Pod(name, node.name, f"id-{name}", f"/run/netns/{name}", True, result)
        return self.pods[name]

    def pod_list(self) -> tuple[Pod, ...]:
        return tuple(self.pods.values())

    def pod_node(self, name: str) -> Node:
        raise NotImplementedError

    def pod_rm(self, name: str) -> None:
        self.log.append(f"rm {name}")
        del self.pods[name]

    def logs(self, directory: Path) -> list[Path]:
        return []

    def scene(self) -> AbstractContextManager[Scene]:
        raise NotImplementedError
