"""The shapes an option's bytes can have (RFC 2132 and its kin), each as a pair of pure functions on one small
object.

``decode`` takes the whole value of an option (after RFC 3396 concatenation) and raises ``Malformed`` and
nothing else; its time and its result are bounded by a constant times the size of the input. ``encode`` raises
``ValueError`` for a value that has no such bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

MAX_NAME = 255
"""Octets of a domain name on the wire (RFC 1035 §2.3.4)."""
MAX_JUMPS = 127
"""Compression pointers followed for one name: as many as a name can have labels."""
MAX_SEARCH = 8192
"""Characters of all names of one search list once expanded; without it a pointer bomb would grow a
hundredfold.
"""

NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")


class Malformed(ValueError):
    """Bytes from the LAN that are not what they claim to be; the message says where and why."""


class Route(NamedTuple):
    """A route of option 33, 121 or 249; ``router`` 0.0.0.0 means that the destination is on the link (RFC
    3442).
    """

    destination: IPv4Network
    router: IPv4Address


class Codec(Protocol[T_co]):
    """Two pure functions: an option's bytes to its value, and back."""

    def decode(self, raw: bytes) -> T_co: ...

    def encode(self, value: Any) -> bytes: ...


class Raw:
    """Bytes that mean something only to the two ends (43, 60, 61, 77, 81)."""

    def decode(self, raw: bytes) -> bytes:
        return raw

    def encode(self, value: bytes | str) -> bytes:
        return value.encode() if isinstance(value, str) else bytes(value)


class Unsigned:
    """An unsigned integer of 1, 2 or 4 octets, at least ``lowest``."""

    def __init__(self, octets: int, lowest: int = 0) -> None:
        self.octets = octets
        self.lowest = lowest

    def decode(self, raw: bytes) -> int:
        if len(raw) != self.octets:
            raise Malformed(f"{len(raw)} octets where an integer has {self.octets}")
        value = int.from_bytes(raw, "big")
        if value < self.lowest:
            raise Malformed(f"{value} is below the least legal value {self.lowest}")
        return value

    def encode(self, value: int) -> bytes:
        if not self.lowest <= value < 1 << 8 * self.octets:
            raise ValueError(f"{value} does not fit {self.octets} octets from {self.lowest} up")
        return value.to_bytes(self.octets, "big")


class Address:
    """One IPv4 address."""

    def decode(self, raw: bytes) -> IPv4Address:
        if len(raw) != 4:
            raise Malformed(f"{len(raw)} octets where an IPv4 address has 4")
        return IPv4Address(raw)

    def encode(self, value: IPv4Address | str) -> bytes:
        return IPv4Address(value).packed


class Addresses:
    """One or more IPv4 addresses, most preferred first."""

    def decode(self, raw: bytes) -> tuple[IPv4Address, ...]:
        if not raw or len(raw) % 4:
            raise Malformed(f"{len(raw)} octets where a list of IPv4 addresses has a multiple of 4")
        return tuple(map(IPv4Address, struct.unpack(f"!{len(raw) // 4}I", raw)))

    def encode(self, value: Iterable[IPv4Address | str]) -> bytes:
        raw = b"".join(IPv4Address(address).packed for address in value)
        if not raw:
            raise ValueError("a list of addresses needs one address at least")
        return raw


class Codes:
    """Option codes (55)."""

    def decode(self, raw: bytes) -> tuple[int, ...]:
        if not raw:
            raise Malformed("an empty list of option codes")
        return tuple(raw)

    def encode(self, value: Iterable[int]) -> bytes:
        raw = bytes(value)
        if not raw:
            raise ValueError("a list of option codes needs one code at least")
        return raw


class Text:
    """Printable text; a trailing NUL is tolerated (RFC 2132 §2), a control character is not: it ends up in
    log lines.
    """

    def decode(self, raw: bytes) -> str:
        try:
            text = raw.rstrip(b"\0").decode()
        except UnicodeDecodeError as error:
            raise Malformed(f"text that is not UTF-8: {error.reason}") from None
        if not text or not text.isprintable():
            raise Malformed("text that is empty or holds control characters")
        return text

    def encode(self, value: str) -> bytes:
        if not value or not value.isprintable():
            raise ValueError(f"not printable text: {value!r}")
        return value.encode()


class Name(Text):
    """A domain or host name in its text form. It ends up in resolv.conf, so nothing but name characters gets
    through.
    """

    def decode(self, raw: bytes) -> str:
        text = super().decode(raw).rstrip(".")
        fault = name_fault(text)
        if fault:
            raise Malformed(fault)
        return text

    def encode(self, value: str) -> bytes:
        fault = name_fault(value)
        if fault:
            raise ValueError(fault)
        return value.encode()


def name_fault(name: str) -> str:
    """Why ``name`` is no domain name (RFC 1035 §2.3.1, underscores allowed), or the empty string."""
    if not 0 < len(name) <= MAX_NAME - 2:
        return f"a domain name of {len(name)} characters"
    for label in name.split("."):
        if not 0 < len(label) <= 63:
            return f"a label of {len(label)} characters in the name {name[:80]!r}"
        if not NAME_CHARACTERS.issuperset(label):
            return f"illegal characters in the name {name[:80]!r}"
    return ""


