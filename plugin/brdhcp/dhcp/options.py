"""The options that are understood, as one table; and the names of ``request`` and ``provide`` in a
configuration.

Sources: RFC 2132, RFC 3004 (77), RFC 4702 (81), RFC 3397 (119), RFC 3442 (121, and 249 as Windows numbers
it). Names are those of the reference dhcp plugin, and of dhcp-options(5) where that plugin has none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import Any

from brdhcp.dhcp.codecs import (
    ADDRESS,
    ADDRESSES,
    CLASSLESS_ROUTES,
    CODES,
    NAME,
    RAW,
    SEARCH_LIST,
    STATIC_ROUTES,
    TEXT,
    U8,
    U32,
    Malformed,
    Named,
    Route,
    Unsigned,
)

__all__ = [
    "OPTIONS",
    "Malformed",
    "Option",
    "Route",
    "decode_option",
    "encode_option",
    "option_code",
    "option_name",
]


class Option(IntEnum):
    """Option codes by the names they have in this package."""

    PAD = 0
    SUBNET_MASK = 1
    ROUTERS = 3
    DNS = 6
    HOST_NAME = 12
    DOMAIN_NAME = 15
    MTU = 26
    BROADCAST = 28
    STATIC_ROUTES = 33
    NTP = 42
    VENDOR_SPECIFIC = 43
    REQUESTED_ADDRESS = 50
    LEASE_TIME = 51
    OVERLOAD = 52
    MESSAGE_TYPE = 53
    SERVER_ID = 54
    PARAMETER_REQUEST_LIST = 55
    MESSAGE = 56
    MAX_MESSAGE_SIZE = 57
    RENEWAL_TIME = 58
    REBINDING_TIME = 59
    VENDOR_CLASS = 60
    CLIENT_ID = 61
    TFTP_SERVER = 66
    BOOT_FILE = 67
    USER_CLASS = 77
    CLIENT_FQDN = 81
    DOMAIN_SEARCH = 119
    CLASSLESS_ROUTES = 121
    MS_CLASSLESS_ROUTES = 249
    END = 255


OPTIONS: Mapping[int, Named[Any]] = {
    row.code: row
    for row in (
        Named(Option.SUBNET_MASK, "subnet-mask", ADDRESS),
        Named(Option.ROUTERS, "routers", ADDRESSES),
        Named(Option.DNS, "domain-name-servers", ADDRESSES),
        Named(Option.HOST_NAME, "host-name", NAME),
        Named(Option.DOMAIN_NAME, "domain-name", NAME),
        Named(Option.MTU, "interface-mtu", Unsigned(2, lowest=68)),
        Named(Option.BROADCAST, "broadcast-address", ADDRESS),
        Named(Option.STATIC_ROUTES, "static-routes", STATIC_ROUTES),
        Named(Option.NTP, "ntp-servers", ADDRESSES),
        Named(Option.VENDOR_SPECIFIC, "vendor-encapsulated-options", RAW),
        Named(Option.REQUESTED_ADDRESS, "dhcp-requested-address", ADDRESS),
        Named(Option.LEASE_TIME, "dhcp-lease-time", U32),
        Named(Option.OVERLOAD, "dhcp-option-overload", U8),
        Named(Option.MESSAGE_TYPE, "dhcp-message-type", U8),
        Named(Option.SERVER_ID, "dhcp-server-identifier", ADDRESS),
        Named(Option.PARAMETER_REQUEST_LIST, "dhcp-parameter-request-list", CODES),
        Named(Option.MESSAGE, "dhcp-message", TEXT),
        Named(Option.MAX_MESSAGE_SIZE, "dhcp-max-message-size", Unsigned(2, lowest=576)),
        Named(Option.RENEWAL_TIME, "dhcp-renewal-time", U32),
        Named(Option.REBINDING_TIME, "dhcp-rebinding-time", U32),
        Named(Option.VENDOR_CLASS, "vendor-class-identifier", RAW),
        Named(Option.CLIENT_ID, "dhcp-client-identifier", RAW),
        Named(Option.TFTP_SERVER, "tftp-server-name", TEXT),
        Named(Option.BOOT_FILE, "bootfile-name", TEXT),
        Named(Option.USER_CLASS, "user-class", RAW),
        Named(Option.CLIENT_FQDN, "client-fqdn", RAW),
        Named(Option.DOMAIN_SEARCH, "domain-search", SEARCH_LIST),
        Named(Option.CLASSLESS_ROUTES, "classless-static-routes", CLASSLESS_ROUTES),
        Named(Option.MS_CLASSLESS_ROUTES, "ms-classless-static-routes", CLASSLESS_ROUTES),
    )
}

ALIASES: Mapping[str, int] = {
    "dns": Option.DNS,
    "mtu": Option.MTU,
    "ntp": Option.NTP,
    "router": Option.ROUTERS,
    "hostname": Option.HOST_NAME,
    "rfc3442-classless-static-routes": Option.CLASSLESS_ROUTES,
}
_CODES: Mapping[str, int] = {**{row.name: row.code for row in OPTIONS.values()}, **ALIASES}

DEFAULT_REQUEST: tuple[int, ...] = (
    Option.SUBNET_MASK,
    Option.CLASSLESS_ROUTES,
    Option.ROUTERS,
    Option.STATIC_ROUTES,
    Option.DNS,
    Option.HOST_NAME,
    Option.DOMAIN_NAME,
    Option.DOMAIN_SEARCH,
    Option.MTU,
    Option.BROADCAST,
    Option.NTP,
    Option.LEASE_TIME,
    Option.RENEWAL_TIME,
    Option.REBINDING_TIME,
    Option.MS_CLASSLESS_ROUTES,
)
"""What is asked for unless a configuration says otherwise; 121 stands before 3 and 33 as RFC 3442 demands."""

OURS: frozenset[int] = frozenset(
    (Option.PAD, Option.REQUESTED_ADDRESS, Option.OVERLOAD, Option.MESSAGE_TYPE, Option.SERVER_ID,
     Option.PARAMETER_REQUEST_LIST, Option.END)
)  # fmt: skip
"""Codes the protocol itself writes; ``provide`` may not."""


def decode_option(code: int, raw: bytes) -> Any:
    """The value of an option as its row of the table says, ``bytes`` for an unknown code; raises
    ``Malformed``.
    """
    row = OPTIONS.get(code)
    return raw if row is None else row.codec.decode(raw)


def encode_option(code: int, value: Any) -> bytes:
    """The bytes of an option's value; raises ``ValueError``."""
    row = OPTIONS.get(code)
    return bytes(value) if row is None else row.codec.encode(value)


