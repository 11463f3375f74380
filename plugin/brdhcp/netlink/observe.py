"""What the kernel says: the dataclasses that a :class:`~brdhcp.netlink.kernel.Kernel` returns, and a snapshot
of it all.

Addresses, routes and rules are those of :mod:`brdhcp.netlink.change`, so that what was observed can be
planned with, put back and compared without translation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from brdhcp.netlink.change import Address, NeighbourAdd, Route, Rule

if TYPE_CHECKING:
    from brdhcp.netlink.kernel import Kernel

IFF_UP, IFF_LOOPBACK, IFF_PROMISC, IFF_ALLMULTI = 0x1, 0x8, 0x100, 0x200
_NOTHING: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One link. ``kind`` is IFLA_INFO_KIND (``bridge``, ``veth`` …), empty for hardware; ``operstate`` is RFC
    2863's, lower case."""

    name: str
    index: int
    kind: str = ""
    address: str = ""
    mtu: int = 0
    flags: int = 0
    carrier: bool = False
    operstate: str = "unknown"
    master: str | None = None
    alias: str | None = None
    parent: int | None = None
    """IFLA_LINK: the index of the link it stacks on, or of a veth's peer (then ``link_netnsid`` may say
    where)."""
    link_netnsid: int | None = None
    slave_kind: str = ""
    txqlen: int = 0
    promiscuity: int = 0
    bridge: Mapping[str, int] = field(default_factory=lambda: _NOTHING)
    """A bridge's IFLA_BR_* by lower-case name: ``stp_state``, ``forward_delay`` …"""
    port: Mapping[str, int] = field(default_factory=lambda: _NOTHING)
    """A bridge port's IFLA_BRPORT_* by lower-case name: ``state``, ``mode``, ``isolated`` …"""

    @property
    def up(self) -> bool:
        return bool(self.flags & IFF_UP)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Everything about one network namespace that a migration may touch, at one moment."""

    links: tuple[Link, ...]
    addresses: tuple[Address, ...]
    routes: tuple[Route, ...]
    rules: tuple[Rule, ...]
    neighbours: tuple[NeighbourAdd, ...] = ()
    sysctls: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Values of the paths that were asked for and exist, as in :class:`~brdhcp.netlink.change.SysctlSet`."""

    def link(self, name: str) -> Link | None:
        return next((link for link in self.links if link.name == name), None)

    def addresses_of(self, dev: str) -> tuple[Address, ...]:
        """In the kernel's order: a primary IPv4 address before its secondaries."""
        return tuple(address for address in self.addresses if address.dev == dev)


def snapshot(kernel: Kernel, sysctls: Iterable[str] = ()) -> Snapshot:
    """Everything at once. Several dumps, so not atomic: who changes the network meanwhile may be seen
    half."""
    values = ((path, kernel.sysctl(path)) for path in sysctls)
    return Snapshot(
        links=kernel.links(),
        addresses=kernel.addresses(),
        routes=kernel.routes(),
        rules=kernel.rules(),
        neighbours=kernel.neighbours(),
        sysctls=MappingProxyType({path: value for path, value in values if value is not None}),
    )
