"""The only door to the kernel: changes in, observations out, over one raw NETLINK_ROUTE socket.

A :class:`Kernel` costs one ``socket(2)``: no thread, no event loop, nothing cached between calls, so that it
can be opened per request and never knows a link that is gone. Neighbouring netlink changes travel in one
``send(2)``: the kernel works a batch off without ever returning to us.
"""

from __future__ import annotations

import contextlib
import errno
import os
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from ipaddress import IPv4Interface
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from brdhcp.errors import CniError
from brdhcp.netlink import decode, links, netns, router
from brdhcp.netlink.change import (
    Address,
    AddressAdd,
    AddressDelete,
    Change,
    DefaultRouter,
    LinkAdd,
    LinkDelete,
    LinkSet,
    NeighbourAdd,
    Route,
    RouteAdd,
    RouteDelete,
    Rule,
    RuleAdd,
    RuleDelete,
    SysctlSet,
)
from brdhcp.netlink.describe import describe
from brdhcp.netlink.encode import AF_INET, AF_INET6, KERNEL_OWNED_ADDRESS_FLAGS, requests
from brdhcp.netlink.observe import Link
from brdhcp.netlink.rtnetlink import HEADER, Request, RouteSocket

T = TypeVar("T")

RTM_GETLINK, RTM_GETADDR, RTM_GETROUTE, RTM_GETNEIGH, RTM_GETRULE = 18, 22, 26, 30, 34
RTM_DELLINK, RTM_SETLINK = 17, 19
IFLA_IFNAME, IFLA_GROUP, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS = 3, 27, 29, 8
DOOMED = struct.pack("=HHI", 8, IFLA_GROUP, 0x62726468)
"""The group (ip-link(8)) that links are put into to be deleted together: a number that nobody else uses."""
ALL_LINKS = struct.pack("=BxHiIIHHI", 0, 0, 0, 0, 0, 8, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS)
ALL_ADDRESSES = struct.pack("=BBBBI", 0, 0, 0, 0, 0)
ALL_ROUTES = tuple(struct.pack("=8BI", family, *[0] * 8) for family in (AF_INET, AF_INET6))
ALL_RULES = ALL_ROUTES
ALL_NEIGHBOURS = tuple(struct.pack("=BxxxiHBB", family, 0, 0, 0, 0) for family in (AF_INET, AF_INET6))

MISSING: dict[type[object], frozenset[int]] = {
    LinkDelete: frozenset({errno.ENODEV}),
    AddressDelete: frozenset({errno.ENODEV, errno.EADDRNOTAVAIL}),
    RouteDelete: frozenset({errno.ENODEV, errno.ESRCH}),
    RuleDelete: frozenset({errno.ENOENT}),
}
"""What the kernel says when that which should go is gone already: counted as success."""


class KernelError(CniError):
    """The kernel refused one change; ``msg`` is the command a person would have typed and what the kernel
    said."""

    code = 5

    def __init__(self, change: Change, number: int, said: str = "") -> None:
        name = errno.errorcode.get(number, str(number))
        super().__init__(f"{describe(change)}: {name}, {os.strerror(number)}", said)
        self.change = change
        self.errno = number


