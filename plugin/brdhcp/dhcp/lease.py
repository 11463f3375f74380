"""A lease: what the server promised, until when, and what of it a pod is given.

Inside, time is the monotonic clock of the caller (CLOCK_BOOTTIME is the one that goes on while a laptop
sleeps). On disk it is the wall clock, because a monotonic one means nothing after a reboot; within one boot
the monotonic value is kept too, so that a wall clock that is stepped by a day neither ends a lease nor makes
it last.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any

from brdhcp.dhcp.codecs import Route
from brdhcp.dhcp.message import Message
from brdhcp.dhcp.options import Option

INFINITE = 0xFFFF_FFFF
"""A lease time that never ends (RFC 2131 §3.3)."""
DEFAULT_ROUTE = IPv4Network("0.0.0.0/0")
KEPT_OCTETS = 1024
"""Octets of options without a field of their own that one lease may keep."""


class Unusable(ValueError):
    """A message that offers or grants what cannot be used; the message says what and why."""


@dataclass(frozen=True, slots=True)
class Lease:
    """What a DHCPACK grants. Times in seconds; ``acquired_at`` is the monotonic time at which the DHCPREQUEST
    was sent.

    ``routers`` is option 3 as it came; ``routes`` is what holds: option 121 (or 249), else option 33 and a
    default route by the first router (RFC 3442). ``options`` holds requested options that have no field, raw.
    """

    address: IPv4Interface
    server_id: IPv4Address
    lease_s: int
    t1_s: int
    t2_s: int
    acquired_at: float
    server_mac: str | None = None
    routers: tuple[IPv4Address, ...] = ()
    routes: tuple[Route, ...] = ()
    dns: tuple[IPv4Address, ...] = ()
    domain: str = ""
    search: tuple[str, ...] = ()
    ntp: tuple[IPv4Address, ...] = ()
    mtu: int | None = None
    broadcast: IPv4Address | None = None
    hostname: str = ""
    options: tuple[tuple[int, bytes], ...] = ()

    @property
    def infinite(self) -> bool:
        return self.lease_s == INFINITE

    @property
    def renew_at(self) -> float:
        """T1 on the monotonic clock; infinite for an infinite lease, like the two below."""
        return self._after(self.t1_s)

    @property
    def rebind_at(self) -> float:
        return self._after(self.t2_s)

    @property
    def expires_at(self) -> float:
        return self._after(self.lease_s)

    def _after(self, seconds: int) -> float:
        return float("inf") if self.infinite else self.acquired_at + seconds

    @property
    def gateway(self) -> IPv4Address | None:
        """The router of the default route that holds, if there is one."""
        return next((r.router for r in self.routes if r.destination == DEFAULT_ROUTE and int(r.router)), None)

    def differences(self, other: Lease) -> tuple[str, ...]:
        """The names of the fields that a pod would notice and that are not the same in ``other``."""
        return tuple(name for name in _NOTICED if getattr(self, name) != getattr(other, name))

    @classmethod
    def from_message(cls, message: Message, *, acquired_at: float, server_mac: str | None = None,
                     server_id: IPv4Address | None = None, keep: Container[int] = ()) -> Lease:  # fmt: skip
        """The lease that a DHCPOFFER or DHCPACK describes; raises ``Unusable``.

        ``server_id`` stands in for a missing option 54 (some servers leave it out when they answer a
        renewal); ``keep`` says which options without a field are kept raw. A single malformed option counts
        as absent.
        """
        option = message.option
        server = option(Option.SERVER_ID) or server_id
        if server is None:
            raise Unusable("no server identifier (option 54)")
        routers = option(Option.ROUTERS) or ()
        address = _usable_address(message, server, routers)
        lease_s = option(Option.LEASE_TIME)
        if not lease_s:
            raise Unusable("a lease time of zero" if lease_s == 0 else "no lease time (option 51)")
        t1_s, t2_s = lease_times(lease_s, option(Option.RENEWAL_TIME), option(Option.REBINDING_TIME))
        return cls(
            address=address,
            server_id=server,
            lease_s=lease_s,
            t1_s=t1_s,
            t2_s=t2_s,
            acquired_at=acquired_at,
            server_mac=server_mac,
            routers=routers,
            routes=_routes(message, routers),
            dns=option(Option.DNS) or (),
            domain=option(Option.DOMAIN_NAME) or "",
            search=option(Option.DOMAIN_SEARCH) or (),
            ntp=option(Option.NTP) or (),
            mtu=option(Option.MTU),
            broadcast=option(Option.BROADCAST),
            hostname=option(Option.HOST_NAME) or "",
            options=_kept(message, keep),
        )

    def to_json(self, now: float, wall_now: float, boot_id: str = "") -> dict[str, Any]:
        """A JSON object; ``now`` and ``wall_now`` are the two clocks read together, ``boot_id`` names this
        boot.
        """
        acquired = wall_now - (now - self.acquired_at)
        return {
            "address": str(self.address),
            "server": str(self.server_id),
            "serverMAC": self.server_mac,
            "leaseSeconds": self.lease_s,
            "t1Seconds": self.t1_s,
            "t2Seconds": self.t2_s,
            "acquired": acquired,
            "expires": None if self.infinite else acquired + self.lease_s,
            "bootID": boot_id,
            "monotonic": self.acquired_at,
            "routers": list(map(str, self.routers)),
            "routes": [{"dst": str(route.destination), "gw": str(route.router)} for route in self.routes],
            "dns": list(map(str, self.dns)),
            "domain": self.domain,
            "search": list(self.search),
            "ntp": list(map(str, self.ntp)),
            "mtu": self.mtu,
            "broadcast": None if self.broadcast is None else str(self.broadcast),
            "hostname": self.hostname,
            "options": {str(code): raw.hex() for code, raw in self.options},
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any], now: float, wall_now: float, boot_id: str = "") -> Lease:
        """What ``to_json`` wrote, with its clocks moved to this process; raises ``ValueError`` for a damaged
        record.
        """
        try:
            return cls(
                address=IPv4Interface(_text(data["address"])), server_id=_ip(data["server"]),
                server_mac=data["serverMAC"], lease_s=int(data["leaseSeconds"]), t1_s=int(data["t1Seconds"]),
                t2_s=int(data["t2Seconds"]), acquired_at=_acquired_at(data, now, wall_now, boot_id),
                routers=tuple(map(_ip, data["routers"])),
                routes=tuple(Route(IPv4Network(_text(r["dst"])), _ip(r["gw"])) for r in data["routes"]),
                dns=tuple(map(_ip, data["dns"])), domain=str(data["domain"]),
                search=tuple(map(str, data["search"])), ntp=tuple(map(_ip, data["ntp"])),
                mtu=None if data["mtu"] is None else int(data["mtu"]),
                broadcast=None if data["broadcast"] is None else _ip(data["broadcast"]),
                hostname=str(data["hostname"]),
                options=tuple((int(code), bytes.fromhex(raw)) for code, raw in data["options"].items()),
            )  # fmt: skip
        except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
            raise ValueError(f"not a lease record: {type(error).__name__}: {error}") from error


_NOTICED = ("address", "routes", "dns", "domain", "search", "ntp", "mtu", "broadcast", "hostname", "options")


def _text(value: object) -> str:
    """Numbers and truth values are addresses to ``ipaddress``, and not to us."""
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    return value


def _ip(value: object) -> IPv4Address:
    return IPv4Address(_text(value))


def _acquired_at(data: Mapping[str, Any], now: float, wall_now: float, boot_id: str) -> float:
    """The monotonic time of the DHCPREQUEST. A lease from the future of a clock that was set back is due for
    renewal.
    """
    if boot_id and data.get("bootID") == boot_id and float(data["monotonic"]) <= now:
        return float(data["monotonic"])
    age = wall_now - float(data["acquired"])
    return now - (age if age >= 0 else int(data["t1Seconds"]))


def lease_times(lease_s: int, t1_s: int | None, t2_s: int | None) -> tuple[int, int]:
    """T1 and T2 in seconds; unless 0 < T1 < T2 < lease, the defaults of RFC 2131 §4.4.5: a half and seven
    eighths.
    """
    if lease_s == INFINITE:
        return INFINITE, INFINITE
    if t1_s is None and t2_s is not None:
        t1_s = lease_s // 2
    if t2_s is None and t1_s is not None:
        t2_s = lease_s * 7 // 8
    if t1_s is None or t2_s is None or not 0 < t1_s < t2_s < lease_s:
        return max(lease_s // 2, 1), max(lease_s * 7 // 8, 1)
    return t1_s, t2_s


def _usable_address(message: Message, server: IPv4Address, routers: tuple[IPv4Address, ...]) -> IPv4Interface:
    mask = message.option(Option.SUBNET_MASK)
    if mask is None:
        raise Unusable("no subnet mask (option 1)")
    bits = int(mask) ^ 0xFFFF_FFFF
    if bits & (bits + 1) or not int(mask):
        raise Unusable(f"the subnet mask {mask} is none")
    host = message.yiaddr
    prefix = 32 - bits.bit_length()
    interface = IPv4Interface((int(host), prefix))
    if not int(host) or host.is_multicast or host.is_loopback or host.is_reserved:
        raise Unusable(f"{host} cannot be the address of a host")
    if prefix < 31 and host in (interface.network.network_address, interface.network.broadcast_address):
        raise Unusable(f"{host} is the network or broadcast address of {interface.network}")
    if host in routers:
        raise Unusable(f"{host} is the gateway's own address")
    if host == server:
        raise Unusable(f"{host} is the DHCP server's own address")
    return interface


def _routes(message: Message, routers: tuple[IPv4Address, ...]) -> tuple[Route, ...]:
    classless = message.option(Option.CLASSLESS_ROUTES) or message.option(Option.MS_CLASSLESS_ROUTES)
    if classless:
        return tuple(classless)
    static = tuple(message.option(Option.STATIC_ROUTES) or ())
    return (*static, Route(DEFAULT_ROUTE, routers[0])) if routers else static


_FIELDS = frozenset(
    (
        Option.SUBNET_MASK,
        Option.ROUTERS,
        Option.DNS,
        Option.HOST_NAME,
        Option.DOMAIN_NAME,
        Option.MTU,
        Option.BROADCAST,
        Option.STATIC_ROUTES,
        Option.NTP,
        Option.LEASE_TIME,
        Option.OVERLOAD,
        Option.MESSAGE_TYPE,
        Option.SERVER_ID,
        Option.MESSAGE,
        Option.RENEWAL_TIME,
        Option.REBINDING_TIME,
        Option.CLIENT_ID,
        Option.DOMAIN_SEARCH,
        Option.CLASSLESS_ROUTES,
        Option.MS_CLASSLESS_ROUTES,
    )
)


def _kept(message: Message, keep: Container[int]) -> tuple[tuple[int, bytes], ...]:
    kept: list[tuple[int, bytes]] = []
    octets = 0
    for code, raw in message.options.items():
        octets += len(raw) if (wanted := code in keep and code not in _FIELDS) else 0
        if wanted and octets <= KEPT_OCTETS:
            kept.append((code, raw))
    return tuple(sorted(kept))
