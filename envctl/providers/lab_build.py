"""How a lab, half made or not made at all, becomes a whole one: each function looks, and makes what is
missing.

All of them run under the environment's lock (:func:`envctl.providers.lab_machines.locked`) and take only the
configuration; what there is already is found out each time.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

from envctl.config import Config
from envctl.node import Completed, NamespaceNode, NodeError
from envctl.providers import certificate, lab_machines, lab_network
from envctl.providers.base import ProviderError
from envctl.providers.lab_network import Machine

STANDINS = Path(__file__).with_name("standins.py")
CERTIFICATE = "/var/lib/apiserver-standin/tls.crt"
KEY = "/var/lib/apiserver-standin/tls.key"


def machine_node(machine: Machine, pid: int) -> NamespaceNode:
    return NamespaceNode(machine.name, machine.address, pid)


def up(config: Config) -> dict[str, NamespaceNode]:
    """The machines of the environment that are up, in the order of the configuration."""
    alive = lab_machines.machines(config.name)
    wanted = lab_network.machines(config)
    return {
        machine.name: machine_node(machine, alive[machine.name])
        for machine in wanted
        if machine.name in alive
    }


def links(node: NamespaceNode) -> list[str]:
    """The names of a machine's network interfaces."""
    return node.names("/sys/class/net")


def has_address(node: NamespaceNode) -> bool:
    """Whether the machine's own LAN address is on any of its interfaces (the kernel's table of local
    addresses).
    """
    lines = Path(f"/proc/{node.pid}/net/fib_trie").read_text().splitlines()
    return any(
        line.endswith(f"-- {node.address}") and "host LOCAL" in following
        for line, following in pairwise(lines)
    )


def ensure_machines(config: Config) -> str:
    """Every machine of the configuration is up and no other one is.

    A machine that lives but was cut off (its switch has died) is made again, as if it had crashed.
    """
    env = config.name
    wanted = {machine.name: machine for machine in lab_network.machines(config)}
    lab_machines.kill(lab_machines.beginners(env))
    nodes = up(config)
    cut_off = {name for name in nodes if not _connected(wanted[name], nodes)}
    stray = lab_machines.machines(env).keys() - wanted.keys()
    alive = lab_machines.machines(env)
    lab_machines.kill(alive[name] for name in cut_off | stray)
    lab_machines.unlink(env, stray)
    for name in stray:
        shutil.rmtree(lab_machines.directory(env, name), ignore_errors=True)
    missing = [machine for name, machine in wanted.items() if name not in nodes or name in cut_off]
    launch(config, missing)
    return (
        f"{len(wanted)} machines up, {len(missing)} of them new"
        if missing
        else f"{len(wanted)} machines were up"
    )


def _connected(machine: Machine, nodes: dict[str, NamespaceNode]) -> bool:
    if not machine.plugged:
        return True
    return (
        "switch" in nodes
        and machine.port in links(nodes["switch"])
        and machine.nic in links(nodes[machine.name])
    )


def launch(config: Config, machines: Collection[Machine]) -> None:
    """Start these machines, with the disks they had."""
    for machine in machines:
        lab_machines.prepare(config.name, machine.name, lab_network.files(config, machine))
    lab_machines.launch(config.name, {machine.name: machine.role == "router" for machine in machines})


def ensure_network(config: Config) -> str:
    """Every machine has its cable and its addresses; a node that has its address is left as it is."""
    nodes = up(config)
    machines = [machine for machine in lab_network.machines(config) if machine.name in nodes]
    with ThreadPoolExecutor(len(machines)) as pool:
        wan = pool.submit(_ensure_wan, nodes["router"], nodes["internet"])
        _ensure_cables(nodes, machines)
        wan.result()
        addressed = [
            machine
            for machine in machines
            if machine.role != "switch" and not (machine.role == "node" and has_address(nodes[machine.name]))
        ]
        lines = [lab_network.address_lines(config, machine) for machine in addressed]
        list(pool.map(ip, (nodes[machine.name] for machine in addressed), lines))
    return f"{sum(machine.plugged for machine in machines)} cables in {config.network.cidr}"


def _ensure_cables(nodes: dict[str, NamespaceNode], machines: Sequence[Machine]) -> None:
    switch = nodes["switch"]
    ports = links(switch)
    lines = [] if "lan" in ports else lab_network.switch_lines()
    for machine in machines:
        if machine.plugged and machine.nic not in links(nodes[machine.name]):
            if machine.port in ports:  # the other end went down with the machine that had it
                unlink(switch, machine.port)
            lines += lab_network.cable_lines(machine, nodes[machine.name].pid)
    ip(switch, lines)