class Kernel:
    """One network namespace: the one it is opened in, or with :meth:`in_netns` another one."""

    def __init__(self, sock: RouteSocket | None = None, proc: Path = Path("/proc")) -> None:
        self._sock = RouteSocket() if sock is None else sock
        self._proc = proc
        self._netns: int | None = None

    @classmethod
    def in_netns(cls, fd: int) -> Kernel:
        """The namespace that ``fd`` is open on (which may be closed afterwards). Raises InvalidNamespace."""
        kernel = cls(netns.run_in(fd, RouteSocket))
        kernel._netns = os.dup(fd)
        return kernel

    def close(self) -> None:
        self._sock.close()
        if self._netns is not None:
            os.close(self._netns)
            self._netns = None

    def __enter__(self) -> Kernel:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def apply(self, changes: Sequence[Change]) -> None:
        """Do ``changes`` in order; raises :class:`KernelError` for the first that the kernel refuses.

        Neighbouring netlink changes go in one send, and the kernel goes on past a message that it refuses:
        after an error later changes of the same batch may be done, so undo all of them. To remove what is
        gone is success; to add what is there is success if it is the same (lifetimes aside), else EEXIST.
        """
        batch: list[Change] = []
        for change in changes:
            if not isinstance(change, SysctlSet | DefaultRouter):
                batch.append(change)
                if not isinstance(change, LinkAdd) and not (isinstance(change, LinkSet) and change.new_name):
                    continue  # after those two the names have other numbers: send what there is
            self._send(batch)
            batch = []
            if isinstance(change, SysctlSet):
                self._write_sysctl(change)
            elif isinstance(change, DefaultRouter):
                self._add_router(change)
        self._send(batch)

    def _send(self, batch: Sequence[Change]) -> None:
        known: dict[str, int] = {}

        def index(name: str) -> int:
            if name not in known:
                known[name] = self._index(name)
            return known[name]

        asked = []
        for change in batch:
            try:
                asked += [(change, request) for request in requests(change, index)]
            except LookupError as error:
                if errno.ENODEV not in MISSING.get(type(change), ()):
                    raise KernelError(change, errno.ENODEV, str(error.args[0])) from error
        answers = self._sock.exchange([request for _, request in asked]) if asked else []
        for (change, _), (number, said) in zip(asked, answers, strict=True):
            if number and number not in MISSING.get(type(change), ()):
                if number == errno.EEXIST and self._is_there(change):
                    continue
                raise KernelError(change, number, said)

    def _index(self, name: str) -> int:
        message = self._sock.get(RTM_GETLINK, _by_name(name))
        if message is None:
            raise LookupError(f"there is no link {name}")
        return int(struct.unpack_from("=i", message, HEADER.size + 4)[0])

    def _is_there(self, change: Change) -> bool:
        match change:
            case AddressAdd(address=wanted):
                return any(same_address(wanted, here) for here in self.addresses())
            case RouteAdd(route=wanted):
                return any(same_route(wanted, here) for here in self.routes())
            case RuleAdd():
                return True  # the kernel compares every attribute before it says EEXIST
            case LinkAdd(name=name, kind="bridge"):
                here = self.link(name)
                return here is not None and _same_bridge(change, here)
        return False

    def sysctl(self, path: str) -> str | None:
        """The value of ``/proc/sys/net/<path>``; None when there is no such file."""

        def read() -> str | None:
            try:
                return (self._proc / "sys/net" / path).read_text().strip()
            except OSError:
                return None

        return self._here(read)

    def _write_sysctl(self, change: SysctlSet) -> None:
        file = self._proc / "sys/net" / change.path
        try:
            self._here(lambda: file.write_text(change.value))
        except OSError as error:
            raise KernelError(change, error.errno or errno.EIO) from error

    def _add_router(self, change: DefaultRouter) -> None:
        try:
            self._here(lambda: router.add(change))
        except OSError as error:
            raise KernelError(change, error.errno or errno.EIO) from error

    def solicit_routers(self, dev: str) -> None:
        """Ask the IPv6 routers on ``dev`` to announce themselves; that nobody may answer, or hear it, is no error."""
        link = self.link(dev)
        if link is not None:
            with contextlib.suppress(OSError):
                self._here(lambda: router.solicit(dev, link.address))

    def _here(self, call: Callable[[], T]) -> T:
        return call() if self._netns is None else netns.run_in(self._netns, call)

    def links(self) -> tuple[Link, ...]:
        found = self._sock.dump(RTM_GETLINK, ALL_LINKS)
        names = dict(map(links.index_and_name, found))
        return tuple(links.link(message, names.get) for message in found)

    def link(self, name: str) -> Link | None:
        """One link by name, without a dump."""
        data = self._sock.get(RTM_GETLINK, _by_name(name))
        return None if data is None else links.link(data, self._name)

    def index(self, name: str) -> int | None:
        """The number of one link; None when there is none of that name."""
        try:
            return self._index(name)
        except LookupError:
            return None

    def _name(self, index: int) -> str | None:
        data = self._sock.get(RTM_GETLINK, struct.pack("=BxHiII", 0, 0, index, 0, 0))
        return None if data is None else links.index_and_name(data)[1]

    def ipv4_addresses(self, dev: str) -> tuple[IPv4Interface, ...]:
        """The IPv4 addresses of one link, in the kernel's order; none when it is not there."""
        try:
            index = self._index(dev)
        except LookupError:
            return ()
        asked = struct.pack("=BBBBI", AF_INET, 0, 0, 0, index)
        try:
            found = map(links.ipv4_address, self._sock.dump(RTM_GETADDR, asked))
        except OSError:
            return ()  # gone between the two questions
        return tuple(each[1] for each in found if each is not None and each[0] == index)

    def delete_links(self, named: Mapping[int, str]) -> None:
        """Remove links by their indices as one: the kernel waits once for all of them, not some 20 ms for each.

        Several are put into a group of their own, and the group is deleted (RTM_DELLINK with IFLA_GROUP). Those that
        are gone already count as removed, also when another caller takes them along. Raises KernelError, with the name.
        """
        bodies = [_numbered(index) for index in named]
        if len(named) > 1:
            self._unless_gone(named.values(), [(RTM_SETLINK, 0, body + DOOMED) for body in bodies])
            bodies = [_numbered(0) + DOOMED]
        self._unless_gone(named.values(), [(RTM_DELLINK, 0, body) for body in bodies])

    def _unless_gone(self, names: Iterable[str], requests: Sequence[Request]) -> None:
        for name, (number, said) in zip(names, self._sock.exchange(requests), strict=False):
            if number not in (0, errno.ENODEV):
                raise KernelError(LinkDelete(name=name), number, said)

    def addresses(self) -> tuple[Address, ...]:
        """In the kernel's order."""
        names = self._names()
        return tuple(
            decode.address(decode.message(data), names)
            for data in self._sock.dump(RTM_GETADDR, ALL_ADDRESSES)
        )

    def routes(self) -> tuple[Route, ...]:
        """Of all tables, IPv4 before IPv6; cached ones left out."""
        names = self._names()
        found = (
            decode.route(decode.message(data), names)
            for body in ALL_ROUTES
            for data in self._sock.dump(RTM_GETROUTE, body)
        )
        return tuple(route for route in found if route is not None)

    def rules(self) -> tuple[Rule, ...]:
        """IPv4 before IPv6, each in the order they are asked in."""
        return tuple(
            decode.rule(decode.message(data))
            for body in ALL_RULES
            for data in self._sock.dump(RTM_GETRULE, body)
        )

    def neighbours(self) -> tuple[NeighbourAdd, ...]:
        """Those with a link-layer address."""
        names = self._names()
        found = (
            decode.neighbour(decode.message(data), names)
            for body in ALL_NEIGHBOURS
            for data in self._sock.dump(RTM_GETNEIGH, body)
        )
        return tuple(entry for entry in found if entry is not None)

    def _names(self) -> Callable[[int], str | None]:
        return dict(map(links.index_and_name, self._sock.dump(RTM_GETLINK, ALL_LINKS))).get


