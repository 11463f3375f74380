"""The result of ADD in the form of every CNI version, both ways (CNI SPEC of each version, "Result").

Held in the richest form (1.1.0). What a version cannot say is left out: 0.1.0 and 0.2.0 have one IPv4 and
one IPv6 address and no interfaces, 0.3.0 to 0.4.0 name the IP version, only 1.1.0 has MTU, metric, table
and scope.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_address,
    ip_interface,
    ip_network,
)
from typing import Any

from brdhcp.spec.fields import Faults, Section
from brdhcp.spec.versions import UNSTATED, at_least, require_supported

_MAX32 = 2**32 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """One interface; ``sandbox`` is the path of its namespace, empty on the node."""

    name: str
    mac: str = ""
    sandbox: str = ""
    mtu: int | None = None
    socket_path: str = ""
    pci_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class IPConfig:
    """One address; ``interface`` is the index into the result's interfaces."""

    address: IPv4Interface | IPv6Interface
    gateway: IPv4Address | IPv6Address | None = None
    interface: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One route of the pod; without ``gw`` it is on the link (or through the address's gateway, as the IPAM
    means it).
    """

    dst: IPv4Network | IPv6Network
    gw: IPv4Address | IPv6Address | None = None
    mtu: int | None = None
    advmss: int | None = None
    priority: int | None = None
    table: int | None = None
    scope: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dns:
    """What goes into resolv.conf (CNI SPEC, "DNS")."""

    nameservers: tuple[str, ...] = ()
    domain: str = ""
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.nameservers or self.domain or self.search or self.options)

    def as_json(self) -> dict[str, Any]:
        return _some(
            nameservers=list(self.nameservers),
            domain=self.domain,
            search=list(self.search),
            options=list(self.options),
        )

    @classmethod
    def read(cls, section: Section | None) -> Dns:
        if section is None:
            return cls()
        return cls(
            nameservers=section.strings("nameservers", _address_fault),
            domain=section.string("domain"),
            search=section.strings("search"),
            options=section.strings("options"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    interfaces: tuple[Interface, ...] = ()
    ips: tuple[IPConfig, ...] = ()
    routes: tuple[Route, ...] = ()
    dns: Dns = field(default_factory=Dns)

    def as_json(self, version: str) -> dict[str, Any]:
        """The JSON of that CNI version. Raises IncompatibleVersion for one that is not spoken here."""
        version = require_supported(version)
        if not at_least(version, "0.3.0"):
            return self._as_json_02(version)
        rich = at_least(version, "1.1.0")
        return {
            "cniVersion": version,
            **_some(
                interfaces=[_interface_json(interface, rich) for interface in self.interfaces],
                ips=[_ip_json(ip, version) for ip in self.ips],
                routes=[_route_json(route, rich) for route in self.routes],
                dns=self.dns.as_json(),
            ),
        }

    def _as_json_02(self, version: str) -> dict[str, Any]:
        found: dict[str, Any] = {"cniVersion": version}
        for family, key in ((4, "ip4"), (6, "ip6")):
            ip = next((ip for ip in self.ips if ip.address.version == family), None)
            if ip is not None:
                routes = [_route_json(route, False) for route in self.routes if route.dst.version == family]
                found[key] = {"ip": str(ip.address), **_some(gateway=_text(ip.gateway), routes=routes)}
        return found | _some(dns=self.dns.as_json())

    @classmethod
    def from_json(cls, data: Mapping[str, Any], where: str = "the result", version: str = "") -> Result:
        """Read the JSON of any version (its own ``cniVersion``, else ``version``); unknown keys are left
        alone.

        Raises InvalidConfiguration with every fault, IncompatibleVersion for a version not spoken here.
        """
        faults = Faults()
        result = cls.read(Section(data, where, faults), version)
        faults.raise_if_any()
        return result

    @classmethod
    def read(cls, section: Section, version: str = "") -> Result:
        """As ``from_json``, with the faults left in the section's collection."""
        version = require_supported(section.string("cniVersion") or version or UNSTATED)
        if "ip4" in section or "ip6" in section or not at_least(version, "0.3.0"):
            return cls._read_02(section)
        interfaces = tuple(_read_interface(sub) for sub in section.sections("interfaces"))
        ips = []
        for sub in section.sections("ips"):
            ip = _read_ip(sub, "address")
            ips += [ip] if ip else []
            if ip and ip.interface is not None and ip.interface >= len(interfaces) > 0:
                sub.invalid("interface", f"is {ip.interface}, there are {len(interfaces)} interfaces")
        return cls(
            interfaces=interfaces,
            ips=tuple(ips),
            routes=_read_routes(section),
            dns=Dns.read(section.section("dns")),
        )

    @classmethod
    def _read_02(cls, section: Section) -> Result:
        ips: list[IPConfig] = []
        routes: list[Route] = []
        for key in ("ip4", "ip6"):
            sub = section.section(key)
            if sub is not None:
                ip = _read_ip(sub, "ip")
                ips += [ip] if ip else []
                routes += _read_routes(sub)
        return cls(ips=tuple(ips), routes=tuple(routes), dns=Dns.read(section.section("dns")))


