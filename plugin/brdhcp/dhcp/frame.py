"""Frames as a packet socket sends and receives them: Ethernet, IPv4 and UDP around DHCP, and ARP; bytes only.

A client without an address cannot use an ordinary UDP socket, so the frames are made here. BPF programs
for the kernel (SO_ATTACH_FILTER) keep everything else on the LAN from ever reaching Python.

Addresses of the link layer are text, ``02:00:5e:00:00:10``, as the kernel's tools print them.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address

SERVER_PORT, CLIENT_PORT = 67, 68
ETH_P_IP, ETH_P_ARP = 0x0800, 0x0806
IPPROTO_UDP = 17
BROADCAST_MAC = "ff:ff:ff:ff:ff:ff"
BROADCAST_ADDRESS = IPv4Address("255.255.255.255")
UNSPECIFIED = IPv4Address(0)

_ETHERNET = struct.Struct("!6s6sH")
_IPV4 = struct.Struct("!BBHHHBBH4s4s")
_UDP = struct.Struct("!HHHH")
_ARP = struct.Struct("!HHBBH6s4s6s4s")
_ARP_HEAD = (1, ETH_P_IP, 6, 4)


@dataclass(frozen=True, slots=True)
class Datagram:
    """A UDP datagram over IPv4 as it came from the wire, with the MAC addresses of its frame."""

    source_mac: str
    destination_mac: str
    source: IPv4Address
    destination: IPv4Address
    source_port: int
    destination_port: int
    payload: bytes


def mac_bytes(mac: str) -> bytes:
    """The six octets of a MAC address; raises ``ValueError``."""
    octets = bytes.fromhex(mac.replace(":", ""))
    if len(octets) != 6:
        raise ValueError(f"not a MAC address: {mac!r}")
    return octets


def mac_text(octets: bytes) -> str:
    """A MAC address as the kernel's tools print it."""
    return octets.hex(":")


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071): 0 for data that contains its own correct checksum.

    The ones' complement sum of 16-bit words is the number modulo 0xffff, which Python's integers do in C.
    """
    if len(data) % 2:
        data += b"\0"
    return -int.from_bytes(data, "big") % 0xFFFF


def unicast_frame(payload: bytes, source_mac: str, source: IPv4Address, destination_mac: str | None,
                  destination: IPv4Address) -> bytes:  # fmt: skip
    """A datagram from our client port to a server's port.

    With ``destination_mac`` None (the server's MAC was never learned) the frame is broadcast on the link
    while the IP destination stays the server's: it reaches a server on the LAN all the same.
    """
    length = _UDP.size + len(payload)
    pseudo = source.packed + destination.packed + struct.pack("!HH", IPPROTO_UDP, length)
    ports = _UDP.pack(CLIENT_PORT, SERVER_PORT, length, 0)
    # A computed checksum of 0 is sent as 0xffff, because 0 says "none" (RFC 768).
    udp = _UDP.pack(CLIENT_PORT, SERVER_PORT, length, checksum(pseudo + ports + payload) or 0xFFFF)
    fields = (0x45, 0x10, _IPV4.size + length, 0, 0x4000, 64, IPPROTO_UDP)
    header = _IPV4.pack(*fields, 0, source.packed, destination.packed)
    header = _IPV4.pack(*fields, checksum(header), source.packed, destination.packed)
    link = _ETHERNET.pack(mac_bytes(destination_mac or BROADCAST_MAC), mac_bytes(source_mac), ETH_P_IP)
    return link + header + udp + payload


def broadcast_frame(payload: bytes, source_mac: str, source: IPv4Address = UNSPECIFIED) -> bytes:
    """A datagram from our client port to every server on the LAN."""
    return unicast_frame(payload, source_mac, source, BROADCAST_MAC, BROADCAST_ADDRESS)


def parse_frame(data: bytes, *, checksum_ready: bool = True) -> Datagram | None:
    """The UDP datagram in an Ethernet frame, or None for any other frame; never raises.

    Between veth ends the kernel leaves the UDP checksum to a network card that does not exist, so a datagram
    that never left the machine arrives with a partial one. PACKET_AUXDATA says so (TP_STATUS_CSUMNOTREADY);
    pass ``checksum_ready=False`` then. A UDP checksum of zero means that the sender made none. Fragments are
    refused: a DHCP message fits its frame (option 57 sees to it).
    """
    ip = data[14:]
    if len(ip) < 28 or data[12:14] != b"\x08\x00" or ip[0] >> 4 != 4:
        return None
    header = (ip[0] & 0xF) * 4
    total = int.from_bytes(ip[2:4], "big")
    if header < 20 or not header + 8 <= total <= len(ip) or ip[9] != IPPROTO_UDP:
        return None
    if int.from_bytes(ip[6:8], "big") & 0x3FFF or checksum(ip[:header]):
        return None
    source_port, destination_port, length, given = _UDP.unpack_from(ip, header)
    if not 8 <= length <= total - header:
        return None
    udp = ip[header : header + length]
    if given and checksum_ready and checksum(ip[12:20] + struct.pack("!HH", IPPROTO_UDP, length) + udp):
        return None
    return Datagram(
        data[6:12].hex(":"), data[0:6].hex(":"), IPv4Address(ip[12:16]), IPv4Address(ip[16:20]),
        source_port, destination_port, udp[8:],
    )  # fmt: skip


class ArpOperation(IntEnum):
    """RFC 826."""

    REQUEST = 1
    REPLY = 2


@dataclass(frozen=True, slots=True)
class Arp:
    """An ARP packet for IPv4 over Ethernet."""

    operation: int
    sender_mac: str
    sender: IPv4Address
    target_mac: str
    target: IPv4Address

    def encode(self, destination_mac: str = BROADCAST_MAC) -> bytes:
        """The whole frame."""
        body = _ARP.pack(*_ARP_HEAD, self.operation, mac_bytes(self.sender_mac), self.sender.packed,
                         mac_bytes(self.target_mac), self.target.packed)  # fmt: skip
        return _ETHERNET.pack(mac_bytes(destination_mac), mac_bytes(self.sender_mac), ETH_P_ARP) + body


def arp_probe(mac: str, address: IPv4Address) -> bytes:
    """Is somebody using this address? Asked without claiming it (RFC 5227 §1.1: the sender
    address is zero).
    """
    return Arp(ArpOperation.REQUEST, mac, UNSPECIFIED, mac_text(bytes(6)), address).encode()


def arp_announce(mac: str, address: IPv4Address) -> bytes:
    """This address is mine from now on (RFC 5227 §2.3): caches and switches learn it."""
    return Arp(ArpOperation.REQUEST, mac, address, mac_text(bytes(6)), address).encode()


def arp_request(mac: str, address: IPv4Address, target: IPv4Address) -> bytes:
    """Which MAC has ``target``?"""
    return Arp(ArpOperation.REQUEST, mac, address, mac_text(bytes(6)), target).encode()


def arp_reply(mac: str, address: IPv4Address, to_mac: str, to: IPv4Address) -> bytes:
    """Tell one neighbour that ``address`` is at ``mac``."""
    return Arp(ArpOperation.REPLY, mac, address, to_mac, to).encode(to_mac)


def parse_arp(data: bytes) -> Arp | None:
    """The ARP packet in an Ethernet frame, or None for any other frame; never raises."""
    if len(data) < _ETHERNET.size + _ARP.size or data[12:14] != b"\x08\x06":
        return None
    *head, operation, sender_mac, sender, target_mac, target = _ARP.unpack_from(data, _ETHERNET.size)
    if tuple(head) != _ARP_HEAD:
        return None
    return Arp(operation, sender_mac.hex(":"), IPv4Address(sender), target_mac.hex(":"), IPv4Address(target))


def conflicting(arp: Arp, address: IPv4Address, mac: str) -> bool:
    """Whether ``arp`` shows another host on ``address`` while ``mac`` probes for it: it speaks from there.

    Another's probe is no use of the address, though RFC 5227 §2.1.1 counts it as one, having nobody to ask. A server
    may offer one address to two clients that come at once (dnsmasq remembers no offers); both probe, and it is for its
    DHCPACK and DHCPNAK to say whose it is. Were they to decline, neither would get it, and no other address either.
    """
    return arp.sender == address and arp.sender_mac != mac.lower()


Instruction = tuple[int, int, int, int]
"""One instruction of classic BPF: code, jt, jf, k (struct sock_filter of linux/filter.h)."""

_LD_W, _LD_H, _LD_B = 0x20, 0x28, 0x30
_LD_W_IND, _LD_H_IND = 0x40, 0x48
_LDX_IP_HEADER = 0xB1
_JEQ, _JSET, _RET = 0x15, 0x45, 0x06
_VLAN_TAG_PRESENT = 0xFFFFF000 + 48
"""SKF_AD_OFF + SKF_AD_VLAN_TAG_PRESENT: the tag is not in the frame any more when a packet socket sees it."""
_SNAPLEN = 0xFFFF


def _program(*checks: tuple[int, int] | tuple[int, int, int]) -> tuple[Instruction, ...]:
    """Load instructions (code, k) and conditions (code, k, 1 for "must hold" or 0 for "must not"), then
    accept.
    """
    drop = len(checks) + 1
    program: list[Instruction] = []
    for at, check in enumerate(checks):
        code, k = check[0], check[1]
        away = drop - at - 1
        if len(check) == 2:
            program.append((code, 0, 0, k))
        else:
            program.append((code, 0, away, k) if check[2] else (code, away, 0, k))
    return (*program, (_RET, 0, 0, _SNAPLEN), (_RET, 0, 0, 0))


def dhcp_filter(mac: str | None = None) -> tuple[Instruction, ...]:
    """A program for SOCK_RAW packet sockets: untagged, unfragmented UDP to port 68, and nothing else.

    With ``mac``, only messages whose ``chaddr`` is that address: on a LAN full of pods every server reply is
    a broadcast, and without this each of them would wake the client of every other pod.
    """
    checks: list[tuple[int, int] | tuple[int, int, int]] = [
        (_LD_W, _VLAN_TAG_PRESENT), (_JEQ, 0, 1),
        (_LD_H, 12), (_JEQ, ETH_P_IP, 1),
        (_LD_B, 23), (_JEQ, IPPROTO_UDP, 1),
        (_LD_H, 20), (_JSET, 0x3FFF, 0),
        (_LDX_IP_HEADER, 14), (_LD_H_IND, 16), (_JEQ, CLIENT_PORT, 1),
    ]  # fmt: skip
    if mac is not None:
        octets = mac_bytes(mac)
        chaddr = 14 + 8 + 28
        checks += [
            (_LD_W_IND, chaddr), (_JEQ, int.from_bytes(octets[:4], "big"), 1),
            (_LD_H_IND, chaddr + 4), (_JEQ, int.from_bytes(octets[4:], "big"), 1),
        ]  # fmt: skip
    return _program(*checks)


def arp_filter(address: IPv4Address | None = None) -> tuple[Instruction, ...]:
    """A program for SOCK_RAW packet sockets: untagged ARP, and nothing else.

    With ``address``, only packets that come from it: when a node's worth of pods starts, each of them probes,
    and without this every probe would wake the client of every other pod.
    """
    if address is None:
        return _program((_LD_W, _VLAN_TAG_PRESENT), (_JEQ, 0, 1), (_LD_H, 12), (_JEQ, ETH_P_ARP, 1))
    sender = 14 + 14
    return _program((_LD_W, _VLAN_TAG_PRESENT), (_JEQ, 0, 1), (_LD_H, 12), (_JEQ, ETH_P_ARP, 1),
                    (_LD_W, sender), (_JEQ, int(address), 1))  # fmt: skip