def option_name(code: int) -> str:
    """The name of an option, ``option-N`` when it has none here."""
    row = OPTIONS.get(code)
    return f"option-{code}" if row is None else row.name


def option_code(name: str | int) -> int:
    """The code of an option given by name or number (1–254); raises ``ValueError``, naming what is known.

    0 and 255 are framing (pad and end) and have no value to request or provide.
    """
    known = _CODES.get(name) if isinstance(name, str) else None
    if known is not None:
        return int(known)
    text = str(name)
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 255):
        raise ValueError(
            f"unknown DHCP option {name!r}: a number from 1 to 254 or one of {', '.join(sorted(_CODES))}"
        )
    return int(text)


def request_list(names: Iterable[str | int] = (), *, skip_default: bool = False) -> tuple[int, ...]:
    """The parameter request list for the ``request`` key of a configuration.

    The default list and then what is named; with ``skip_default`` only what is named, and the subnet mask,
    without which a lease cannot be used. Raises ``ValueError`` for an unknown name.
    """
    first: tuple[int, ...] = (int(Option.SUBNET_MASK),) if skip_default else DEFAULT_REQUEST
    return tuple(dict.fromkeys((*map(int, first), *map(option_code, names))))


def provide_option(name: str | int, value: str) -> tuple[int, bytes]:
    """One entry of the ``provide`` key: the string's bytes as they are, like the reference plugin; raises
    ``ValueError``.
    """
    code = option_code(name)
    if code in OURS:
        raise ValueError(f"DHCP option {name!r} is written by the protocol itself and cannot be provided")
    raw = value.encode()
    if not 0 < len(raw) <= 255:
        raise ValueError(f"DHCP option {name!r}: a value has 1 to 255 octets, this one has {len(raw)}")
    return code, raw
