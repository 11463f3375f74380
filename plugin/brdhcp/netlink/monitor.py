"""Links as the kernel lets go of them: its own word (RTM_DELLINK to RTNLGRP_LINK) that one is out of sight."""

from __future__ import annotations

import socket

from brdhcp.netlink.links import IFINFO, index_and_name
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

    def names(self) -> set[str]:
        """The names of the links that have gone since the last call, as far as the kernel had room to say it."""
        found: set[str] = set()
        while True:
            try:
                data = self._sock.recv(1 << 16)
            except OSError:  # nothing more, or more than there was room for
                return found
            for kind, _, _, message in messages(data):
                # A port that leaves its bridge is told of by the same number, with the family of bridges.
                if kind == RTM_DELLINK and IFINFO.unpack_from(message, HEADER.size)[0] == socket.AF_UNSPEC:
                    found.add(index_and_name(message)[1])
