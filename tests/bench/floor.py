"""The floor: what any plugin that is started by a runtime and asks a DHCP server must pay on this machine.

The start of a bare process and of a bare interpreter (what a shim costs at least, compiled or not), the kernel's own
cost of a veth, and one DORA without anything around it.
"""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import time
from functools import partial
from typing import Any

from brdhcp.dhcp.events import Received, Send, Start
from brdhcp.dhcp.frame import ETH_P_IP, dhcp_filter, parse_frame
from brdhcp.dhcp.identity import Identity, Policy, ProbeKind
from brdhcp.dhcp.machine import Client, State
from brdhcp.dhcp.message import Message
from brdhcp.netlink import netns
from brdhcp.netlink.change import LinkAdd, LinkDelete, LinkSet
from brdhcp.netlink.kernel import Kernel

BARE = {"process": ["/bin/true"], "interpreter": ["/usr/bin/python3", "-I", "-S", "-c", "pass"]}


def measure(names: list[str]) -> dict[str, Any]:
    """Seconds for each of the pods' namespaces ``names``: ``process``, ``interpreter``, ``veth``, ``dora`` and
    ``veth_delete``.
    """
    found: dict[str, list[float]] = {**{name: [] for name in BARE}, "veth": [], "dora": [], "veth_delete": []}
    with Kernel() as node:
        for number, name in enumerate(names):
            for kind, argv in BARE.items():
                found[kind].append(_timed(partial(subprocess.run, argv, check=True)))
            fd = os.open(f"/run/netns/{name}", os.O_RDONLY)
            mac = f"02:00:5e:ff:{number >> 8:02x}:{number & 255:02x}"
            try:
                found["veth"].append(_timed(partial(_veth, node, fd, mac)))
                _forwarding(node)
                sock = netns.run_in(fd, partial(_socket, mac))
                found["dora"].append(_timed(partial(_dora, sock, mac)))
                sock.close()
                gone = partial(node.apply, [LinkDelete(name="floor0")])
                found["veth_delete"].append(_timed(gone))
            finally:
                os.close(fd)
    return {name: statistics.median(values) for name, values in found.items()}


def _timed(work: Any) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _veth(node: Kernel, fd: int, mac: str) -> None:
    node.apply([
        LinkAdd(name="floor0", kind="veth", up=True, master="mybr0", peer="eth0", peer_address=mac, peer_netns_fd=fd)
    ])  # fmt: skip
    with Kernel.in_netns(fd) as inside:
        inside.apply([LinkSet(name="eth0", up=True)])


def _forwarding(node: Kernel) -> None:
    deadline = time.monotonic() + 1
    while time.monotonic() < deadline:
        link = node.link("floor0")
        if link is not None and link.operstate == "up" and link.port.get("state") == 3:
            return


def _socket(mac: str) -> socket.socket:
    from brdhcp.agent.packets import packet_socket

    sock = packet_socket("eth0", ETH_P_IP, dhcp_filter(mac))
    sock.settimeout(2)
    return sock


def _dora(sock: socket.socket, mac: str) -> None:
    who = Identity(chaddr=bytes.fromhex(mac.replace(":", "")))
    client = Client.fresh(who, 1, Policy(probe=ProbeKind.NONE))
    event: Any = Start()
    while client.state is not State.BOUND:
        client, effects = client.step(event, time.monotonic())
        for effect in effects:
            if isinstance(effect, Send):
                sock.send(effect.frame(mac))
        if client.state is State.BOUND:
            return
        datagram = None
        while datagram is None:
            datagram = parse_frame(sock.recv(2048), checksum_ready=False)
        event = Received(Message.decode(datagram.payload), datagram.source_mac)
