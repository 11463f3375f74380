"""Default routes that the kernel takes for its own: those that router advertisements keep alive (RFC 4861 §6.3.4).

A route that was added by netlink is somebody else's in the eyes of the kernel, even with ``proto ra``: at the next
advertisement it fails to add its own beside it, gives up the whole message, and the node's addresses are not prolonged
any more. Only the older ioctl can say that a route is the kernel's (linux/ipv6_route.h).
"""

from __future__ import annotations

import errno
import fcntl
import socket
import struct

from brdhcp.netlink.change import DefaultRouter

SIOCADDRT = 0x890B
RTF_UP, RTF_GATEWAY, RTF_DEFAULT, RTF_ADDRCONF, RTF_EXPIRES = 0x1, 0x2, 0x10000, 0x40000, 0x400000
RTF_PREF = {1: 0x08000000, 3: 0x18000000}
"""RFC 4191 preference, high and low, where the flags keep it."""
USER_HZ = 100
ND_ROUTER_SOLICIT, SOURCE_LINK_LAYER_ADDRESS = 133, 1
ALL_ROUTERS = "ff02::2"


def add(router: DefaultRouter) -> None:
    """Add the route, or leave it as it is when it is there. Raises OSError."""
    flags = RTF_UP | RTF_GATEWAY | RTF_DEFAULT | RTF_ADDRCONF | RTF_PREF.get(router.pref or 0, 0)
    flags |= RTF_EXPIRES if router.expires is not None else 0
    message = struct.pack(
        "@16s16s16sIHHILIi", b"", b"", socket.inet_pton(socket.AF_INET6, router.gateway), 0, 0, 0, router.metric,
        (router.expires or 0) * USER_HZ, flags, socket.if_nametoindex(router.dev),
    )  # fmt: skip
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        try:
            fcntl.ioctl(sock, SIOCADDRT, message)
        except FileExistsError:
            return
        except OSError as error:
            raise OSError(error.errno or errno.EIO, error.strerror) from error


def solicit(dev: str, mac: str) -> None:
    """Ask the routers on ``dev`` to announce themselves now (RFC 4861 §4.1); nobody has to answer. Raises OSError."""
    source = struct.pack("!BB", SOURCE_LINK_LAYER_ADDRESS, 1) + bytes.fromhex(mac.replace(":", ""))
    with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as sock:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
        index = socket.if_nametoindex(dev)
        sock.sendto(struct.pack("!BBHI", ND_ROUTER_SOLICIT, 0, 0, 0) + source, (ALL_ROUTERS, 0, 0, index))
