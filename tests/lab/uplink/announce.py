"""A router that announces itself (RFC 4861 §6.2): at once, when it is asked, and for every line on stdin.

Arguments: the interface, the prefix (a /64) and the lifetime of everything in seconds.
"""

from __future__ import annotations

import select
import socket
import struct
import sys

ND_ROUTER_SOLICIT, ND_ROUTER_ADVERT, PREFIX_INFORMATION, ON_LINK_AND_AUTONOMOUS = 133, 134, 3, 0xC0


def main(dev: str, prefix: str, lifetime: int) -> None:
    """Until stdin ends."""
    index = socket.if_nametoindex(dev)
    sock = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, dev.encode())
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
    routers = socket.inet_pton(socket.AF_INET6, "ff02::2") + struct.pack("=I", index)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, routers)
    header = struct.pack("!BBHBBHII", ND_ROUTER_ADVERT, 0, 0, 64, 0, lifetime, 0, 0)
    option = struct.pack("!BBBBIII", PREFIX_INFORMATION, 4, 64, ON_LINK_AND_AUTONOMOUS, lifetime, lifetime, 0)
    message = header + option + socket.inet_pton(socket.AF_INET6, prefix)
    asked = True
    while True:
        if asked:
            sock.sendto(message, ("ff02::1", 0, 0, index))
            print("announced", flush=True)
        ready = select.select([sock, sys.stdin], [], [])[0]
        if sys.stdin in ready and not sys.stdin.readline():
            return
        asked = sys.stdin in ready or sock.recv(1500)[0] == ND_ROUTER_SOLICIT


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
