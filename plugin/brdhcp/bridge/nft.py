"""nftables rules for the guards of a port and for masquerading, as text for ``nft -f -``. Pure.

Rules stand in tables of our own and name sets; a pod that comes or goes only changes elements of those
sets, in one transaction each, and both ways can be repeated. ``macspoofchk``: a pod sends with its own MAC
only. ``spoofGuard``: and with its own addresses only, in IPv4, ARP, IPv6 and neighbour discovery.
``dhcpGuard``: it answers no DHCP. ``raGuard``: it is no IPv6 router.

A rule sees one header behind the MACs, a careless receiver several (CVE-2021-27853 and its kin): a guarded
port sends nothing but IPv4, ARP and IPv6, without a tag unless it is a trunk.

The IPv6 addresses of a pod come from the announcements of routers that nobody can name here; but their
interface identifier is that of its MAC (RFC 4291, appendix A), so that is what is compared. It stands in
sets as a number of 64 bits, since nftables 1.0.6 has no name for the target of a neighbour advertisement.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv6Address, IPv6Interface
from typing import Any

from brdhcp.spec.netconf import Bridge

TABLE = "brdhcp"

_GUARD_SETS = {
    "untagged": "type ifname",
    "guarded": "type ifname",
    "dhcp_guard": "type ifname",
    "ra_guard": "type ifname",
    "mac_guard": "type ifname",
    "macs": "type ifname . ether_addr",
    "address_guard": "type ifname",
    "addresses": "type ifname . ipv4_addr",
    "addresses6": "typeof iifname . @nh,64,64 . @nh,128,64",
    "interface_ids": "typeof iifname . @nh,128,64",
}
_FOREIGN_SOURCE = "iifname . @nh,64,64 . @nh,128,64 != @addresses6 iifname . @nh,128,64 != @interface_ids"
"""RFC 8200 §3: the source address is the second 64 bits and the 128 after them."""
_FOREIGN_TARGET = _FOREIGN_SOURCE.replace("@nh", "@th")
"""RFC 4861 §4.3 and §4.4: the target of a solicitation or an advertisement stands at the same place in ICMPv6."""
_UNSPECIFIED = "iifname @address_guard meta protocol ip6 ip6 saddr ::"
_GUARD_RULES = (
    'iifname @untagged ether type { 8021q, 8021ad } counter drop comment "tagged"',
    'iifname @guarded ether type { 8021q, 8021ad } @ll,112,16 & 0x0fff == 0 counter drop comment "tagged"',
    'iifname @guarded meta protocol != { ip, arp, ip6 } counter drop comment "neither IP nor ARP"',
    'iifname @mac_guard iifname . ether saddr != @macs counter drop comment "macspoofchk"',
    'iifname @mac_guard iifname . arp saddr ether != @macs counter drop comment "macspoofchk"',
    'iifname @dhcp_guard udp sport { 67, 547 } counter drop comment "dhcpGuard"',
    'iifname @dhcp_guard udp dport { 68, 546 } counter drop comment "dhcpGuard"',
    "iifname @ra_guard meta protocol ip6 icmpv6 type { nd-router-advert, nd-redirect } counter drop"
    ' comment "raGuard"',
    'iifname @address_guard udp sport 68 udp dport 67 ip saddr 0.0.0.0 accept comment "asking for a lease"',
    'iifname @address_guard arp saddr ip 0.0.0.0 accept comment "probing an address"',
    'iifname @address_guard meta protocol ip iifname . ip saddr != @addresses counter drop comment "spoofGuard"',
    'iifname @address_guard iifname . arp saddr ip != @addresses counter drop comment "spoofGuard"',
    "iifname @address_guard meta protocol ip6 icmpv6 type nd-neighbor-advert"
    f' {_FOREIGN_TARGET} counter drop comment "spoofGuard"',
    f'{_UNSPECIFIED} icmpv6 type nd-neighbor-solicit {_FOREIGN_TARGET} counter drop comment "spoofGuard"',
    f"{_UNSPECIFIED} icmpv6 type {{ nd-neighbor-solicit, nd-router-solicit, mld-listener-report,"
    ' mld2-listener-report } accept comment "before it has an address"',
    f'iifname @address_guard meta protocol ip6 {_FOREIGN_SOURCE} counter drop comment "spoofGuard"',
)

_MASQ_SETS = {
    "local4": ("ipv4_addr . ipv4_addr", "interval"),
    "local6": ("ipv6_addr . ipv6_addr", "interval"),
    "pods4": ("ipv4_addr", ""),
    "pods6": ("ipv6_addr", ""),
}
_MASQ_RULES = tuple(
    rule
    for family, number, multicast in (("ip", 4, "224.0.0.0/4"), ("ip6", 6, "ff00::/8"))
    for rule in (
        f"{family} saddr . {family} daddr @local{number} accept",
        f"{family} saddr @pods{number} {family} daddr != {multicast} counter masquerade",
    )
)


RULES = {"bridge": len(_GUARD_RULES), "inet": len(_MASQ_RULES)}
"""How many rules the table of each family has."""

Element = tuple[str, str, str]
"""Family, set, and the element as nft takes it."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What the kernel has of our tables: rules by family, and elements of sets."""

    rules: dict[str, int]
    elements: frozenset[Element]

    @classmethod
    def of(cls, listings: Iterable[str]) -> Loaded:
        """From what ``nft -j list table`` prints for each table (libnftables-json(5)).

        ``""`` stands for a table that is not there.
        """
        rules: dict[str, int] = {}
        elements: set[Element] = set()
        for each in (each for text in listings if text for each in json.loads(text)["nftables"]):
            if "rule" in each:
                rules[each["rule"]["family"]] = rules.get(each["rule"]["family"], 0) + 1
            elif "set" in each:
                here = each["set"]
                elements |= {
                    (here["family"], here["name"], _written(element)) for element in here.get("elem", ())
                }
        return cls(rules, frozenset(elements))