def _ensure_wan(router: NamespaceNode, internet: NamespaceNode) -> None:
    if "wan" in links(router) and "eth0" in links(internet):
        return
    for node, name in ((router, "wan"), (internet, "eth0")):
        if name in links(node):
            unlink(node, name)
    ip(router, lab_network.wan_lines(internet.pid))


def ip(node: NamespaceNode, lines: Sequence[str]) -> None:
    """Run ``ip`` for each line, as one batch, in the machine's network namespace."""
    if lines:
        argv = ["nsenter", "-t", str(node.pid), "-n", "--", "ip", "-batch", "-"]
        node.run_argv(argv, "ip -batch: " + "; ".join(lines), input="\n".join(lines) + "\n")


def unlink(node: NamespaceNode, name: str) -> None:
    """The interface is gone; it may go by itself meanwhile, with the namespace of its other end."""
    node.run("ip link del %s", name, check=False)


def ensure_services(config: Config) -> str:
    """DHCP and DNS, NAT, the internet's server, the apiserver-standin, and the nodes' own addresses when by
    DHCP.
    """
    nodes = up(config)
    router = nodes["router"]
    jobs = [
        lambda: ensure_dnsmasq(config, router),
        lambda: router.run_argv(router.enter("nft", "-f", "-"), "nft -f -", input=lab_network.NAT),
        lambda: _ensure_internet(nodes["internet"]),
        lambda: ensure_standin(config, nodes["master"]),
    ]
    with ThreadPoolExecutor(len(jobs) + len(nodes)) as pool:
        for job in [pool.submit(job) for job in jobs]:
            job.result()
        if config.uplink.address == "dhcp":
            list(
                pool.map(
                    lambda machine: ensure_dhclient(machine, nodes[machine.name]), _node_machines(config)
                )
            )
    standin = (
        ""
        if config.apiserver.kind == "real"
        else f", apiserver-standin {config.nodes.master}:{config.apiserver.port}"
    )
    return f"dnsmasq at {config.network.dhcp.server}, NAT to {lab_network.INTERNET.ip}{standin}"


def _node_machines(config: Config) -> Iterable[Machine]:
    return (machine for machine in lab_network.machines(config) if machine.role == "node")


def ensure_dnsmasq(config: Config, router: NamespaceNode) -> None:
    """The DHCP server runs with exactly the configured options; another is replaced, its leases stay."""
    wanted = lab_network.dnsmasq(config)
    running = [(pid, argv) for pid, argv in lab_machines.inside(router.pid) if argv[0] == "dnsmasq"]
    if [argv for _, argv in running] != [wanted]:
        lab_machines.kill(pid for pid, _ in running)
        router.run_argv(router.enter(*wanted))


def _runs(node: NamespaceNode, word: str) -> bool:
    return any(word in argv for _, argv in lab_machines.inside(node.pid))


def _ensure_internet(internet: NamespaceNode) -> None:
    if not _runs(internet, "internet"):
        _standin(internet, "internet", "80", lab_network.INTERNET_NAME)


def ensure_standin(config: Config, master: NamespaceNode) -> None:
    """The apiserver-standin answers with the certificate that the environment has had from its first day."""
    if config.apiserver.kind == "real" or _runs(master, "apiserver-standin"):
        return
    if not master.outside(KEY).exists():
        pem, key = certificate.make(master.address)
        master.put(CERTIFICATE, pem)
        master.put(KEY, key, 0o600)
    _standin(master, "apiserver-standin", str(config.apiserver.port), CERTIFICATE, KEY)


def _standin(node: NamespaceNode, *args: str) -> None:
    node.run_argv(node.enter(lab_machines.interpreter(), "-I", "-S", str(STANDINS), *args))


def ensure_dhclient(machine: Machine, node: NamespaceNode) -> Completed | None:
    """A node whose address comes from DHCP has it, unless it has its address already."""
    if has_address(node):
        return None
    try:
        return node.run_argv(node.enter(*lab_network.dhclient(machine)), timeout=60)
    except NodeError as error:
        raise ProviderError(f"{node.name} got no address from the DHCP server", cause=str(error)) from error


def reboot(config: Config, name: str) -> NamespaceNode:
    """Crash a machine and start it again with its disk, its cable, its addresses and its services."""
    wanted = {machine.name: machine for machine in lab_network.machines(config)}
    alive = lab_machines.machines(config.name)
    if name in alive:
        lab_machines.kill([alive[name]])
    launch(config, [wanted[name]])
    ensure_network(config)
    ensure_services(config)
    return up(config)[name]
