"""Namespaces of pods: opening the one that a record means, and telling a dead one from a living one.

A path alone proves nothing: after a reboot, or when a runtime uses a name again, another namespace may be behind it.
So a record carries the namespace's identity and the boot it was seen in, and both must still be right. A path that
means nothing in our mount namespace (an agent in a container) is made up for by looking through ``/proc``. Even the
identity of a dead namespace may be another's by now: then the pod's link is gone, and the namespace's cookie differs.
"""

from __future__ import annotations

import contextlib
import errno
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from brdhcp.errors import InvalidNamespace, StoreFailure
from brdhcp.netlink import netns
from brdhcp.store.leases import Attachment

SYS = Path("/sys/class/net")
COOKIE = "netnsCookie"
"""What a record's ``extra`` calls the cookie of its namespace."""


@cache
def boot_id() -> str:
    """The kernel's name for this boot (random(4))."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def open_path(path: str) -> int:
    """A descriptor of the namespace at ``path``; the caller closes it.

    Raises ``InvalidNamespace``, and ``StoreFailure`` when it may well be there but we have no descriptor left to look.
    """
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
            raise StoreFailure(
                f"CNI_NETNS {path!r} cannot be opened now: {error.strerror}", "LimitNOFILE of brdhcpd.service"
            ) from error
        raise InvalidNamespace(
            f"CNI_NETNS {path!r} cannot be opened: {error.strerror}",
            "the container is gone, or its runtime keeps namespaces where the agent cannot see them",
        ) from error


@cache
def own() -> tuple[int, int]:
    """The identity of the agent's own network namespace: it never leaves that."""
    return netns.identity("/proc/self/ns/net")


def is_own(fd: int) -> bool:
    """Whether ``fd`` is the agent's own network namespace: a pod's interface must not be made there."""
    return netns.identity(fd) == own()


def find(record: Attachment) -> int:
    """A descriptor of the record's namespace, or -1 when that is gone."""
    if record.netns_identity is None or record.boot_id != boot_id():
        return -1
    with contextlib.suppress(InvalidNamespace):
        if (fd := _opened(record, record.netns)) >= 0:
            return fd
    path = of_processes().get(record.netns_identity)
    if path is not None:
        with contextlib.suppress(InvalidNamespace):
            return _opened(record, path)
    return -1


def _opened(record: Attachment, path: str) -> int:
    """A descriptor of the namespace at ``path`` if it is the record's, or -1."""
    fd = open_path(path)
    try:
        if netns.identity(fd) == record.netns_identity and _is_the_same(record, fd):
            return fd
    except InvalidNamespace:
        os.close(fd)
        raise
    os.close(fd)
    return -1


def _is_the_same(record: Attachment, fd: int) -> bool:
    """Whether a namespace with the right identity is still the one: a dead one has taken the pod's link with it."""
    known = record.extra.get(COOKIE)
    return known is None or _has_link(record) or netns.cookie(fd) == known


def _has_link(record: Attachment) -> bool:
    return bool(record.veth) and (SYS / record.veth).exists()


def alive(record: Attachment) -> bool:
    """Whether the record's namespace still exists."""
    fd = find(record)
    close(fd)
    return fd >= 0


def at_its_path(record: Attachment) -> bool:
    """Whether the record's namespace is where the runtime said: cheaper than ``alive``, and not the last word."""
    return is_at(record, record.netns)


def is_at(record: Attachment, path: str) -> bool:
    """Whether the record's namespace is the one at ``path``."""
    if record.netns_identity is None or record.boot_id != boot_id():
        return False
    try:
        if netns.identity(path) != record.netns_identity:
            return False
        if _has_link(record):
            return True
        fd = _opened(record, path)
    except InvalidNamespace:
        return False
    close(fd)
    return fd >= 0


def of_processes() -> dict[tuple[int, int], str]:
    """The network namespaces that processes are in: identity to a path under ``/proc``."""
    found: dict[tuple[int, int], str] = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            path = f"/proc/{entry.name}/ns/net"
            with contextlib.suppress(InvalidNamespace):
                found.setdefault(netns.identity(path), path)
    return found


def close(fd: int) -> None:
    """Close a descriptor of ``find``; -1 is none."""
    if fd >= 0:
        os.close(fd)


@dataclass(slots=True)
class PodPort:
    """Frames leave through the pod's own interface, inside its namespace."""

    record: Attachment
    mac: str

    def enter(self) -> tuple[int, str]:
        fd = find(self.record)
        if fd < 0:
            raise InvalidNamespace(
                f"the namespace {self.record.netns} of {self.record.key} is gone", "its lease is given back"
            )
        return fd, self.record.if_name

    @property
    def heard_as(self) -> str:
        return self.mac


@dataclass(slots=True)
class NodePort:
    """Frames leave through an interface of the node, with the pod's MAC: when the pod's own interface is gone."""

    if_name: str
    mac: str

    def enter(self) -> tuple[int, str]:
        return -1, self.if_name

    @property
    def heard_as(self) -> str:
        """The interface's own MAC: a bridge does not bring us what is for another one."""
        try:
            return (SYS / self.if_name / "address").read_text().strip()
        except OSError:
            return self.mac


@dataclass(slots=True)
class OpenPort:
    """The pod's own interface, by a descriptor that the caller keeps: while ADD is at work."""

    fd: int
    if_name: str
    mac: str

    def enter(self) -> tuple[int, str]:
        return os.dup(self.fd), self.if_name

    @property
    def heard_as(self) -> str:
        return self.mac