@dataclass(frozen=True, slots=True)
class Ruleset:
    """What to feed ``nft -f -``: ``tables`` makes or renews tables, sets and rules, ``add`` and ``remove``
    one pod's elements. All empty when nothing of this is configured; then nft need not be there.
    """

    tables: str = ""
    add: str = ""
    remove: str = ""
    elements: tuple[Element, ...] = ()
    """What ``add`` adds."""

    def __bool__(self) -> bool:
        return bool(self.tables)

    def missing(self, loaded: Loaded) -> tuple[str, ...]:
        """What of it the kernel does not have, as sentences; none when all of it is loaded."""
        families = sorted({family for family, _, _ in self.elements})
        found = [
            f"the nftables table {family} {TABLE} is gone or has lost rules"
            for family in families
            if loaded.rules.get(family) != RULES[family]
        ]
        plain = {(family, name, element.replace('"', "")) for family, name, element in self.elements}
        gone = sorted({name for _, name, _ in plain - loaded.elements})
        return (
            (*found, f"its elements are gone from the nftables sets {', '.join(gone)}")
            if gone
            else tuple(found)
        )


def keys(conf: Bridge) -> tuple[str, ...]:
    """The keys of a configuration that ask for rules, by their names there; none when it needs no nft."""
    asked = {
        "macspoofchk": conf.mac_spoof_check, "spoofGuard": conf.spoof_guard, "dhcpGuard": conf.dhcp_guard,
        "raGuard": conf.ra_guard, "ipMasq": conf.ip_masq,
    }  # fmt: skip
    return tuple(key for key, on in asked.items() if on)


def of_port(
    conf: Bridge, *, veth: str, mac: str, addresses: Iterable[IPv4Interface | IPv6Interface] = ()
) -> Ruleset:
    """The rules for one port. ``remove`` needs the same arguments as ``add`` had, and may come when nothing
    is there.
    """
    addresses = tuple(addresses)
    elements = _guard_elements(conf, veth, mac, addresses)
    masked = _masq_elements(addresses) if conf.ip_masq else []
    tables = (guard_table() if elements else "") + (masquerade_table() if masked else "")
    every = (*(("bridge", *e) for e in elements), *(("inet", *e) for e in masked))
    add = [f"add element {family} {TABLE} {name} {{ {element} }}" for family, name, element in every]
    # nft refuses to delete what is not there: in the same transaction it is added first.
    gone = [f"delete{line.removeprefix('add')}" for line in add]
    return Ruleset(tables, _lines(add), (tables + _lines([*add, *gone])) if every else "", every)


