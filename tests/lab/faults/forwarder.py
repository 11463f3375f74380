"""A cable with a will of its own: carries frames between two interfaces twice, in swapped pairs, or late.

``python -m tests.lab.faults.forwarder A B twice|swapped|late``. Only DHCP is treated so; the rest passes as it comes.
"""

from __future__ import annotations

import selectors
import socket
import sys
import time
from dataclasses import dataclass, field

ETH_P_ALL, OUTGOING = 3, 4
LATE_S = 0.12


@dataclass
class Way:
    """One direction: what is held back, and until when."""

    out: socket.socket
    manner: str
    held: list[tuple[float, bytes]] = field(default_factory=list)

    def carry(self, frame: bytes) -> None:
        if not is_dhcp(frame):
            self.out.send(frame)
            return
        # A sender on this machine leaves the checksum to a card that is not there: 0 says that there is none.
        frame = frame[:40] + b"\0\0" + frame[42:]
        if self.manner == "twice":
            self.out.send(frame)
            self.out.send(frame)
        elif self.manner == "late":
            self.held.append((time.monotonic() + LATE_S, frame))
        elif self.held:
            self.out.send(frame)
            self.out.send(self.held.pop()[1])
        else:
            self.held.append((time.monotonic() + LATE_S, frame))

    def due(self) -> None:
        while self.held and self.held[0][0] <= time.monotonic():
            self.out.send(self.held.pop(0)[1])


def is_dhcp(frame: bytes) -> bool:
    """IPv4, UDP, to port 67 or 68."""
    return frame[12:14] == b"\x08\0" and frame[23] == 17 and frame[36:38] in (b"\0\x43", b"\0\x44")


def opened(name: str) -> socket.socket:
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    sock.bind((name, ETH_P_ALL))
    return sock


def main() -> None:
    a, b = opened(sys.argv[1]), opened(sys.argv[2])
    ways = {a: Way(b, sys.argv[3]), b: Way(a, sys.argv[3])}
    ready = selectors.DefaultSelector()
    for sock in ways:
        ready.register(sock, selectors.EVENT_READ, sock)
    print("ready", flush=True)
    while True:
        for key, _ in ready.select(0.01):
            sock = key.data
            frame, where = sock.recvfrom(65536)
            if where[2] != OUTGOING:
                ways[sock].carry(frame)
        for way in ways.values():
            way.due()


if __name__ == "__main__":
    main()
