"""Links and addresses straight from the kernel's bytes: what a node with a thousand ports is looked at with.

pyroute2 decodes every attribute of a link, some hundred of them, in a millisecond each; an ADD looks at several links
and a node may have thousands. So the few that a :class:`Link` holds are read here, by the numbers of linux/if_link.h;
the names of a bridge's and a port's settings still come from pyroute2's tables.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from ipaddress import IPv4Interface
from types import MappingProxyType
from typing import Literal

from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg

from brdhcp.netlink.observe import Link
from brdhcp.netlink.rtnetlink import HEADER

IFINFO = struct.Struct("=BxHiII")
"""struct ifinfomsg: family, type, index, flags, change."""
IFADDR = struct.Struct("=BBBBI")
"""struct ifaddrmsg: family, prefix length, flags, scope, index."""
ATTRIBUTE = struct.Struct("=HH")
TYPE_MASK = 0x3FFF
IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_LINK, IFLA_MASTER, IFLA_TXQLEN = 1, 3, 4, 5, 10, 13
IFLA_OPERSTATE, IFLA_LINKINFO, IFLA_IFALIAS, IFLA_PROMISCUITY, IFLA_CARRIER, IFLA_LINK_NETNSID = (
    16,
    18,
    20,
    30,
    33,
    37,
)
INFO_KIND, INFO_DATA, INFO_SLAVE_KIND, INFO_SLAVE_DATA = 1, 2, 4, 5
IFA_LOCAL = 2
OPERSTATES = ("unknown", "notpresent", "down", "lowerlayerdown", "testing", "dormant", "up")

Name = Callable[[int], str | None]


def attributes(data: bytes, start: int, end: int) -> dict[int, bytes]:
    """Netlink attributes by number; the last one of a number wins."""
    return dict(_attributes(data, start, end))


def _attributes(data: bytes, start: int, end: int) -> Iterator[tuple[int, bytes]]:
    while start + 4 <= end:
        length, kind = ATTRIBUTE.unpack_from(data, start)
        if length < 4:
            return
        yield kind & TYPE_MASK, data[start + 4 : start + length]
        start += (length + 3) & ~3


def index_and_name(message: bytes) -> tuple[int, str]:
    """Of a link message, header included."""
    for kind, value in _attributes(message, HEADER.size + IFINFO.size, len(message)):
        if kind == IFLA_IFNAME:
            return IFINFO.unpack_from(message, HEADER.size)[2], _text(value)
    return IFINFO.unpack_from(message, HEADER.size)[2], ""


def link(message: bytes, name: Name) -> Link:
    """A link message, header included; ``name`` turns an index into a name, for the master."""
    _, _, index, flags, _ = IFINFO.unpack_from(message, HEADER.size)
    found = attributes(message, HEADER.size + IFINFO.size, len(message))
    info_data = found.get(IFLA_LINKINFO, b"")
    info = attributes(info_data, 0, len(info_data))
    kind, slave_kind = _text(info.get(INFO_KIND, b"")), _text(info.get(INFO_SLAVE_KIND, b""))
    master = _number(found, IFLA_MASTER)
    operstate = found.get(IFLA_OPERSTATE, b"\0")[0]
    address = found.get(IFLA_ADDRESS, b"")
    return Link(
        name=_text(found[IFLA_IFNAME]), index=index, kind=kind, address=address.hex(":"),
        mtu=_number(found, IFLA_MTU) or 0, flags=flags, carrier=bool(found.get(IFLA_CARRIER, b"\0")[0]),
        operstate=OPERSTATES[operstate] if operstate < len(OPERSTATES) else "unknown",
        master=name(master) if master else None,
        alias=_text(found[IFLA_IFALIAS]) if IFLA_IFALIAS in found else None,
        parent=_number(found, IFLA_LINK), link_netnsid=_number(found, IFLA_LINK_NETNSID), slave_kind=slave_kind,
        txqlen=_number(found, IFLA_TXQLEN) or 0, promiscuity=_number(found, IFLA_PROMISCUITY) or 0,
        bridge=_settings(info.get(INFO_DATA, b""), "bridge") if kind == "bridge" else _NOTHING,
        port=_settings(info.get(INFO_SLAVE_DATA, b""), "port") if slave_kind == "bridge" else _NOTHING,
    )  # fmt: skip


def ipv4_address(message: bytes) -> tuple[int, IPv4Interface] | None:
    """The link's index and the address of an address message, header included; None for one of IPv6."""
    family, length, _, _, index = IFADDR.unpack_from(message, HEADER.size)
    local = attributes(message, HEADER.size + IFADDR.size, len(message)).get(IFA_LOCAL, b"")
    if family != 2 or len(local) != 4:
        return None
    return index, IPv4Interface((local, length))


_NOTHING: Mapping[str, int] = MappingProxyType({})


def _settings(data: bytes, what: str) -> Mapping[str, int]:
    known = _names(what)
    pairs = {}
    for kind, value in _attributes(data, 0, len(data)):
        if kind in known:
            name, order = known[kind]
            pairs[name] = int.from_bytes(value, order)
    return MappingProxyType(pairs)


@cache
def _names(what: str) -> dict[int, tuple[str, Literal["big", "little"]]]:
    """The whole numbers among IFLA_BR_* (``bridge``) or IFLA_BRPORT_* (``port``): number to name and byte order.

    Timers run and are no setting.
    """
    info = ifinfmsg.ifinfo
    nested, prefix = (
        (info.bridge_data, "IFLA_BR_") if what == "bridge" else (info.bridge_slave_data, "IFLA_BRPORT_")
    )
    found: dict[int, tuple[str, Literal["big", "little"]]] = {}
    for number, (name, kind) in enumerate(nested.nla_map):
        key = name.removeprefix(prefix).lower()
        if not key.endswith(("_timer", "pad")) and kind in ("uint8", "uint16", "uint32", "uint64", "be16"):
            found[number] = key, "big" if kind == "be16" else sys.byteorder
    return found


def _number(found: Mapping[int, bytes], kind: int) -> int | None:
    """A 32-bit number (a namespace id is signed)."""
    value = found.get(kind)
    if value is None:
        return None
    return int(struct.unpack("=i" if kind == IFLA_LINK_NETNSID else "=I", value)[0])


def _text(value: bytes) -> str:
    return value.rstrip(b"\0").decode(errors="replace")