def guard_table() -> str:
    """Table ``bridge brdhcp``: sets for the ports that are guarded, and the rules, renewed as a whole."""
    lines = [f"add table bridge {TABLE}"]
    lines += [f"add set bridge {TABLE} {name} {{ {kind}; }}" for name, kind in _GUARD_SETS.items()]
    chain = "{ type filter hook prerouting priority -300; policy accept; }"
    lines += [f"add chain bridge {TABLE} from_pods {chain}", f"flush chain bridge {TABLE} from_pods"]
    return _lines([*lines, *(f"add rule bridge {TABLE} from_pods {rule}" for rule in _GUARD_RULES)])


def masquerade_table() -> str:
    """Table ``inet brdhcp``: what pods send beyond their own network leaves with the node's address."""
    lines = [f"add table inet {TABLE}"]
    for name, (kind, flags) in _MASQ_SETS.items():
        lines.append(f"add set inet {TABLE} {name} {{ type {kind}; {f'flags {flags}; ' if flags else ''}}}")
    chain = "{ type nat hook postrouting priority 100; policy accept; }"
    lines += [f"add chain inet {TABLE} leaving {chain}", f"flush chain inet {TABLE} leaving"]
    return _lines([*lines, *(f"add rule inet {TABLE} leaving {rule}" for rule in _MASQ_RULES)])


def _guard_elements(
    conf: Bridge, veth: str, mac: str, addresses: tuple[IPv4Interface | IPv6Interface, ...]
) -> list[tuple[str, str]]:
    port = f'"{veth}"'
    found = []
    if conf.mac_spoof_check or conf.spoof_guard:
        found += [("macs", f"{port} . {mac.lower()}"), ("mac_guard", port)]
    if conf.spoof_guard:
        found += [("addresses", f"{port} . {address.ip}") for address in addresses if address.version == 4]
        found += [
            ("addresses6", f"{port} . {_halves(address.ip)}") for address in addresses if address.version == 6
        ]
        found += [("interface_ids", f"{port} . {interface_id(mac):#x}"), ("address_guard", port)]
    if conf.dhcp_guard:
        found.append(("dhcp_guard", port))
    if conf.ra_guard:
        found.append(("ra_guard", port))
    if conf.spoof_guard or conf.dhcp_guard or conf.ra_guard:
        found.append(("guarded", port))
        if not conf.vlan_trunk:
            found.append(("untagged", port))
    return found


def interface_id(mac: str) -> int:
    """The modified EUI-64 of a MAC, which the kernel makes IPv6 addresses with (RFC 4291, appendix A)."""
    octets = bytes.fromhex(mac.replace(":", ""))
    return int.from_bytes(bytes([octets[0] ^ 2]) + octets[1:3] + b"\xff\xfe" + octets[3:])


def _halves(address: IPv6Address) -> str:
    high, low = divmod(int(address), 1 << 64)
    return f"{high:#x} . {low:#x}"


def _masq_elements(addresses: tuple[IPv4Interface | IPv6Interface, ...]) -> list[tuple[str, str]]:
    found = []
    for address in addresses:
        found.append((f"pods{address.version}", str(address.ip)))
        found.append((f"local{address.version}", f"{address.ip} . {_network(str(address.network))}"))
    return found


def _network(text: str) -> str:
    """As nft lists it: a network of one address is that address."""
    address, _, length = text.partition("/")
    return address if length == ("128" if ":" in address else "32") else text


def _written(element: Any) -> str:
    """An element of nft's JSON as it is written in a command."""
    return " . ".join(
        _parts(element["concat"] if isinstance(element, dict) and "concat" in element else [element])
    )


def _parts(values: Iterable[Any]) -> Iterator[str]:
    for value in values:
        if isinstance(value, dict) and "prefix" in value:
            yield f"{value['prefix']['addr']}/{value['prefix']['len']}"
        elif isinstance(value, int):
            yield f"{value % (1 << 64):#x}"  # nft prints it as if it had a sign
        else:
            yield str(value)


def _lines(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
