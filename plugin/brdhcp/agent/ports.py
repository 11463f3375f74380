"""Making and removing a pod's place on the bridge: plans of ``brdhcp.bridge``, done by ``brdhcp.netlink``.

These functions block for as long as the kernel works (a veth takes 20 ms to delete), so the agent calls them in its
worker threads.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from brdhcp.agent import packets, sandbox
from brdhcp.bridge import naming as naming
from brdhcp.bridge import nft, outcome, plan, pod
from brdhcp.bridge.plan import Port
from brdhcp.errors import CniError, InvalidEnvironment, StoreFailure, UnsupportedField
from brdhcp.netlink.change import LinkAdd, LinkSet, Step, SysctlSet
from brdhcp.netlink.kernel import Kernel, KernelError
from brdhcp.netlink.observe import IFF_UP, Link
from brdhcp.spec.environment import Request
from brdhcp.spec.netconf import NetConf
from brdhcp.spec.result import Interface, Result
from brdhcp.store.leases import Attachment

SYS = Path("/sys/class/net")
PORT_READY_S = 0.1
"""How long the first DHCPDISCOVER waits for the bridge port to forward, at most: then the retries have to do."""
FORWARDING = 3
"""BR_STATE_FORWARDING (linux/if_bridge.h)."""


_bridges = threading.Lock()
"""Held while a bridge is made or taken away: between looking and doing no other pod may come to it."""


def do(kernel: Kernel, steps: Iterable[Step]) -> None:
    """Do the steps; when one fails undo those before it and what it did itself, newest first, and raise its error."""
    done: list[Step] = []
    for step in steps:
        try:
            done.append(step)
            kernel.apply(step.do)
        except CniError:
            undo(kernel, done)
            raise


def undo(kernel: Kernel, done: Sequence[Step]) -> None:
    """Undo newest first; a step that cannot be undone does not keep the others from it."""
    for step in reversed(done):
        for change in step.undo:
            with contextlib.suppress(KernelError):
                kernel.apply((change,))


@dataclass(frozen=True, slots=True)
class Plugged:
    """A pod's interface, up, without an address yet."""

    port: Port
    steps: tuple[Step, ...]
    sockets: tuple[socket.socket, socket.socket] | None = None
    """For DHCP and for ARP, when there will be a DHCP exchange; whoever takes them closes them."""


def plug(node: Kernel, netconf: NetConf, request: Request, netns_fd: int) -> Plugged:
    """The bridge is there, and the pod has an interface on it, up; ready for DHCP when that is what will come.

    Undoes all of it when it fails half way. Raises ``UnsupportedField`` where the configuration needs nft and there is
    none.
    """
    conf = netconf.bridge
    require_nft(netconf)
    seed = sandbox.boot_id()
    with _bridges:
        here = node.link(conf.name)
        made = plan.ensure_bridge(conf, here, seed)
        do(node, made)
        try:
            port = plan.port_of(
                conf, here, container_id=request.container_id, if_name=request.if_name, network=netconf.name,
                mac=naming.wanted_mac(netconf, request), seed=seed,
            )  # fmt: skip
            steps = (*made, *plan.attach(conf, port, netns_fd))
            do(node, steps[len(made) :])
        except CniError as error:
            _unmake(node, made)
            raise (_taken(error, request) if isinstance(error, KernelError) else error) from error
    if not conf.disable_container_interface:
        try:
            with Kernel.in_netns(netns_fd) as inside:
                if conf.spoof_guard:
                    _set_where_other(inside, pod.plain_ipv6(request.if_name))
                inside.apply(pod.link_up(request.if_name).do)
                sockets = _listen(node, inside, netns_fd, port) if netconf.dhcp is not None else None
        except CniError:
            unmake(node, steps)
            raise
        return Plugged(port, steps, sockets)
    return Plugged(port, steps)


def _set_where_other(kernel: Kernel, wanted: Iterable[SysctlSet]) -> None:
    """Where the kernel has such a file (without IPv6 it has none) it says this."""
    kernel.apply([change for change in wanted if kernel.sysctl(change.path) not in (None, change.value)])


def unmake(node: Kernel, steps: Sequence[Step]) -> None:
    """Undo what ``plug`` did; a bridge that it made stays when another pod has come to it meanwhile."""
    with _bridges:
        undo(node, [step for step in steps if not _makes_bridge(step)])
        _unmake(node, [step for step in steps if _makes_bridge(step)])


def _unmake(node: Kernel, steps: Sequence[Step]) -> None:
    for step in steps:
        made = step.do[0]
        if isinstance(made, LinkAdd) and not any(link.master == made.name for link in node.links()):
            undo(node, (step,))


def _makes_bridge(step: Step) -> bool:
    return isinstance(step.do[0], LinkAdd) and step.do[0].kind == "bridge"


