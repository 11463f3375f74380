"""A raw NETLINK_ROUTE socket: batches out, acknowledgements and dumps in (netlink(7)). Bytes only, no
names."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator, Sequence

SOL_NETLINK, NETLINK_CAP_ACK, NETLINK_EXT_ACK, NETLINK_GET_STRICT_CHK = 270, 10, 11, 12
NLMSG_ERROR, NLMSG_DONE = 2, 3
NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR = 0x1, 0x4, 0x300, 0x10
NLM_F_CAPPED, NLM_F_ACK_TLVS = 0x100, 0x200
NLMSGERR_ATTR_MSG = 1
HEADER = struct.Struct("=IHHII")
"""struct nlmsghdr: length, type, flags, sequence number, port."""

Request = tuple[int, int, bytes]
"""RTM_* type, NLM_F_* flags and the body after the header."""


class RouteSocket:
    """Opened in the namespace of the thread that makes it, and stays there. Safe to share between threads."""

    def __init__(self) -> None:
        self._sock = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE
        )
        for option in (NETLINK_EXT_ACK, NETLINK_CAP_ACK, NETLINK_GET_STRICT_CHK):
            try:
                self._sock.setsockopt(SOL_NETLINK, option, 1)
            except OSError:
                continue  # an older kernel: less is said, or more is dumped than was asked for
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self._sequence = 0
        self._lock = threading.Lock()

    def close(self) -> None:
        self._sock.close()

    def exchange(self, requests: Sequence[Request]) -> list[tuple[int, str]]:
        """All requests in one ``send(2)``; for each ``(errno or 0, what the kernel says about it)``."""
        with self._lock:
            first = self._sequence + 1
            self._sequence += len(requests)
            self._sock.send(b"".join(
                _framed(kind, flags | NLM_F_REQUEST | NLM_F_ACK, first + place, body)
                for place, (kind, flags, body) in enumerate(requests)
            ))  # fmt: skip
            answers: dict[int, tuple[int, str]] = {}
            while len(answers) < len(requests):
                for kind, flags, sequence, message in self._receive():
                    if kind == NLMSG_ERROR and sequence >= first:
                        answers[sequence - first] = _error(flags, message)
            return [answers[place] for place in range(len(requests))]

    def get(self, kind: int, body: bytes) -> bytes | None:
        """The one message (header included) that answers a get request; None when the kernel says an
        error."""
        with self._lock:
            self._sequence += 1
            self._sock.send(_framed(kind, NLM_F_REQUEST, self._sequence, body))
            while True:
                for kind_, _, sequence, message in self._receive():
                    if sequence == self._sequence:
                        return None if kind_ == NLMSG_ERROR else message

    def dump(self, kind: int, body: bytes) -> list[bytes]:
        """Every message (header included) of a dump; asked again when a change came in between. Raises
        OSError."""
        with self._lock:
            while True:
                self._sequence += 1
                self._sock.send(_framed(kind, NLM_F_REQUEST | NLM_F_DUMP, self._sequence, body))
                found, whole = self._collect()
                if whole:
                    return found

    def _collect(self) -> tuple[list[bytes], bool]:
        found: list[bytes] = []
        whole = True
        while True:
            for kind, flags, sequence, message in self._receive():
                if sequence != self._sequence:
                    continue
                whole = whole and not flags & NLM_F_DUMP_INTR
                if kind == NLMSG_DONE:
                    return found, whole
                if kind == NLMSG_ERROR:
                    number, said = _error(flags, message)
                    raise OSError(number, said or "netlink dump refused")
                found.append(message)

    def _receive(self) -> Iterator[tuple[int, int, int, bytes]]:
        return messages(self._sock.recv(1 << 18))


def messages(data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """``(type, flags, sequence, message)`` for each message of one datagram; the message has its header."""
    offset = 0
    while offset + HEADER.size <= len(data):
        length, kind, flags, sequence, _ = HEADER.unpack_from(data, offset)
        yield kind, flags, sequence, data[offset : offset + length]
        offset += (length + 3) & ~3


def _framed(kind: int, flags: int, sequence: int, body: bytes) -> bytes:
    return HEADER.pack(HEADER.size + len(body), kind, flags, sequence, 0) + body + b"\0" * (-len(body) % 4)


def _error(flags: int, message: bytes) -> tuple[int, str]:
    """struct nlmsgerr, and NLMSGERR_ATTR_MSG behind it when NETLINK_EXT_ACK is spoken."""
    number = -struct.unpack_from("=i", message, HEADER.size)[0]
    said = ""
    if flags & NLM_F_ACK_TLVS:
        echoed = struct.unpack_from("=I", message, HEADER.size + 4)[0]
        offset = HEADER.size + 4 + (HEADER.size if flags & NLM_F_CAPPED else (echoed + 3) & ~3)
        while offset + 4 <= len(message):
            length, kind = struct.unpack_from("=HH", message, offset)
            if kind & 0x3FFF == NLMSGERR_ATTR_MSG:
                said = message[offset + 4 : offset + length].rstrip(b"\0").decode(errors="replace")
            offset += max(4, (length + 3) & ~3)
    return number, said
