"""A node for plans: what the kernel would say, as data."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

from brdhcp.netlink.change import Address, NeighbourAdd, Route, Rule
from brdhcp.netlink.observe import IFF_LOOPBACK, IFF_UP, Link, Snapshot
from brdhcp.uplink.view import COPIED, View, conf

MAC = "02:00:5e:00:00:10"
LO = Link(name="lo", index=1, flags=IFF_LOOPBACK | IFF_UP, mtu=65536)
ETH0 = Link(name="eth0", index=2, address=MAC, mtu=1500, flags=IFF_UP, carrier=True, operstate="up")
STATIC = Address(dev="eth0", address="172.16.91.10/24", broadcast="172.16.91.255", label="eth0", flags=0x80)
ON_LINK = Route(family=2, dst="172.16.91.0/24", dev="eth0", prefsrc="172.16.91.10", scope=253, proto=2)
DEFAULT = Route(family=2, dst="default", dev="eth0", gateway="172.16.91.2")
ROUTER = Route(
    family=10, dst="default", dev="eth0", gateway="fe80::1", metric=1024, proto=9, expires=1800, pref=0
)
GATEWAY = NeighbourAdd(dev="eth0", dst="172.16.91.2", lladdr="02:00:00:00:00:02", state=2)


def view(
    *, links: tuple[Link, ...] = (), addresses: tuple[Address, ...] = (STATIC,), routes: tuple[Route, ...] = (),
    rules: tuple[Rule, ...] = (), sysctls: dict[str, str] | None = None, nic: str = "eth0", bridge: str = "mybr0",
    **more: Any,
) -> View:  # fmt: skip
    """The node of the note, plus what is given; every setting that is copied is 0 on the NIC and by default."""
    known = {
        conf(f, dev, n): "0" for f, names in COPIED.items() for n in names for dev in ("eth0", "default")
    }
    before = Snapshot(
        links=(LO, ETH0, *links), addresses=addresses, routes=(ON_LINK, DEFAULT, *routes), rules=rules,
        neighbours=(GATEWAY,), sysctls=MappingProxyType({**known, **(sysctls or {})}),
    )  # fmt: skip
    return View(nic=nic, bridge=bridge, before=before, **more)
