"""The embedded provider: the whole network in namespaces of this machine, with a real DHCP server, in a
second.

Every machine is one process (:mod:`envctl.providers.lab_machines`); what the network is made of is data
(:mod:`envctl.providers.lab_network`); how it is made is :mod:`envctl.providers.lab_build`.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from envctl.config import Config
from envctl.node import NamespaceNode, Node
from envctl.providers import lab_build, lab_machines, lab_network, lab_plugin, pods
from envctl.providers.base import Action, Apiserver, Finding, Pod, Provider, ProviderError, ServerLease
from envctl.providers.lab_check import findings
from envctl.providers.lab_scene import lab_scene
from envctl.providers.scene import Scene


class Lab(Provider):
    """One lab; see :class:`envctl.providers.base.Provider` for what each verb promises."""

    @property
    def env(self) -> str:
        return self.config.name

    def check(self) -> list[Finding]:
        return findings(self.config)

    def actions(self) -> Sequence[Action]:
        count = len(lab_network.machines(self.config))
        return (
            Action(f"{count} machines", self._locked(lab_build.ensure_machines)),
            Action("cables and addresses", self._locked(lab_build.ensure_network)),
            Action("DHCP, DNS, NAT, apiserver", self._locked(lab_build.ensure_services)),
        )

    def _locked(self, action: Callable[[Config], str]) -> Callable[[], str]:
        def run() -> str:
            with lab_machines.locked(self.env):
                return action(self.config)

        return run

    def destroy(self) -> None:
        with lab_machines.locked(self.env, make=False):
            lab_machines.remove(self.env)

    def exists(self) -> bool:
        return lab_machines.directory(self.env).exists() or bool(lab_machines.machines(self.env))

    def nodes(self) -> tuple[NamespaceNode, ...]:
        there = lab_build.up(self.config)
        return tuple(there[name] for name in self.config.node_addresses() if name in there)

    def machine(self, name: str) -> NamespaceNode:
        """Any machine: ``switch``, ``router``, ``host``, ``internet`` or a node; ProviderError if it is not
        up.
        """
        there = lab_build.up(self.config)
        if name not in there:
            raise ProviderError(
                f"machine {name} of environment {self.env} is not up",
                cause=f"machines that are up: {', '.join(there) or 'none'}",
                hint="envctl up makes what is missing",
            )
        return there[name]

    def host(self) -> NamespaceNode:
        return self.machine("host")

    def router(self) -> NamespaceNode:
        """The machine with DNS, DHCP and NAT."""
        return self.machine("router")

    def internet(self) -> tuple[str, str]:
        return str(lab_network.INTERNET.ip), lab_network.INTERNET_NAME

    def apiserver(self) -> Apiserver:
        kind = self.config.apiserver.kind
        address, port = str(self.config.nodes.master), self.config.apiserver.port
        if kind == "real":
            return Apiserver("real", address, port, "")
        pem = self.machine("master").get(lab_build.CERTIFICATE).decode()
        return Apiserver("stand-in", address, port, pem)

    def server_leases(self) -> tuple[ServerLease, ...]:
        path = lab_machines.directory(self.env, "router") / "disk" / lab_network.LEASES.lstrip("/")
        lines = path.read_text().splitlines() if path.exists() else []
        rows = [fields for line in lines if len(fields := line.split()) == 5]
        return tuple(
            ServerLease(mac, address, "" if name == "*" else name, "" if cid == "*" else cid, int(expires))
            for expires, mac, address, name, cid in rows
            if ":" not in address
        )

    def plugin_actions(self, node: Node) -> Sequence[Action]:
        return lab_plugin.actions(self.config, _own(node))

    def start_agent(self, node: Node) -> None:
        lab_plugin.start_agent(_own(node))

    def stop_agent(self, node: Node, signal: str = "TERM") -> None:
        lab_plugin.stop_agent(_own(node), signal)

    def reboot(self, node: Node) -> NamespaceNode:
        with lab_machines.locked(self.env):
            fresh = lab_build.reboot(self.config, node.name)
        if lab_plugin.is_installed(fresh):
            lab_plugin.start_agent(fresh)
        return fresh

    def pod_add(self, node: Node, name: str) -> Pod:
        if name in {pod.name for pod in self.pod_list()}:
            raise ProviderError(f"environment {self.env} has a pod {name} already")
        return pods.add(self.env, _own(node), name)

    def pod_list(self) -> tuple[Pod, ...]:
        return pods.listed(self.env, self.nodes())

    def pod_node(self, name: str) -> NamespaceNode:
        return pods.inside(self.env, pods.find(self.nodes(), name), name)

    def pod_rm(self, name: str) -> None:
        pods.remove(self.env, pods.find(self.nodes(), name), name)

    def logs(self, directory: Path) -> list[Path]:
        home = lab_machines.directory(self.env)
        copied = []
        for path in sorted(home.glob("*/run/**/*.log")):
            target = directory / path.relative_to(home).parts[0] / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
            copied.append(target)
        return copied

    def scene(self) -> AbstractContextManager[Scene]:
        return lab_scene(self)


def _own(node: Node) -> NamespaceNode:
    assert isinstance(node, NamespaceNode), f"{node} is no machine of a lab"
    return node
