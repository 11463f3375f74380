"""A thousand echo requests a second (RFC 792, RFC 4443) to one address, until stdin ends; what was lost, as JSON.

``longest_gap_ms`` is the longest time between two requests that were answered with at least one between them that was
not, that is how long the target was away at most.
"""

from __future__ import annotations

import json
import select
import socket
import struct
import sys
import time

EVERY_S, PATIENCE_S = 0.001, 0.5


def main(target: str) -> None:
    """Prints ``ready`` after the first answer, and the result at the end."""
    v6 = ":" in target
    family, protocol = (
        (socket.AF_INET6, socket.IPPROTO_ICMPV6) if v6 else (socket.AF_INET, socket.IPPROTO_ICMP)
    )
    sock = socket.socket(family, socket.SOCK_DGRAM, protocol)
    sock.setsockopt(socket.SOL_SOCKET, 33, 1 << 24)  # SO_RCVBUFFORCE: a slow moment of ours is no loss
    sock.connect((target, 0))
    sock.setblocking(False)
    sent: dict[int, float] = {}
    answered: dict[int, float] = {}
    number, told, ending = 0, False, float("inf")
    due = time.monotonic()
    while (now := time.monotonic()) < ending:
        if now >= due and ending == float("inf"):
            sock.send(struct.pack("!BBHHHI", 128 if v6 else 8, 0, 0, 0, number & 0xFFFF, number))
            sent[number] = now
            number, due = number + 1, max(due + EVERY_S, now)
        wait = max(0.0, min(due if ending == float("inf") else ending, ending) - time.monotonic())
        ready = select.select([sock, sys.stdin] if ending == float("inf") else [sock], [], [], wait)[0]
        while sock in ready:
            try:
                answered.setdefault(struct.unpack_from("!I", sock.recv(256), 8)[0], time.monotonic())
            except BlockingIOError:
                break
        if answered and not told:
            told = True
            print("ready", flush=True)
        if sys.stdin in ready:
            ending = time.monotonic() + PATIENCE_S
    print(json.dumps(result(sent, answered)))


def result(sent: dict[int, float], answered: dict[int, float]) -> dict[str, float]:
    """How many were sent and lost, and the longest gap."""
    gap, last = 0.0, 0
    for number in sorted(answered):
        if number - last > 1:
            gap = max(gap, sent[number] - sent[last])
        last = number
    return {"sent": len(sent), "lost": len(sent) - len(answered), "longest_gap_ms": round(gap * 1000, 3)}


if __name__ == "__main__":
    main(sys.argv[1])
