"""What a bad neighbour sends, one frame by name: ``python neighbour.py NAME MAC ADDRESS [PORT]``, in the pod.

Stands alone, as the interpreter in a pod has nothing of this checkout.
"""

from __future__ import annotations

import socket
import struct
import sys

ALL = b"\xff" * 6
OTHER_MAC = bytes.fromhex("02000badcafe")
STRANGER = socket.inet_aton("172.16.91.77")
STRANGER6 = socket.inet_pton(socket.AF_INET6, "fe80::2")
ALL_NODES = socket.inet_pton(socket.AF_INET6, "ff02::1")
UDP, ICMPV6 = 17, 58
ROUTER_ADVERT, SOLICIT, ADVERT, REDIRECT = 134, 135, 136, 137


def checksum(data: bytes) -> int:
    """RFC 1071."""
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    return ~(total % 65535) & 65535 or 65535


def udp(src_mac: bytes, src: bytes, sport: int, dport: int) -> bytes:
    body = struct.pack("!HHHH", sport, dport, 12, 0) + b"mark"
    head = struct.pack("!BBHHHBBH4s4s", 69, 0, 20 + len(body), 1, 0, 64, UDP, 0, src, ALL[:4])
    head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
    return ALL + src_mac + b"\x08\0" + head + body


def arp(src_mac: bytes, sender_mac: bytes, sender: bytes) -> bytes:
    body = struct.pack("!HHBBH6s4s6s4s", 1, 2048, 6, 4, 2, sender_mac, sender, bytes(6), sender)
    return ALL + src_mac + b"\x08\x06" + body


def ip6(src_mac: bytes, src: bytes, body: bytes, proto: int = ICMPV6) -> bytes:
    """To all nodes; the checksum is filled in (RFC 8200 §8.1)."""
    at = 2 if proto == ICMPV6 else 6
    total = checksum(src + ALL_NODES + struct.pack("!II", len(body), proto) + body)
    body = body[:at] + struct.pack("!H", total) + body[at + 2 :]
    head = struct.pack("!IHBB", 6 << 28, len(body), proto, 255) + src + ALL_NODES
    return b"\x33\x33\0\0\0\x01" + src_mac + b"\x86\xdd" + head + body


def udp6(src_mac: bytes, src: bytes, sport: int, dport: int) -> bytes:
    return ip6(src_mac, src, struct.pack("!HHHH", sport, dport, 12, 0) + b"mark", UDP)


def discovery(kind: int, target: bytes, more: bytes = b"") -> bytes:
    """A message about ``target``, an advertisement with S and O (RFC 4861 §4.3 to §4.5)."""
    return struct.pack("!BBHI", kind, 0, 0, 0x60000000 if kind == ADVERT else 0) + target + more


def announcement(prefix: bytes = b"") -> bytes:
    """Of a router, with a /64 to make addresses of (RFC 4861 §4.2 and §4.6.2)."""
    body = struct.pack("!BBHBBHII", ROUTER_ADVERT, 0, 0, 64, 0, 0, 0, 0)
    return body + (struct.pack("!BBBBIII", 3, 4, 64, 0xC0, 3600, 3600, 0) + prefix if prefix else b"")


def tagged(frame: bytes, *tags: int) -> bytes:
    """802.1Q; VLAN 0 is a priority and no VLAN."""
    return frame[:12] + b"".join(struct.pack("!HH", 0x8100, tag) for tag in tags) + frame[12:]


def snap(frame: bytes) -> bytes:
    """As an 802.3 frame with the EtherType in a SNAP header (RFC 1042)."""
    body = b"\xaa\xaa\x03\0\0\0" + frame[12:]
    return frame[:12] + struct.pack("!H", len(body)) + body


def frame(what: str, mac: bytes, ip: bytes, port: int) -> bytes:
    own = b"\xfe\x80" + bytes(6) + bytes([mac[0] ^ 2]) + mac[1:3] + b"\xff\xfe" + mac[3:]
    match what:
        case "honest":
            return udp(mac, ip, port, port)
        case "dhcp":
            return udp(mac, ip, 67, 68)
        case "dhcp-port":
            return udp(mac, ip, 5555, 68)
        case "dhcp6":
            return udp6(mac, own, 547, 546)
        case "dhcp6-port":
            return udp6(mac, own, 5555, 546)
        case "mac":
            return udp(OTHER_MAC, ip, port, port)
        case "address":
            return udp(mac, STRANGER, port, port)
        case "arp":
            return arp(mac, mac, STRANGER)
        case "arp-mac":
            return arp(mac, OTHER_MAC, ip)
        case "tag" | "trunk":
            return tagged(arp(mac, mac, STRANGER), 5 if what == "trunk" else 0)
        case "tags":
            return tagged(arp(mac, mac, STRANGER), 0, 0)
        case "snap":
            return snap(arp(mac, mac, STRANGER))
        case "ra":
            return ip6(mac, own, announcement())
        case "tag-ra" | "trunk-ra":
            return tagged(ip6(mac, own, announcement()), 5 if what == "trunk-ra" else 0)
        case "trunk-dhcp":
            return tagged(udp(mac, ip, 5555, 68), 5)
        case "redirect":
            return ip6(mac, own, discovery(REDIRECT, STRANGER6, STRANGER6))
        case "address6":
            return udp6(mac, STRANGER6, port, port)
        case "global6":
            return udp6(mac, b"\x20\x01\x0d\xb8" + bytes(11) + b"\x01", port, port)
        case "advert":
            return ip6(mac, own, discovery(ADVERT, STRANGER6, b"\x02\x01" + mac))
        case "advert-from":
            return ip6(mac, STRANGER6, discovery(ADVERT, own, b"\x02\x01" + mac))
        case "probe":
            return ip6(mac, bytes(16), discovery(SOLICIT, STRANGER6))
        case "router":  # an honest one, on the LAN: fd00:91::/64
            return ip6(mac, own, announcement(b"\xfd\0\0\x91" + bytes(12)))
    raise SystemExit(f"no frame is called {what}")


def main() -> None:
    what, mac, ip, *port = sys.argv[1:]
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
        sock.bind(("eth0", 0))
        octets = bytes.fromhex(mac.replace(":", ""))
        sock.send(frame(what, octets, socket.inet_aton(ip), int(port[0]) if port else 5555))


if __name__ == "__main__":
    main()
