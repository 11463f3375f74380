"""Links as the kernel lets go of them: its own word (RTM_DELLINK to RTNLGRP_LINK) that one is out of sight."""

from __future__ import annotations

import socket

from brdhcp.netlink.links import IFINFO
from brdhcp.netlink.rtnetlink import HEADER, messages

RTM_DELLINK = 17
RTMGRP_LINK = 1
"""linux/rtnetlink.h"""


class DeletedLinks:
    """A subscription in the namespace of the thread that makes it. Never blocks; ``fileno`` is for an event loop."""

    def __init__(self) -> None:
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        self._sock = socket.socket(socket.AF_NETLINK, kind, socket.NETLINK_ROUTE)
        self._sock.bind((0, RTMGRP_LINK))

    def fileno(self) -> int:
        return self._sock.fileno()

    def close(self) -> None:
        self._sock.close()

    def indices(self) -> set[int]:
        """Of the links that have gone since the last call, as far as the kernel had room to say it."""
        found: set[int] = set()
        while True:
            try:
                data = self._sock.recv(1 << 16)
            except OSError:  # nothing more, or more than there was room for
                return found
            for kind, _, _, message in messages(data):
                if kind != RTM_DELLINK:
                    continue
                family, _, index, _, _ = IFINFO.unpack_from(message, HEADER.size)
                # A port that leaves its bridge is told of by the same number, with the family of bridges.
                if family == socket.AF_UNSPEC:
                    found.add(index)
