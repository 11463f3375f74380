"""What a plan is made from: the kernel as it is, and what lies beside it (sysfs, the node's DHCP client)."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from brdhcp.netlink.change import Address
from brdhcp.netlink.kernel import Kernel
from brdhcp.netlink.observe import Link, Snapshot, snapshot
from brdhcp.uplink.bound import listeners
from brdhcp.uplink.clients import Client, find, lease_of, unhandled

COPIED: Mapping[str, tuple[str, ...]] = {
    "ipv4": ("rp_filter", "arp_announce", "arp_filter", "arp_ignore", "arp_notify", "arp_accept", "proxy_arp",
             "proxy_arp_pvlan", "forwarding", "send_redirects", "accept_redirects", "secure_redirects",
             "accept_source_route", "src_valid_mark", "route_localnet", "log_martians", "promote_secondaries"),
    "ipv6": ("disable_ipv6", "forwarding", "accept_ra", "accept_ra_defrtr", "accept_ra_pinfo", "accept_ra_rtr_pref",
             "accept_ra_mtu", "autoconf", "use_tempaddr", "accept_redirects", "accept_source_route", "dad_transmits",
             "router_solicitations", "proxy_ndp", "addr_gen_mode", "accept_dad"),
}  # fmt: skip
"""Per-interface settings that decide how packets are treated; ``disable_ipv6`` before what depends on it."""
RELAXED = ("ipv4/conf/all/rp_filter", "ipv6/conf/all/accept_dad")
"""Settings of all interfaces that would overrule the bridge's own while addresses move."""


def conf(family: str, dev: str, name: str) -> str:
    """``ipv4/conf/eth0/rp_filter``"""
    return f"{family}/conf/{dev}/{name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One node, at one moment, as far as moving ``nic`` into ``bridge`` is concerned."""

    nic: str
    bridge: str
    before: Snapshot
    client: Client | None = None
    """The DHCP client that keeps the NIC's address, if one was found."""
    lease: Mapping[str, str | int | float | None] | None = None
    """What the agent needs to renew the NIC's address, when that has an end."""
    wireless: bool = False
    unhandled: tuple[str, ...] = ()
    """Command lines of DHCP clients on the NIC that cannot be ended and started again."""
    bound: tuple[str, ...] = ()
    """Listening sockets that are bound to the NIC by its name, in words."""
    fail_over_mac: str = ""
    """Of a bond; ``""`` for anything else."""
    manager: str = ""
    """Who keeps the node's network configuration over reboots, as far as it can be told."""

    @property
    def nic_link(self) -> Link:
        """The NIC. Raises LookupError when there is none: ``refuse`` looks first."""
        link = self.before.link(self.nic)
        if link is None:
            raise LookupError(self.nic)
        return link

    def sysctl(self, path: str) -> str | None:
        """A setting as it was; None when this kernel has none of that name."""
        return self.before.sysctls.get(path)


def default_nics(before: Snapshot) -> tuple[str, ...]:
    """The interfaces of the best default routes (IPv4, else IPv6), best first; two when they are equally good."""
    for family in (2, 10):
        routes = [
            r for r in before.routes if r.family == family and r.dst == "default" and r.table == 254 and r.dev
        ]
        if routes:
            best = min(route.metric or 0 for route in routes)
            return tuple(dict.fromkeys(str(route.dev) for route in routes if (route.metric or 0) == best))
    return ()


def look(kernel: Kernel, nic: str, bridge: str, *, manager: str = "", sys: Path = Path("/sys")) -> View:
    """Observe the node. Raises ``KernelError`` when the kernel does not answer."""
    devices = (nic, bridge, "default")
    paths = [conf(family, dev, name) for family, names in COPIED.items() for name in names for dev in devices]
    before = snapshot(kernel, [*paths, *RELAXED])
    folder = sys / "class" / "net" / nic
    client = find(nic)
    return View(
        nic=nic, bridge=bridge, before=before, client=client, lease=_lease(before, nic, bridge, client),
        wireless=(folder / "wireless").exists() or (folder / "phy80211").exists(),
        unhandled=unhandled(nic, [link.name for link in before.links]),
        bound=listeners(nic), fail_over_mac=_first_word(folder / "bonding" / "fail_over_mac"), manager=manager,
    )  # fmt: skip


def _lease(
    before: Snapshot, nic: str, bridge: str, client: Client | None
) -> Mapping[str, str | int | float | None] | None:
    """The hand-over for an address with an end, or of a DHCP client that runs."""
    link = before.link(nic)
    addresses = [a for a in before.addresses_of(nic) if ":" not in a.address]
    dynamic = [a for a in addresses if a.valid_lft is not None] or (
        addresses[:1] if client is not None else []
    )
    if link is None or not dynamic:
        return None
    address: Address = dynamic[0]
    host = address.address.partition("/")[0]
    known = lease_of(client, nic, host, link.address) if client is not None else {}
    expires = None if address.valid_lft is None else time.time() + address.valid_lft
    return {"bridge": bridge, "mac": link.address, "address": address.address, "expires": expires, **known}


def _first_word(path: Path) -> str:
    try:
        return path.read_text().split()[0]
    except (OSError, IndexError):
        return ""