def replug(
    node: Kernel, records: Iterable[Attachment], netconf: Callable[[Attachment], NetConf]
) -> list[Attachment]:
    """Put ports back into their bridge that have lost it, as when the bridge was made anew; those that were.

    ``netconf`` gives the configuration that a record was made by.
    """
    links = {link.name: link for link in node.links()}
    found = []
    for record in records:
        port, bridge = links.get(record.veth), links.get(record.bridge)
        if port is not None and bridge is not None and port.master is None and bridge.kind == "bridge":
            try:
                conf = netconf(record).bridge
                steps = plan.ensure_bridge(conf, bridge, seed="")
            except CniError:
                continue  # it is no bridge for this port, which CHECK says
            back = LinkSet(name=record.veth, master=record.bridge, up=True)
            made = [change for step in steps for change in step.do]
            node.apply((*made, back, *plan.port_settings(conf, record.veth)))
            found.append(record)
    return found


def _listen(node: Kernel, inside: Kernel, netns_fd: int, port: Port) -> tuple[socket.socket, socket.socket]:
    dhcp = packets.dhcp_socket(netns_fd, port.if_name, port.mac)
    try:
        arp = packets.arp_socket(netns_fd, port.if_name)
    except CniError:
        dhcp.close()
        raise
    deadline = time.monotonic() + PORT_READY_S
    while not _is_ready(node, inside, port) and time.monotonic() < deadline:
        time.sleep(0.0003)
    return dhcp, arp


def _taken(error: KernelError, request: Request) -> CniError:
    if error.errno != 17:  # EEXIST
        return error
    return InvalidEnvironment(
        f"CNI_IFNAME {request.if_name} is taken: container {request.container_id} has an interface of that name",
        "DEL the attachment that made it first, or use another name",
    )


def mac_of(node: Kernel, name: str) -> str:
    """The MAC of a link of the node, ``""`` when it is not there; without waiting for netlink, as below."""
    try:
        return (SYS / name / "address").read_text().strip()
    except OSError:
        link = node.link(name)
        return link.address if link is not None else ""


def is_plugged(node: Kernel, veth: str, bridge: str) -> bool:
    """Whether the node's end is up and in its bridge, so that what the pod sends reaches the LAN."""
    try:
        # Not by netlink: that waits for whatever the kernel is doing to other links, such as deleting some.
        here = (SYS / veth / "master").readlink().name == bridge
        return here and bool(int((SYS / veth / "flags").read_text(), 16) & IFF_UP)
    except (OSError, ValueError):
        link = node.link(veth)
        return link is not None and link.master == bridge and link.up


def _is_ready(node: Kernel, inside: Kernel, port: Port) -> bool:
    """Both ends carry frames: one that is not yet *up* (RFC 2863) drops what it should send, without a word.

    Asked by netlink and not of sysfs, where a port forwards before its end of the cable does.
    """
    near, far = node.link(port.veth), inside.link(port.if_name)
    if near is None or far is None:
        return True  # somebody removes them as we look: the next step says so
    return near.operstate == far.operstate == "up" and near.port.get("state", FORWARDING) == FORWARDING


def configure(netns_fd: int, if_name: str, result: Result, netconf: NetConf, mtu: int | None) -> None:
    """The pod's addresses and routes, at once."""
    step = pod.configure(
        if_name, result, mtu=mtu, dad=netconf.bridge.enable_dad,
        metric=netconf.dhcp.priority if netconf.dhcp else None,
    )  # fmt: skip
    with Kernel.in_netns(netns_fd) as inside:
        do(inside, (step,))


def reconfigure(
    netns_fd: int, if_name: str, old: Result, new: Result, netconf: NetConf, mtu: int | None = None
) -> None:
    """Take the pod from one result to another; an empty one leaves the link without an address."""
    metric = netconf.dhcp.priority if netconf.dhcp else None
    step = pod.reconfigure(if_name, old, new, new_mtu=mtu, dad=netconf.bridge.enable_dad, metric=metric)
    if step is not None:
        with Kernel.in_netns(netns_fd) as inside:
            inside.apply(step.do)


def inside_link(netns_fd: int, if_name: str) -> Link | None:
    """The pod's interface as its namespace shows it."""
    with Kernel.in_netns(netns_fd) as inside:
        return inside.link(if_name)


def unplug(veths: Mapping[int, str]) -> None:
    """The node's ends, by index and name, and with them the pods' are gone; so is one that was gone before."""
    with Kernel() as node:  # its own socket: nobody else's question waits behind a deletion
        node.delete_links(veths)


def node_address(node: Kernel, bridge: str, network: IPv4Network) -> IPv4Address | None:
    """The node's own address on ``bridge`` in ``network``; the first one wins."""
    return next((found.ip for found in node.ipv4_addresses(bridge) if found.ip in network), None)


def set_up(netns_fd: int, if_name: str) -> None:
    """The pod's interface is up."""
    with Kernel.in_netns(netns_fd) as inside:
        inside.apply(pod.link_up(if_name).do)


def way_out(node: Kernel, inside: Link) -> str:
    """The node's interface behind a pod's one: the bridge of a veth, the parent of a macvlan; ``""`` when unknown.

    A lease whose pod has gone is given back from there.
    """
    outside = next((link for link in node.links() if link.index == inside.parent), None)
    if outside is None:
        return ""
    return (outside.master or outside.name) if inside.kind == "veth" else outside.name


