"""A DHCP server that does what it is told, however strange: run in the router, steered by a file.

It is written without a line of ours that it tests: header and options by hand. ``MODE`` is read for every message, so
a test changes it between two messages without a restart. Leases are written as dnsmasq writes them.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import sys
import threading
import time
from pathlib import Path
from typing import Any

MODE, LOG, LEASES = Path("/run/strange.mode"), Path("/run/strange.log"), Path("/run/dnsmasq.leases")
NAMES = {1: "DISCOVER", 2: "OFFER", 3: "REQUEST", 4: "DECLINE", 5: "ACK", 6: "NAK", 7: "RELEASE"}
DISCOVER, OFFER, REQUEST, DECLINE, ACK, NAK, RELEASE = range(1, 8)
COOKIE = b"\x63\x82\x53\x63"
ROUTER, FIRST = "172.16.91.2", 128


def options_of(data: bytes) -> dict[int, bytes]:
    """Options by code."""
    found, at = {}, 240
    while at < len(data) and data[at] != 255:
        if data[at] == 0:
            at += 1
            continue
        found[data[at]] = data[at + 2 : at + 2 + data[at + 1]]
        at += 2 + data[at + 1]
    return found


class Strange:
    """The server's memory: who has what, and what nobody may have."""

    def __init__(self, identity: str) -> None:
        self.identity = identity
        self.taken: dict[str, str] = {}
        self.offered: dict[str, str] = {}
        self.declined: set[str] = set()
        self.clients: dict[str, str] = {}

    def address_for(self, mac: str, mode: dict[str, Any]) -> str:
        if "address" in mode:
            return str(mode["address"])
        if known := self.taken.get(mac) or self.offered.get(mac):
            return known
        offered = () if mode.get("forgetful") else self.offered.values()
        busy = {*self.taken.values(), *offered, *self.declined}
        return next(a for n in range(FIRST, 250) if (a := f"172.16.91.{n}") not in busy)

    def answer(self, data: bytes, mode: dict[str, Any]) -> tuple[int, str] | None:
        """The kind of answer and the address; None for silence."""
        mac, options = data[28:34].hex(":"), options_of(data)
        kind = options[53][0]
        log(kind, data, options)
        if NAMES[kind] in mode.get("silent", ()):
            return None
        if kind == RELEASE:
            self.taken.pop(mac, None)
        elif kind == DECLINE:
            self.declined.add(socket.inet_ntoa(options[50]))
            self.taken.pop(mac, None)
            self.offered.pop(mac, None)
        elif kind == DISCOVER:
            self.offered[mac] = self.address_for(mac, mode)
            return OFFER, self.offered[mac]
        elif kind == REQUEST:
            return self.requested(mac, options, mode)
        return None

    def requested(self, mac: str, options: dict[int, bytes], mode: dict[str, Any]) -> tuple[int, str] | None:
        if 54 in options and options[54] != socket.inet_aton(self.identity):
            self.offered.pop(mac, None)
            return None
        if mode.get("nak"):
            self.taken.pop(mac, None)
            return NAK, "0.0.0.0"
        address = self.address_for(mac, mode)
        if address in (taken for who, taken in self.taken.items() if who != mac):
            self.offered.pop(mac, None)
            return NAK, "0.0.0.0"
        self.taken[mac] = address
        self.offered.pop(mac, None)
        return ACK, address

    def save(self) -> None:
        lines = "".join(
            f"{int(time.time()) + 99} {mac} {address} * *\n" for mac, address in self.taken.items()
        )
        LEASES.with_suffix(".new").write_text(lines)
        LEASES.with_suffix(".new").replace(LEASES)


def log(kind: int, data: bytes, options: dict[int, bytes]) -> None:
    entry = {
        "kind": NAMES[kind], "mac": data[28:34].hex(":"), "ciaddr": socket.inet_ntoa(data[12:16]),
        "xid": data[4:8].hex(), "client_id": options.get(61, b"").hex(), "at": time.time(),
    }  # fmt: skip
    with LOG.open("a") as out:
        out.write(json.dumps(entry) + "\n")


def message(request: bytes, kind: int, address: str, identity: str, mode: dict[str, Any]) -> bytes:
    """The answer's bytes, as the mode wants them."""
    xid, chaddr = request[4:8], request[28:44]
    header = b"\x02\x01\x06\0" + xid + b"\0\0" + request[10:12] + request[12:16] + socket.inet_aton(address)
    options = b"\x35\x01" + bytes([kind]) + b"\x36\x04" + socket.inet_aton(identity)
    if kind != NAK:
        options += b"\x01\x04" + socket.inet_aton(mode.get("mask", "255.255.255.0"))
        options += b"\x03\x04" + socket.inet_aton(mode.get("router", ROUTER))
        options += b"\x06\x04" + socket.inet_aton(mode.get("dns", ROUTER))
        for code, key in ((51, "lease_s"), (58, "t1_s"), (59, "t2_s")):
            if key in mode:
                options += struct.pack("!BBI", code, 4, mode[key])
    if mode.get("lying"):
        options += b"\x0c\xf0short"  # a host name that claims 240 octets
    else:
        options += b"\xff"
    return (header + bytes(8) + chaddr + bytes(192) + COOKIE + options).ljust(
        0 if mode.get("lying") else 300, b"\0"
    )


def send(sock: socket.socket, answer: bytes, request: bytes, mode: dict[str, Any]) -> None:
    """To the client: at the address it has, else to everybody."""
    ciaddr = socket.inet_ntoa(request[12:16])
    where = (ciaddr if ciaddr != "0.0.0.0" else "255.255.255.255", 68)
    if mode.get("wrong_xid"):
        sock.sendto(answer[:4] + b"\xde\xad\xbe\xef" + answer[8:], where)
    if mode.get("wrong_chaddr"):
        sock.sendto(answer[:28] + b"\x02\xff\xff\xff\xff\xff" + answer[34:], where)
    if mode.get("garbage"):
        sock.sendto(os.urandom(300), where)
        # The client's filter lets pass what has its chaddr: the rest of the garbage is for the parser.
        sock.sendto(os.urandom(28) + answer[28:34] + os.urandom(266), where)
        sock.sendto(answer[:240] + os.urandom(60), where)
        sock.sendto(answer[:100], where)
    for _ in range(mode.get("copies", 1)):
        sock.sendto(answer, where)


def main() -> None:
    identity = sys.argv[1]
    server = Strange(identity)
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0\0")
    sock.bind(("0.0.0.0", 67))
    server.save()
    while True:
        request = sock.recv(2048)
        mode = json.loads(MODE.read_text())
        time.sleep(mode.get("serial_s", 0))  # slow with each message, and one at a time
        found = server.answer(request, mode)
        server.save()
        if found is not None:
            answer = message(request, *found, identity, mode)
            if "delay_s" in mode:
                threading.Timer(mode["delay_s"], send, (sock, answer, request, mode)).start()
            else:
                send(sock, answer, request, mode)


if __name__ == "__main__":
    main()
