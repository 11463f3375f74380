"""Does the gateway answer? Asked by ARP, the one question that needs no route and that no firewall drops (RFC 826)."""

from __future__ import annotations

import socket
import time
from ipaddress import IPv4Address

from brdhcp.dhcp.frame import ETH_P_ARP, ArpOperation, arp_request, parse_arp
from brdhcp.errors import StoreFailure

TRIES, EACH_S = 3, 0.3


def answers(if_name: str, target: IPv4Address, source: tuple[str, str]) -> bool:
    """Whether ``target`` answers on ``if_name``; ``source`` is our MAC and address there. Raises ``StoreFailure``."""
    mac, address = source
    try:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ARP)) as sock:
            sock.bind((if_name, ETH_P_ARP))
            for _ in range(TRIES):
                sock.send(arp_request(mac, IPv4Address(address), target))
                if _heard(sock, target, time.monotonic() + EACH_S):
                    return True
    except OSError as error:
        raise StoreFailure(f"cannot ask for {target} on {if_name}: {error.strerror}") from error
    return False


def _heard(sock: socket.socket, target: IPv4Address, deadline: float) -> bool:
    while (left := deadline - time.monotonic()) > 0:
        sock.settimeout(left)
        try:
            arp = parse_arp(sock.recv(2048))
        except TimeoutError:
            return False
        if arp is not None and arp.operation == ArpOperation.REPLY and arp.sender == target:
            return True
    return False