def why_silent(node: Kernel, bridge: str) -> str:
    """The likeliest reason for a LAN without a DHCP server, as far as this node can see it, and what to do."""
    links = node.links()
    here = next((link for link in links if link.name == bridge), None)
    if here is None or here.kind != "bridge":
        return "is a DHCP server on that network, and does its pool have a free address?"
    ports = [link for link in links if link.master == bridge]
    uplinks = [link for link in ports if link.kind != "veth"] or [
        link for link in ports if not link.name.startswith("veth")
    ]
    if not uplinks:
        return (
            f"{bridge} has no uplink: no port of it leads to the LAN, so the DHCPDISCOVER went nowhere. "
            "See what putting the NIC into it takes: brdhcpctl uplink plan"
        )
    if not any(link.up and link.carrier for link in uplinks):
        return (
            f"the uplink {uplinks[0].name} of {bridge} has no carrier: is the cable in, is the interface up?"
        )
    if node.sysctl("bridge/bridge-nf-call-iptables") == "1":
        return (
            "is a DHCP server on the LAN, with a free address? bridged frames pass iptables here "
            "(net.bridge.bridge-nf-call-iptables=1): a FORWARD policy of DROP eats them (iptables -S FORWARD)"
        )
    return "is a DHCP server on the LAN, and does its pool have a free address?"


def gateway(node: Kernel, netconf: NetConf, result: Result) -> tuple[Step, ...]:
    """``isGateway`` with a delegated IPAM: the bridge gets the pods' gateway addresses."""
    if not netconf.bridge.is_gateway:
        return ()
    paths = ["ipv4/ip_forward", "ipv6/conf/all/forwarding"]
    links = node.links()
    paths += [f"ipv6/conf/{link.name}/accept_ra" for link in links]
    values = {path: value for path in paths if (value := node.sysctl(path)) is not None}
    uplink = any(link.master == netconf.bridge.name and not link.name.startswith("veth") for link in links)
    steps = plan.gateway(netconf.bridge, result, node.addresses(), carries_uplink=uplink, sysctls=values)
    do(node, steps)
    return steps


def interfaces(node: Kernel, plugged: Plugged, request: Request, result: Result) -> Result:
    """The result with its three interfaces."""
    port = plugged.port
    return outcome.complete(
        result,
        bridge=Interface(name=port.bridge, mac=port.bridge_mac, mtu=port.bridge_mtu),
        port=Interface(name=port.veth, mac=port.veth_mac, mtu=port.bridge_mtu),
        pod=Interface(name=port.if_name, mac=port.mac, sandbox=request.netns, mtu=port.mtu),
    )


def is_guarded(netconf: NetConf) -> bool:
    """Whether the configuration asks for any nftables rules."""
    return bool(nft.keys(netconf.bridge))


def require_nft(netconf: NetConf) -> None:
    """Raises ``UnsupportedField``, naming the keys, when they ask for rules and this node has no nft to load them."""
    keys = " and ".join(nft.keys(netconf.bridge))
    if keys and shutil.which("nft") is None:
        raise UnsupportedField(
            f"{keys} cannot be honoured: this node has no nft, and nothing else is used in its place",
            f"install nftables, or leave {keys} out",
        )


def guard(netconf: NetConf, veth: str, mac: str, result: Result) -> None:
    """The nftables rules that the configuration asks for, for one port; nft is not run when it asks for none."""
    rules = _rules(netconf, veth, mac, result)
    _load(netconf, rules.tables + rules.add)


def unguard(netconf: NetConf, veth: str, mac: str, result: Result) -> None:
    """The port's rules are gone; harmless when they were never made."""
    _load(netconf, _rules(netconf, veth, mac, result).remove)


def reguard(netconf: NetConf, veth: str, mac: str, old: Result, new: Result) -> None:
    """The port's rules follow a lease that changed, in one transaction."""
    before, after = _rules(netconf, veth, mac, old), _rules(netconf, veth, mac, new)
    _load(netconf, before.remove + after.tables + after.add)


def _rules(netconf: NetConf, veth: str, mac: str, result: Result) -> nft.Ruleset:
    return nft.of_port(netconf.bridge, veth=veth, mac=mac, addresses=[ip.address for ip in result.ips])


def _load(netconf: NetConf, ruleset: str) -> None:
    if not ruleset:
        return
    keys = " and ".join(nft.keys(netconf.bridge))
    try:
        ran = subprocess.run(
            ["nft", "-f", "-"], input=ruleset, capture_output=True, text=True, check=False, timeout=20
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StoreFailure(
            f"nft, which {keys} needs, cannot be run: {error}", f"install nftables, or leave {keys} out"
        ) from error
    if ran.returncode:
        raise StoreFailure(
            f"nft or the kernel refused the rules of {keys}: {ran.stderr.strip()[:500]}",
            f"update them (docs/reference/netconf.md says from which version on), or leave {keys} out",
        )
