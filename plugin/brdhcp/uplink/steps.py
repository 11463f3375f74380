"""What a migration consists of: steps of kernel changes and of a few things beside the kernel, all of them data."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from brdhcp.netlink.change import Change
from brdhcp.netlink.describe import describe


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientStop:
    """End the node's own DHCP client without letting it release or remove the address (SIGKILL)."""

    pid: int
    started: int
    """Start time in clock ticks (proc(5), field 22), so that another process of that number is never ended."""
    argv: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientStart:
    """Start the node's own DHCP client again, unless it runs."""

    nic: str
    argv: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseHandOver:
    """From now on the agent renews the node's lease (``brdhcp.store.handover.NodeLease``, as a mapping)."""

    lease: Mapping[str, str | int | float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseTakeBack:
    """The agent lets the node's lease go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressesReady:
    """Wait until no address of the link is tentative: the kernel finishes with a new IPv6 address a moment later."""

    dev: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NeighboursCopied:
    """What ``source`` knows of its neighbours at this moment ``dev`` knows too: nobody has to be asked first."""

    source: str
    dev: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutersAsked:
    """Ask the IPv6 routers on ``dev`` to announce themselves now, so that the kernel has its own routes again."""

    dev: str


Action = (
    Change
    | AddressesReady
    | ClientStop
    | ClientStart
    | LeaseHandOver
    | LeaseTakeBack
    | NeighboursCopied
    | RoutersAsked
)
OURS = (
    AddressesReady, ClientStop, ClientStart, LeaseHandOver, LeaseTakeBack, NeighboursCopied, RoutersAsked,
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One step: done as a whole, undone as a whole. ``ready`` names a link that must be up before the next step."""

    title: str
    do: tuple[Action, ...]
    undo: tuple[Action, ...]
    ready: str = ""


def command(action: Action) -> str:
    """The command that a person would type for it."""
    match action:
        case ClientStop(pid=pid, argv=argv):
            return f"kill -KILL {pid}  # {shlex.join(argv)}"
        case ClientStart(argv=argv):
            return shlex.join(argv)
        case LeaseHandOver(lease=lease):
            return f"# brdhcpd renews {lease['address']} from now on"
        case AddressesReady(dev=dev):
            return f"# wait until no address of {dev} is tentative"
        case NeighboursCopied(source=source, dev=dev):
            return f"# {dev} knows the neighbours of {source}"
        case RoutersAsked(dev=dev):
            return f"# ask the routers on {dev} to announce themselves"
        case LeaseTakeBack():
            return "# brdhcpd stops renewing the node's address"
        case _:
            return describe(action)
