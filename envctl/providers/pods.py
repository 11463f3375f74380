"""Pods of the lab: a namespace on a node with a process inside, put on the network as a container runtime
would.

What a runtime would know of a pod lies in the node's /run/pods/<pod>: gone with a reboot, as the pod is. The
CNI result is where libcni keeps it (:mod:`envctl.cni`).
"""

from __future__ import annotations

import json
import re
import secrets
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

from envctl import cni
from envctl.node import NamespaceNode, NodeError
from envctl.providers import lab_machines
from envctl.providers.base import Pod, ProviderError

PODS = "/run/pods"
NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
"""A DNS label (RFC 1123), as Kubernetes names pods."""


def add(env: str, node: NamespaceNode, name: str, capabilities: Mapping[str, Any] | None = None) -> Pod:
    """Make the sandbox, then run the node's network configuration. A failure leaves nothing behind."""
    if not NAME.fullmatch(name):
        raise ProviderError(f"{name!r} is no name for a pod", hint="lower case letters, digits and dashes")
    network = cni.load(node)
    home = node.outside(f"{PODS}/{name}")
    home.parent.mkdir(parents=True, exist_ok=True)
    try:
        home.mkdir()
    except FileExistsError:
        raise ProviderError(f"{node.name} has a pod {name} already") from None
    sandbox = _sandbox(name, secrets.token_hex(32), capabilities or {})
    record = {
        "container_id": sandbox.container_id,
        "network": network.name,
        "capabilities": dict(capabilities or {}),
    }
    try:
        (home / "pod.json").write_text(json.dumps(record))
        (home / "resolv.conf").write_bytes(node.get("/etc/resolv.conf"))
        init = [lab_machines.interpreter(), "-I", "-S", str(lab_machines.INIT), "pod"]
        argv0 = f"{lab_machines.POD}{env}/{node.name}/{name}"
        node.run_argv(node.enter(*init, argv0, name, sandbox.netns, f"{PODS}/{name}/resolv.conf"))
        result = cni.Runtime(node).add(network, sandbox)
    except BaseException:
        _remove_sandbox(env, node, name)
        raise
    _name_servers(node, name, result)
    return Pod(name, node.name, sandbox.container_id, sandbox.netns, True, result)


def _sandbox(name: str, container_id: str, capabilities: Mapping[str, Any]) -> cni.Sandbox:
    args = {
        "IgnoreUnknown": "1",
        "K8S_POD_NAMESPACE": "default",
        "K8S_POD_NAME": name,
        "K8S_POD_INFRA_CONTAINER_ID": container_id,
    }
    return cni.Sandbox(container_id, f"/run/netns/{name}", args=args, capabilities=capabilities)


def _name_servers(node: NamespaceNode, name: str, result: Mapping[str, Any]) -> None:
    """The pod's resolv.conf says what the result says; written in place, as the pod has it mounted."""
    dns = result.get("dns") or {}
    lines = [f"nameserver {server}" for server in dns.get("nameservers", ())]
    search = dns.get("search") or ([dns["domain"]] if dns.get("domain") else [])
    if search:
        lines.append("search " + " ".join(search))
    if lines:
        node.outside(f"{PODS}/{name}/resolv.conf").write_text("\n".join(lines) + "\n")


def _record(node: NamespaceNode, name: str) -> dict[str, Any] | None:
    try:
        record = json.loads(node.get(f"{PODS}/{name}/pod.json"))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) else None


def listed(env: str, nodes: Sequence[NamespaceNode]) -> tuple[Pod, ...]:
    """The pods of these nodes, by name; one whose process is gone is there until it is removed."""
    running = lab_machines.pods(env)
    found = []
    for node in nodes:
        runtime = cni.Runtime(node)
        for name in node.names(PODS):
            record = _record(node, name) or {"container_id": "", "network": ""}
            sandbox = _sandbox(name, record["container_id"], record.get("capabilities", {}))
            cached = runtime.cached(record["network"], sandbox) or {"result": {}}
            alive = (node.name, name) in running
            found.append(Pod(name, node.name, sandbox.container_id, sandbox.netns, alive, cached["result"]))
    return tuple(sorted(found, key=lambda pod: pod.name))


def find(nodes: Sequence[NamespaceNode], name: str) -> NamespaceNode:
    """The node that has a pod of that name; ProviderError when none has."""
    for node in nodes:
        if name in node.names(PODS):
            return node
    there = ", ".join(pod for node in nodes for pod in node.names(PODS)) or "none"
    raise ProviderError(f"there is no pod {name}", cause=f"pods: {there}")


def inside(env: str, node: NamespaceNode, name: str) -> NamespaceNode:
    """A pod as something to run commands in; ProviderError when its process is gone."""
    pid = lab_machines.pods(env).get((node.name, name))
    if pid is None:
        raise ProviderError(
            f"pod {name} does not run", hint=f"envctl pod rm {name} takes away what is left of it"
        )
    return NamespaceNode(name, "", pid)


def remove(env: str, node: NamespaceNode, name: str) -> None:
    """CNI DEL, then the sandbox. When DEL fails the sandbox stays, so that it can be tried again."""
    record = _record(node, name)
    if record is not None:
        sandbox = _sandbox(name, record["container_id"], record.get("capabilities", {}))
        runtime = cni.Runtime(node)
        if runtime.cached(record["network"], sandbox) is not None:
            network = cni.Network(record["network"], "0.4.0", ())
        else:
            network = cni.load(node)
        runtime.delete(network, sandbox)
    _remove_sandbox(env, node, name)


def _remove_sandbox(env: str, node: NamespaceNode, name: str) -> None:
    pid = lab_machines.pods(env).get((node.name, name))
    if pid is not None:
        lab_machines.kill([pid])
    netns = f"/run/netns/{name}"
    if node.outside(netns).exists():
        try:
            node.run("umount %s 2>/dev/null; rm -f %s", netns, netns)
        except NodeError as error:
            raise ProviderError(f"{node.name}: the namespace of {name} stays", cause=str(error)) from error
    shutil.rmtree(node.outside(f"{PODS}/{name}"), ignore_errors=True)
