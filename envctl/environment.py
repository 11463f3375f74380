"""From a configuration to the provider that makes it real, and from a provider to the facts of now."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from envctl import iproute
from envctl.facts import ApiserverFacts, Facts, NodeFacts, PodFacts, ServerFacts

if TYPE_CHECKING:
    from collections.abc import Callable

    from envctl.config import Config
    from envctl.node import Node
    from envctl.providers.base import Pod, Provider, ServerLease

T = TypeVar("T")
R = TypeVar("R")
SERVERS = {"lab": "dnsmasq", "vagrant": "the NAT network's server"}
APISERVERS = {"stand-in": "apiserver-standin", "real": "kube-apiserver"}


def provider_of(config: Config) -> Provider:
    """The provider that the configuration names; making it touches nothing."""
    if config.provider == "vagrant":
        from envctl.providers.vagrant import Virtual

        return Virtual(config)
    from envctl.providers.lab import Lab

    return Lab(config)


def side_by_side(call: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """``[call(item) for item in items]``, all at once; the first error is raised after all have ended."""
    listed = list(items)
    if len(listed) < 2:
        return [call(item) for item in listed]
    with ThreadPoolExecutor(max_workers=len(listed)) as pool:
        return list(pool.map(call, listed))


def observe(provider: Provider, *, agents: bool = True) -> Facts:
    """What is true now. ``agents=False`` leaves out what only the nodes' agents can say (and the time it
    takes).
    """
    config = provider.config
    network = config.network
    exists = provider.exists()
    nodes = {node.name: node for node in provider.nodes()} if exists else {}
    books = {lease.mac: lease for lease in provider.server_leases()} if exists else {}
    pods: dict[str, list[PodFacts]] = {}
    for pod in provider.pod_list() if exists else ():
        pods.setdefault(pod.node, []).append(_pod(pod, books, network.dhcp.lease_s))

    def look(name: str) -> NodeFacts:
        return _node(config, name, nodes.get(name), tuple(pods.get(name, ())), agents=agents)

    server = ServerFacts(
        address=str(network.dhcp.server),
        software=SERVERS[config.provider],
        first=str(network.dhcp.first),
        last=str(network.dhcp.last),
        lease_s=network.dhcp.lease_s,
        leases=len(books) if exists else None,
    )
    return Facts(
        name=config.name,
        provider=config.provider,
        exists=exists,
        cidr=str(network.cidr),
        host=str(network.host),
        gateway=str(network.gateway),
        server=server,
        apiserver=_apiserver(provider) if exists else None,
        nodes=tuple(side_by_side(look, config.node_addresses() | nodes)) if exists else (),
    )


def _pod(pod: Pod, books: Mapping[str, ServerLease], lease_s: int) -> PodFacts:
    lease = books.get(pod.mac)
    left = None if lease is None else int(lease.expires - time.time()) if lease.expires else 0xFFFFFFFF
    state = "running" if pod.running else "dead"
    return PodFacts(pod.name, pod.node, pod.address, pod.mac, state, left, lease_s if lease else None)


def _node(
    config: Config, name: str, node: Node | None, pods: tuple[PodFacts, ...], *, agents: bool
) -> NodeFacts:
    address = str(config.node_addresses().get(name, node.address if node else ""))
    nic, bridge = config.uplink.interface, config.bridge
    if node is None:
        return NodeFacts(name, address, up=False, interface=nic, bridge=bridge, pods=pods)
    there = iproute.parse(node.run(iproute.ASK).stdout)
    holders = there.holders(address)
    agent, migration = _agent(node) if agents else ("", "")
    return NodeFacts(
        name,
        address,
        interface=nic,
        bridge=bridge,
        address_on=holders[0] if holders else "",
        port=nic in there.links and there.links[nic].master == bridge,
        agent=agent,
        migration=migration,
        pods=pods,
    )


_STATUS = """export CNI_COMMAND=STATUS CNI_PATH=/opt/cni/bin
echo '{"cniVersion":"1.1.0","name":"status","type":"brdhcp"}' | /opt/cni/bin/brdhcp"""


def agent_state(node: Node) -> str:
    """``running`` when the agent answers STATUS, ``absent`` when there is no plugin, else ``away``."""
    return {0: "running", 127: "absent"}.get(node.run(_STATUS, check=False).exit_status, "away")


def _agent(node: Node) -> tuple[str, str]:
    """The agent's state, and how far the uplink migration is, in the node's own words."""
    state, uplink = agent_state(node), node.run("brdhcpctl uplink status -o json", check=False)
    try:
        return state, str(json.loads(uplink.stdout).get("state", "unknown"))
    except (ValueError, AttributeError):
        return state, "unknown"


def faulty_pods(provider: Provider) -> dict[str, str]:
    """The pods that must be made anew, and why: those that do not run, and those that fail the node's
    CHECK.
    """
    pods = provider.pod_list()
    faulty = {pod.name: "it does not run" for pod in pods if not pod.running}
    nodes = [node for node in provider.nodes() if any(pod.node == node.name for pod in pods)]
    answers = side_by_side(lambda node: node.run("brdhcpctl check -o json", check=False), nodes)
    names = {pod.container_id: pod.name for pod in pods}
    for row in (row for answer in answers for row in json.loads(answer.stdout or "[]")):
        if not row["ok"] and row["container"] in names:
            faulty.setdefault(names[row["container"]], "; ".join(row["faults"]))
    return faulty


def _apiserver(provider: Provider) -> ApiserverFacts | None:
    from envctl.errors import EnvctlError

    try:
        expected = provider.apiserver()
    except EnvctlError:
        return None
    name = APISERVERS[expected.kind]
    certificate = served_certificate(provider.host(), expected.address, expected.port)
    return ApiserverFacts(name, expected.address, expected.port, bool(certificate), fingerprint(certificate))


_TLS = """import socket, ssl, sys
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
with socket.create_connection((sys.argv[1], int(sys.argv[2])), 3) as tcp, context.wrap_socket(tcp) as tls:
    print(ssl.DER_cert_to_PEM_cert(tls.getpeercert(True)), end="")
"""


def served_certificate(host: Node, address: str, port: int) -> str:
    """The certificate (PEM) with which ``address:port`` answers TLS to ``host``; ``""`` when it does not."""
    done = host.run("python3 -I -S -c %s %s %s", _TLS, address, port, check=False, timeout=10)
    return done.stdout if done.exit_status == 0 else ""


def fingerprint(pem: str) -> str:
    """SHA-256 of a certificate in hex; ``""`` for none."""
    import hashlib
    import ssl

    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest() if pem else ""