class StaticRoutes:
    """Option 33 (RFC 2132 §5.8): pairs of destination and router, of the age of address classes."""

    def decode(self, raw: bytes) -> tuple[Route, ...]:
        if not raw or len(raw) % 8:
            raise Malformed(f"{len(raw)} octets where static routes have a multiple of 8")
        routes = []
        for destination, router in struct.iter_unpack("!II", raw):
            if not destination:
                raise Malformed("a default route among the static routes (RFC 2132 §5.8 forbids it)")
            routes.append(
                Route(IPv4Network((destination, classful_prefix(destination))), IPv4Address(router))
            )
        return tuple(routes)

    def encode(self, value: Iterable[Route]) -> bytes:
        raw = b""
        for route in value:
            destination = int(route.destination.network_address)
            if not destination or classful_prefix(destination) != route.destination.prefixlen:
                raise ValueError(f"option 33 has no mask, so it cannot say {route.destination}")
            raw += route.destination.network_address.packed + route.router.packed
        if not raw:
            raise ValueError("a list of routes needs one route at least")
        return raw


def classful_prefix(destination: int) -> int:
    """The prefix length that an address without a mask stands for: its class's, or 32 when it
    names a host.
    """
    prefix = 8 if destination < 0x8000_0000 else 16 if destination < 0xC000_0000 else 24
    return 32 if destination & (0xFFFF_FFFF >> prefix) else prefix


class ClasslessRoutes:
    """Options 121 and 249 (RFC 3442): prefix length, the octets it covers, router."""

    def decode(self, raw: bytes) -> tuple[Route, ...]:
        routes = []
        at = 0
        while at < len(raw):
            prefix = raw[at]
            covered = (prefix + 7) // 8
            end = at + 1 + covered + 4
            if prefix > 32 or end > len(raw):
                raise Malformed(
                    f"classless route at octet {at}: prefix length {prefix}, {len(raw) - at} octets left"
                )
            destination = int.from_bytes(raw[at + 1 : at + 1 + covered].ljust(4, b"\0"), "big")
            destination &= 0xFFFF_FFFF << (32 - prefix)
            network = IPv4Network((destination & 0xFFFF_FFFF, prefix))
            routes.append(Route(network, IPv4Address(raw[at + 1 + covered : end])))
            at = end
        if not routes:
            raise Malformed("no classless route at all")
        return tuple(routes)

    def encode(self, value: Iterable[Route]) -> bytes:
        parts = []
        for network, router in value:
            covered = (network.prefixlen + 7) // 8
            parts.append(
                bytes((network.prefixlen,)) + network.network_address.packed[:covered] + router.packed
            )
        if not parts:
            raise ValueError("a list of routes needs one route at least")
        return b"".join(parts)


class SearchList:
    """Option 119 (RFC 3397): domain names in the compressed form of RFC 1035 §4.1.4, offsets from the
    option's start.
    """

    def decode(self, raw: bytes) -> tuple[str, ...]:
        names = []
        at = size = 0
        while at < len(raw):
            name, at = _expand(raw, at)
            fault = name_fault(name)
            if fault:
                raise Malformed(fault)
            size += len(name)
            if size > MAX_SEARCH:
                raise Malformed(f"a search list of more than {MAX_SEARCH} characters")
            names.append(name)
        if not names:
            raise Malformed("an empty search list")
        return tuple(names)

    def encode(self, value: Iterable[str]) -> bytes:
        raw = bytearray()
        known: dict[str, int] = {}
        for name in value:
            fault = name_fault(name)
            if fault:
                raise ValueError(fault)
            rest = name
            while rest and rest not in known:
                if len(raw) < 0x4000:
                    known[rest] = len(raw)
                label, _, rest = rest.partition(".")
                raw += bytes((len(label),)) + label.encode()
            raw += (0xC000 | known[rest]).to_bytes(2, "big") if rest else b"\0"
        if not raw:
            raise ValueError("a search list needs one name at least")
        return bytes(raw)


def _expand(raw: bytes, start: int) -> tuple[str, int]:
    """The name that begins at ``start`` and the offset behind it; pointers only lead backwards, at most
    MAX_JUMPS.
    """
    labels: list[str] = []
    at, after, floor = start, -1, start
    size = jumps = 0
    while True:
        if at >= len(raw):
            raise Malformed(f"the name at octet {start} runs past the end")
        length = raw[at]
        if length >= 0xC0:
            target = int.from_bytes(raw[at : at + 2], "big") & 0x3FFF
            jumps += 1
            if at + 2 > len(raw) or target >= floor or jumps > MAX_JUMPS:
                raise Malformed(f"the name at octet {start} has a pointer that does not lead backwards")
            after = at + 2 if after < 0 else after
            at = floor = target
            continue
        if length >= 0x40:
            raise Malformed(f"the name at octet {start} has a label of an unknown kind")
        at += 1
        if not length:
            return ".".join(labels), at if after < 0 else after
        label = raw[at : at + length]
        size += length + 1
        if len(label) < length or size >= MAX_NAME:
            raise Malformed(f"the name at octet {start} is cut or too long")
        labels.append(label.decode("latin-1"))
        at += length


class Named(NamedTuple, Generic[T]):
    """A row of the option table: the code, the name it goes by in configurations, the shape of its value."""

    code: int
    name: str
    codec: Codec[T]


RAW, TEXT, NAME, ADDRESS, ADDRESSES = Raw(), Text(), Name(), Address(), Addresses()
U8, U16, U32 = Unsigned(1), Unsigned(2), Unsigned(4)
CODES, STATIC_ROUTES, CLASSLESS_ROUTES, SEARCH_LIST = Codes(), StaticRoutes(), ClasslessRoutes(), SearchList()