def _some(**values: Any) -> dict[str, Any]:
    """Only what says something: no empty strings, lists, objects, no None. Zero stays."""
    return {key: value for key, value in values.items() if value not in (None, "", [], {})}


def _text(value: object | None) -> str:
    return "" if value is None else str(value)


def _interface_json(interface: Interface, rich: bool) -> dict[str, Any]:
    found = {"name": interface.name, **_some(mac=interface.mac, sandbox=interface.sandbox)}
    if rich:
        found |= _some(mtu=interface.mtu, socketPath=interface.socket_path, pciID=interface.pci_id)
    return found


def _ip_json(ip: IPConfig, version: str) -> dict[str, Any]:
    family = {} if at_least(version, "1.0.0") else {"version": str(ip.address.version)}
    return {**family, "address": str(ip.address), **_some(gateway=_text(ip.gateway), interface=ip.interface)}


def _route_json(route: Route, rich: bool) -> dict[str, Any]:
    found = {"dst": str(route.dst), **_some(gw=_text(route.gw))}
    if rich:
        found |= _some(
            mtu=route.mtu, advmss=route.advmss, priority=route.priority, table=route.table, scope=route.scope
        )
    return found


def _address_fault(value: str) -> str | None:
    try:
        ip_address(value)
    except ValueError:
        return "is not an IP address"
    return None


def _cidr_fault(value: str) -> str | None:
    try:
        ip_interface(value)
    except ValueError:
        return "is not an address with prefix length, as 172.16.91.131/24"
    return None if "/" in value else "has no prefix length, as 172.16.91.131/24 has"


def _read_interface(section: Section) -> Interface:
    return Interface(
        name=section.string("name"),
        mac=section.string("mac"),
        sandbox=section.string("sandbox"),
        mtu=_optional(section, "mtu"),
        socket_path=section.string("socketPath"),
        pci_id=section.string("pciID"),
    )


def _read_ip(section: Section, key: str) -> IPConfig | None:
    address = section.string(key, fault=_cidr_fault)
    if not address:
        if section.raw(key) in (None, ""):
            section.invalid(key, "is missing")
        return None
    gateway = section.string("gateway", fault=lambda v: _address_fault(v) if v else None)
    return IPConfig(
        address=ip_interface(address),
        gateway=ip_address(gateway) if gateway else None,
        interface=_optional(section, "interface"),
    )


def _read_routes(section: Section) -> tuple[Route, ...]:
    routes = []
    for sub in section.sections("routes"):
        dst = sub.string("dst", fault=_cidr_fault)
        gw = sub.string("gw", fault=lambda v: _address_fault(v) if v else None)
        if not dst:
            if sub.raw("dst") in (None, ""):
                sub.invalid("dst", "is missing")
            continue
        routes.append(
            Route(
                dst=ip_network(dst, strict=False),
                gw=ip_address(gw) if gw else None,
                mtu=_optional(sub, "mtu"),
                advmss=_optional(sub, "advmss"),
                priority=_optional(sub, "priority"),
                table=_optional(sub, "table"),
                scope=_optional(sub, "scope"),
            )
        )
    return tuple(routes)


def _optional(section: Section, key: str) -> int | None:
    value = section.integer(key, 0, _MAX32, -1)
    return None if value < 0 else value