def same_address(wanted: Address, here: Address) -> bool:
    """The same address in the same place; lifetimes and what only the kernel sets are not compared."""
    return _plain(wanted) == _plain(
        replace(here, label=here.label if wanted.label else None, proto=here.proto if wanted.proto else None)
    )


def _plain(address: Address) -> Address:
    return replace(
        address, flags=address.flags & ~KERNEL_OWNED_ADDRESS_FLAGS, valid_lft=None, preferred_lft=None
    )


def same_route(wanted: Route, here: Route) -> bool:
    """The same route; what ``wanted`` leaves to the kernel (metric, preference) and the expiry are not
    compared."""
    return replace(wanted, expires=None) == replace(
        here,
        expires=None,
        metric=here.metric if wanted.metric is not None else None,
        pref=here.pref if wanted.pref is not None else None,
    )


def _same_bridge(wanted: LinkAdd, here: Link) -> bool:
    return (
        here.kind == wanted.kind
        and wanted.address in (None, here.address)
        and wanted.mtu in (None, here.mtu)
        and (wanted.master or None) == here.master
        and all(here.bridge.get(name) == value for name, value in wanted.data.items())
    )


def _by_name(name: str) -> bytes:
    value = name.encode() + b"\0"
    attr = struct.pack("=HH", 4 + len(value), IFLA_IFNAME) + value
    return struct.pack("=BxHiII", 0, 0, 0, 0, 0) + attr + b"\0" * (-len(attr) % 4)


def _numbered(index: int) -> bytes:
    """A link by its index; 0 for none in particular."""
    return links.IFINFO.pack(0, 0, index, 0, 0)
