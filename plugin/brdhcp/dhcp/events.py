"""What may happen to a client, and what a client wants done: the two vocabularies of ``Client.step``.

The caller turns sockets and timers into events and effects into packets and timers. It keeps one timer per
client: ``SetTimer`` replaces it, and when it fires the caller hands in ``TimerFired`` (early is harmless).
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import NamedTuple

from brdhcp.dhcp.frame import BROADCAST_ADDRESS, BROADCAST_MAC, unicast_frame
from brdhcp.dhcp.lease import Lease
from brdhcp.dhcp.message import Message


@dataclass(frozen=True, slots=True)
class Start:
    """Begin: from INIT with DHCPDISCOVER, from INIT_REBOOT with DHCPREQUEST; a resumed client
    sets its timer.
    """


@dataclass(frozen=True, slots=True)
class Rebooted:
    """The node or its network may have been another one meanwhile: verify the lease (RFC 2131 §3.2)."""


@dataclass(frozen=True, slots=True)
class Received:
    """A message came in; ``server_mac`` is the source of its frame."""

    message: Message
    server_mac: str | None = None


@dataclass(frozen=True, slots=True)
class TimerFired:
    """The time of the last ``SetTimer`` has come."""


@dataclass(frozen=True, slots=True)
class AddressFree:
    """Whoever probes knows already that nobody has the address; without it the machine waits as its policy
    says.
    """


@dataclass(frozen=True, slots=True)
class AddressConflict:
    """``mac`` answered for the address that is probed (``frame.conflicting`` tells)."""

    mac: str


@dataclass(frozen=True, slots=True)
class Release:
    """Give the lease back and stop. Handed in again it sends another copy: DHCPRELEASE is never answered."""


@dataclass(frozen=True, slots=True)
class Nudge:
    """Renew now."""


Event = Start | Rebooted | Received | TimerFired | AddressFree | AddressConflict | Release | Nudge


class Destination(NamedTuple):
    """Where a message goes; ``mac`` None when the server's MAC was never learned."""

    address: IPv4Address
    mac: str | None


BROADCAST = Destination(BROADCAST_ADDRESS, BROADCAST_MAC)


@dataclass(frozen=True, slots=True)
class Send:
    """Send ``message`` from the client's MAC; the IP source is its ``ciaddr`` (unconfigured clients have
    0.0.0.0).
    """

    message: Message
    destination: Destination

    def frame(self, source_mac: str) -> bytes:
        """The whole Ethernet frame."""
        to = self.destination
        return unicast_frame(self.message.encode(), source_mac, self.message.ciaddr, to.mac, to.address)


@dataclass(frozen=True, slots=True)
class SetTimer:
    """Hand in ``TimerFired`` at ``at`` on the monotonic clock; None: no timer is wanted."""

    at: float | None


@dataclass(frozen=True, slots=True)
class Probe:
    """Send one ARP probe for ``address`` (``frame.arp_probe``) and report ``AddressConflict`` if somebody has
    it.
    """

    address: IPv4Address


@dataclass(frozen=True, slots=True)
class Bound:
    """A lease was acquired, for the first time or anew after ``Lost``. Persist it before telling anybody."""

    lease: Lease


@dataclass(frozen=True, slots=True)
class Renewed:
    """The same configuration with new lifetimes. Persist it."""

    lease: Lease


@dataclass(frozen=True, slots=True)
class Changed:
    """The lease goes on with another configuration; ``old.differences(new)`` says what changed."""

    old: Lease
    new: Lease


@dataclass(frozen=True, slots=True)
class Lost:
    """``lease`` is not ours any more, because of ``reason``. The machine goes on asking for
    the same address.
    """

    lease: Lease
    reason: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The server answered our request with DHCPNAK; the machine starts over."""

    reason: str


@dataclass(frozen=True, slots=True)
class Declined:
    """``mac`` has the address already; DHCPDECLINE was sent, the machine waits and asks for another one."""

    address: IPv4Address
    mac: str


@dataclass(frozen=True, slots=True)
class Ignored:
    """A message for us that cannot be used; counted and kept for ``Exhausted``, worth a debug
    line at most.
    """

    reason: str


class Tried(NamedTuple):
    """What an acquisition has tried so far; as text it is the second half of *no lease: …*."""

    seconds: float = 0.0
    discovers: int = 0
    offers: int = 0
    requests: int = 0
    reasons: tuple[str, ...] = ()

    def __str__(self) -> str:
        counts = f"{self.discovers} DHCPDISCOVER, {self.offers} DHCPOFFER, {self.requests} DHCPREQUEST"
        return "; ".join((f"{counts} in {self.seconds:.1f} s", *self.reasons))


@dataclass(frozen=True, slots=True)
class Exhausted:
    """The patience for an acquisition is over; the machine is back in INIT and does nothing
    until ``Start``.
    """

    tried: Tried


Effect = (
    Send | SetTimer | Probe | Bound | Renewed | Changed | Lost | Refused | Declined | Ignored | Exhausted
)  # fmt: skip
Effects = tuple[Effect, ...]
