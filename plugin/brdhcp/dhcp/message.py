"""A DHCP message (RFC 2131 §2) between bytes and fields.

Options stay raw here, one value per code: parts of a long option are joined (RFC 3396) and the ``file`` and
``sname`` fields are read as options when option 52 says so. ``Malformed`` is the only exception that
``decode`` raises, and its time is linear in the size of the datagram.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from ipaddress import IPv4Address
from typing import Any

from brdhcp.dhcp.codecs import Malformed
from brdhcp.dhcp.options import Option, decode_option

__all__ = [
    "BOOTREPLY",
    "BOOTREQUEST",
    "BROADCAST_FLAG",
    "UNSPECIFIED",
    "Malformed",
    "Message",
    "MessageType",
    "Options",
]

BOOTREQUEST, BOOTREPLY = 1, 2
ETHERNET = 1
BROADCAST_FLAG = 0x8000
UNSPECIFIED = IPv4Address(0)
MAGIC = b"\x63\x82\x53\x63"
MINIMUM = 300
"""Octets of the shortest message that BOOTP relays and old servers take (RFC 1542 §2.1)."""

_HEADER = struct.Struct("!BBBBIHHIIII16s64s128s4s")

Options = Mapping[int, bytes]
"""Raw options: code to value, in the order in which they are sent."""


class MessageType(IntEnum):
    """Option 53 (RFC 2132 §9.6)."""

    DHCPDISCOVER = 1
    DHCPOFFER = 2
    DHCPREQUEST = 3
    DHCPDECLINE = 4
    DHCPACK = 5
    DHCPNAK = 6
    DHCPRELEASE = 7
    DHCPINFORM = 8


_TYPES = {bytes((kind,)): kind for kind in MessageType}


@dataclass(frozen=True, slots=True)
class Message:
    """The fields of RFC 2131 figure 1; ``chaddr`` has ``hlen`` octets, ``sname`` and ``file`` end before
    their first NUL.
    """

    op: int = BOOTREQUEST
    htype: int = ETHERNET
    hops: int = 0
    xid: int = 0
    secs: int = 0
    flags: int = 0
    ciaddr: IPv4Address = UNSPECIFIED
    yiaddr: IPv4Address = UNSPECIFIED
    siaddr: IPv4Address = UNSPECIFIED
    giaddr: IPv4Address = UNSPECIFIED
    chaddr: bytes = b""
    sname: bytes = b""
    file: bytes = b""
    options: Options = field(default_factory=dict)

    @property
    def message_type(self) -> MessageType | None:
        """Option 53, or None for BOOTP and for types that do not concern a client of RFC 2131."""
        return _TYPES.get(self.options.get(Option.MESSAGE_TYPE, b""))

    def option(self, code: int) -> Any:
        """The decoded value of an option; None when it is absent or when its own bytes are malformed."""
        raw = self.options.get(code)
        if raw is None:
            return None
        try:
            return decode_option(code, raw)
        except Malformed:
            return None

    def encode(self) -> bytes:
        """The datagram's payload, at least 300 octets; raises ``ValueError`` for fields that do not fit."""
        try:
            header = _HEADER.pack(
                self.op,
                self.htype,
                len(self.chaddr),
                self.hops,
                self.xid,
                self.secs,
                self.flags,
                int(self.ciaddr),
                int(self.yiaddr),
                int(self.siaddr),
                int(self.giaddr),
                _fitting(self.chaddr, 16),
                _fitting(self.sname, 64),
                _fitting(self.file, 128),
                MAGIC,
            )
        except struct.error as error:
            raise ValueError(f"a field of the message does not fit: {error}") from None
        parts = [header]
        for code, value in self.options.items():
            if not Option.PAD < code < Option.END:
                raise ValueError(f"there is no option {code}")
            for at in range(0, len(value) or 1, 255):
                piece = value[at : at + 255]
                parts += (bytes((code, len(piece))), piece)
        parts.append(b"\xff")
        return b"".join(parts).ljust(MINIMUM, b"\0")

    @classmethod
    def decode(cls, data: bytes) -> Message:
        """Read a datagram's payload; raises ``Malformed``."""
        if len(data) < _HEADER.size:
            raise Malformed(f"{len(data)} octets: a DHCP message has {_HEADER.size} before its options")
        (
            op,
            htype,
            hlen,
            hops,
            xid,
            secs,
            flags,
            ciaddr,
            yiaddr,
            siaddr,
            giaddr,
            chaddr,
            sname,
            file,
            magic,
        ) = _HEADER.unpack_from(data)
        if magic != MAGIC:
            raise Malformed("no DHCP magic cookie after the BOOTP header")
        if op not in (BOOTREQUEST, BOOTREPLY) or hlen > 16:
            raise Malformed(f"op {op}, hlen {hlen}: not a BOOTP message")
        pieces: dict[int, list[bytes]] = {}
        _scan(data[_HEADER.size :], pieces, "options")
        overload = pieces.get(Option.OVERLOAD, [b"\0"])[0]
        if overload in (b"\1", b"\3"):
            _scan(file, pieces, "file")
            file = b""
        if overload in (b"\2", b"\3"):
            _scan(sname, pieces, "sname")
            sname = b""
        return cls(
            op, htype, hops, xid, secs, flags, IPv4Address(ciaddr), IPv4Address(yiaddr), IPv4Address(siaddr),
            IPv4Address(giaddr), chaddr[:hlen], sname.partition(b"\0")[0], file.partition(b"\0")[0],
            {code: parts[0] if len(parts) == 1 else b"".join(parts) for code, parts in pieces.items()},
        )  # fmt: skip

    def __str__(self) -> str:
        kind = self.message_type
        address = next(
            (a for a in (self.yiaddr, self.ciaddr, self.option(Option.REQUESTED_ADDRESS)) if a), None
        )
        server = self.option(Option.SERVER_ID)
        words = [kind.name if kind else "BOOTP", f"xid {self.xid:#010x}", f"chaddr {self.chaddr.hex(':')}"]
        words += [f"address {address}"] if address and int(address) else []
        words += [f"server {server}"] if server else []
        return " ".join(words)


def _fitting(value: bytes, size: int) -> bytes:
    if len(value) > size:
        raise ValueError(f"{len(value)} octets in a field of {size}")
    return value


def _scan(area: bytes, pieces: dict[int, list[bytes]], where: str) -> None:
    """Add the options of one area to ``pieces``; an area may end without an end option, but not inside an
    option.
    """
    at, end = 0, len(area)
    while at < end:
        code = area[at]
        if code == Option.END:
            return
        at += 1
        if code == Option.PAD:
            continue
        if at >= end or at + 1 + area[at] > end:
            raise Malformed(f"option {code} in {where} claims octets past the end of the message")
        length = area[at]
        pieces.setdefault(code, []).append(area[at + 1 : at + 1 + length])
        at += 1 + length
