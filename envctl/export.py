"""One folder with everything that a helper would ask for: state, configuration, versions, logs; no keys.

Commands that fail leave what they said: that they failed is part of the answer. Of a workstation that is the user's own
machine only what the environment's LAN has there is told: its processes and sockets are nobody's business.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envctl import history
from envctl.environment import observe, side_by_side
from envctl.errors import EnvctlError
from envctl.facts import as_data
from envctl.node import NamespaceNode

if TYPE_CHECKING:
    from envctl.node import Node
    from envctl.providers.base import Provider

ANYWHERE = {
    "address": "ip addr", "link": "ip -d -s link", "route": "ip route show table all", "rule": "ip rule",
    "neighbour": "ip neigh", "sockets": "ss -antupw", "sysctl": "sysctl -a -r '^net\\.(ipv4|ipv6|bridge)\\.'",
    "firewall-nft": "nft list ruleset", "firewall-iptables": "iptables-save",
    "processes": "ps -eo pid,ppid,user,stat,args",
    "versions": "uname -a; cat /etc/os-release; ip -V; nft --version; dnsmasq --version",
}  # fmt: skip
ON_NODES = {
    "bridge-ports": "bridge -d link", "bridge-addresses": "bridge fdb", "bridge-vlans": "bridge vlan",
    "leases": "brdhcpctl leases -o json", "check": "brdhcpctl check -o json",
    "uplink": "brdhcpctl uplink status -o json", "uplink-journal": "cat /var/lib/brdhcp/uplink/journal",
    "state": "ls -lR /var/lib/brdhcp /run/brdhcp",
    "networks": "tail -n +1 /etc/cni/net.d/*", "plugins": "ls -l /opt/cni/bin",
}  # fmt: skip
"""File name and command."""
ON_THIS_MACHINE = {
    "address": "ip addr show dev {device}", "route": "ip route show table all dev {device}",
    "neighbour": "ip neigh show dev {device}",
}  # fmt: skip
"""Where the workstation is the user's own machine: what it has on the environment's LAN, and nothing of the rest."""


def export(provider: Provider, directory: Path) -> list[Path]:
    """Fill the folder and answer the files. What cannot be had is said in ``missing.txt``."""
    from envctl.configfile import dump

    directory.mkdir(parents=True, exist_ok=True)
    missing: list[str] = []
    files = _nodes(provider, directory, missing)
    data: dict[str, Any] = {
        "status.json": lambda: as_data(observe(provider)),
        "doctor.json": lambda: [dataclasses.asdict(finding) for finding in provider.check()],
        "server-leases.json": lambda: [dataclasses.asdict(lease) for lease in provider.server_leases()],
        "pods.json": lambda: [dataclasses.asdict(pod) for pod in provider.pod_list()],
        "history.json": lambda: history.recall(provider.config),
    }
    for name, look in data.items():
        try:
            text = json.dumps(look(), indent=2, default=str, ensure_ascii=False) + "\n"
        except EnvctlError as error:
            missing.append(f"{name}: {error}")
        else:
            files.append(_write(directory / name, text))
    files.append(_write(directory / "envctl.yaml", dump(provider.config)))
    try:
        files += provider.logs(directory / "logs")
    except EnvctlError as error:
        missing.append(f"logs: {error}")
    if missing:
        files.append(_write(directory / "missing.txt", "\n".join(missing) + "\n"))
    return sorted(files)


def is_this_machine(node: Node) -> bool:
    """Whether a node is the machine that envctl runs on, not one that was made for the environment."""
    return isinstance(node, NamespaceNode) and node.pid == os.getpid()


def _of_this_machine(provider: Provider) -> dict[str, str]:
    device = shlex.quote(provider.host_interface)
    return {name: command.format(device=device) for name, command in ON_THIS_MACHINE.items()}


def _nodes(provider: Provider, directory: Path, missing: list[str]) -> list[Path]:
    machines: list[tuple[Node, Mapping[str, str]]] = [
        (node, ANYWHERE | ON_NODES) for node in provider.nodes()
    ]
    try:
        host = provider.host()
        machines.append((host, _of_this_machine(provider) if is_this_machine(host) else ANYWHERE))
    except EnvctlError as error:
        missing.append(f"host: {error}")

    def look(machine: tuple[Node, Mapping[str, str]]) -> list[Path]:
        node, commands = machine
        return [_said(node, name, command, directory / node.name) for name, command in commands.items()]

    return [path for paths in side_by_side(look, machines) for path in paths]


def _said(node: Node, name: str, command: str, directory: Path) -> Path:
    try:
        done = node.run(f"({command}) 2>&1", check=False)
        text = done.stdout if done.exit_status == 0 else f"{done.stdout}\n(exit status {done.exit_status})\n"
    except EnvctlError as error:
        text = f"{error}\n"
    suffix = "json" if "-o json" in command else "txt"
    head = "" if suffix == "json" else f"# {command}\n"
    return _write(directory / f"{name}.{suffix}", head + text)


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path
