"""Kernel changes as data: what is planned, printed, journaled, done and undone is always one of these.

A ``Change`` is one request to the kernel and nothing else: frozen, comparable, printable as the ``ip``
command a person would type, and (but for the namespace descriptors of a veth pair being made) writable as
JSON. Names follow iproute2. Links are named, not numbered, since an index does not survive the making of a
link.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

_NOTHING: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkAdd:
    """Make a link. ``data`` holds IFLA_INFO_DATA by iproute2 name, as for a bridge ``{"stp_state": 0,
    "forward_delay": 0}``."""

    name: str
    kind: str
    address: str | None = None
    mtu: int | None = None
    up: bool = False
    master: str | None = None
    peer: str | None = None
    peer_address: str | None = None
    peer_mtu: int | None = None
    peer_netns_fd: int | None = None
    data: Mapping[str, int] = field(default_factory=lambda: _NOTHING)


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkSet:
    """Change a link. Only what is not None is sent; ``master=""`` takes the link out of its bridge."""

    name: str
    up: bool | None = None
    master: str | None = None
    address: str | None = None
    mtu: int | None = None
    promisc: bool | None = None
    alias: str | None = None
    new_name: str | None = None
    port: Mapping[str, int] = field(default_factory=lambda: _NOTHING)
    """IFLA_BRPORT_* by iproute2 name: ``hairpin``, ``isolated``, ``learning``, ``state`` …"""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkDelete:
    """Remove a link; one that is gone already counts as removed."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """One address of a link. Lifetimes in seconds, ``None`` for forever; ``flags`` is IFA_FLAGS."""

    dev: str
    address: str
    """CIDR: ``172.16.91.10/24``"""
    peer: str | None = None
    broadcast: str | None = None
    scope: int = 0
    label: str | None = None
    flags: int = 0
    valid_lft: int | None = None
    preferred_lft: int | None = None
    metric: int | None = None
    """IFA_RT_PRIORITY: the metric of the prefix route that the kernel makes."""
    proto: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressAdd:
    """Add an address; ``replace`` gives one that is there the lifetimes and flags of this one."""

    address: Address
    replace: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressDelete:
    """Remove an address; one that is gone already counts as removed."""

    address: Address


@dataclass(frozen=True, slots=True, kw_only=True)
class NextHop:
    dev: str
    gateway: str | None = None
    weight: int = 1
    flags: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One route. ``dst`` is a CIDR or ``default``; numbers are the kernel's (rtnetlink(7))."""

    family: int
    dst: str
    dev: str | None = None
    gateway: str | None = None
    prefsrc: str | None = None
    src: str | None = None
    metric: int | None = None
    table: int = 254
    scope: int = 0
    proto: int = 3
    type: int = 1
    tos: int = 0
    flags: int = 0
    """RTNH_F_*; 4 is onlink."""
    pref: int | None = None
    expires: int | None = None
    metrics: Mapping[str, int] = field(default_factory=lambda: _NOTHING)
    """RTAX_* by iproute2 name: ``mtu``, ``advmss``, ``initcwnd`` …"""
    multipath: tuple[NextHop, ...] = ()
    extra: tuple[str, ...] = ()
    """Attributes that were observed and cannot be said here (``RTA_ENCAP``, a next hop object); never
    sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteAdd:
    """Add a route; ``replace`` puts it in the place of the one with the same destination, table and
    metric, ``prepend`` before those, which stay, ``append`` after them."""

    route: Route
    replace: bool = False
    prepend: bool = False
    append: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteDelete:
    """Remove a route; one that is gone already counts as removed."""

    route: Route


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One policy rule (ip-rule(8)). ``attrs`` holds every attribute by its rtnetlink name, so that none is
    lost."""

    family: int
    priority: int
    table: int
    action: int = 1
    attrs: Mapping[str, int | str] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleAdd:
    rule: Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleDelete:
    rule: Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class NeighbourAdd:
    """One entry of the neighbour table (``state`` is NUD_*: 2 reachable, 4 stale, 128 permanent)."""

    dev: str
    dst: str
    lladdr: str
    state: int = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class BridgeVlan:
    """VLANs of a bridge port, as ``bridge vlan add|del dev DEV vid N[-M] [pvid] [untagged]``; ``add=False``
    removes."""

    dev: str
    vid: int
    vid_end: int | None = None
    pvid: bool = False
    untagged: bool = False
    add: bool = True
    self_: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DefaultRouter:
    """The IPv6 default route through ``gateway``, owned by the kernel: router advertisements keep it alive.

    With another metric than the kernel gives, the next advertisement puts the kernel's own route in its place.
    """

    dev: str
    gateway: str
    metric: int
    expires: int | None = None
    pref: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SysctlSet:
    """Write ``/proc/sys/net/<path>``, dots as slashes: ``ipv6/conf/mybr0/accept_ra``."""

    path: str
    value: str


Change = (
    LinkAdd
    | LinkSet
    | LinkDelete
    | AddressAdd
    | AddressDelete
    | RouteAdd
    | RouteDelete
    | RuleAdd
    | RuleDelete
    | NeighbourAdd
    | BridgeVlan
    | DefaultRouter
    | SysctlSet
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that is done as a whole, and how it is undone.

    ``do`` and ``undo`` go to the kernel in order; neighbouring netlink changes go in one message batch, so
    that nothing of ours runs between them. ``undo`` is computed from what was observed before anything was
    touched, and may find nothing to do: the journal is written before the kernel is asked.
    """

    title: str
    do: tuple[Change, ...]
    undo: tuple[Change, ...]
