"""Who a client is towards the server, and how it behaves: two small values that thousands of clients may
share.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from ipaddress import IPv4Address

from brdhcp.dhcp.backoff import Backoff
from brdhcp.dhcp.options import DEFAULT_REQUEST, Option

MAX_CLIENT_ID = 255
MAX_LABEL = 63


@dataclass(frozen=True, slots=True)
class Identity:
    """``client_id`` is option 61 with its type octet, None to be known by ``chaddr`` alone; ``request`` is
    option 55.

    ``provide`` are options to send besides; an entry wins over what the machine would have sent under that
    code, and one for option 61 is the client's identity in every message, DHCPRELEASE included.
    """

    chaddr: bytes
    client_id: bytes | None = None
    hostname: str = ""
    request: tuple[int, ...] = DEFAULT_REQUEST
    provide: tuple[tuple[int, bytes], ...] = ()
    vendor_class: bytes = b""

    @property
    def effective_client_id(self) -> bytes | None:
        """Option 61 as it is sent."""
        return dict(self.provide).get(Option.CLIENT_ID, self.client_id)


class ProbeKind(Enum):
    """How an address is checked by ARP before it is used (RFC 2131 §4.4.1)."""

    NONE = "none"
    FAST = "fast"
    RFC5227 = "rfc5227"


@dataclass(frozen=True, slots=True)
class Policy:
    """How a client behaves. Times in seconds.

    ``patience_s``: an acquisition ends with ``Exhausted`` after it (infinite: never). ``reboot_patience_s``:
    so long is a lease verified before it is simply used on. ``requests``: DHCPREQUESTs per offer, at least.
    ``decline_wait_s``: the pause after DHCPDECLINE, ten seconds at least says RFC 2131 §3.1; while somebody
    waits for an address it is shortened to an eighth of the patience that is left. ``fast_probe_s``: how long
    the one probe of ``fast`` waits for an answer at least (twice as long as the offer took, where that is
    more, up to ten times this); it goes out together with the DHCPREQUEST, so the exchange is part of the
    wait. ``resume_spread_s``: renewals that are overdue when a client is resumed are spread
    over so long, so that a restart with a thousand leases is no stampede.
    """

    patience_s: float = 10.0
    reboot_patience_s: float = 10.0
    backoff: Backoff = field(default_factory=Backoff)
    requests: int = 4
    broadcast: bool = True
    probe: ProbeKind = ProbeKind.FAST
    fast_probe_s: float = 0.005
    decline_wait_s: float = 10.0
    resume_spread_s: float = 5.0
    trusted_servers: frozenset[IPv4Address] = frozenset()
    max_message_size: int = 1472

    def trusts(self, server: IPv4Address | None) -> bool:
        """Whether an answer with this server identifier, or with none, may count."""
        return not self.trusted_servers or server in self.trusted_servers

    @property
    def probes(self) -> int:
        """Number of ARP probes per address."""
        return {ProbeKind.NONE: 0, ProbeKind.FAST: 1, ProbeKind.RFC5227: 3}[self.probe]

    def probe_wait(self, sent: int, chance: float) -> float:
        """Seconds to wait after the ``sent``-th probe (RFC 5227 §1.1: 1–2 s between probes, 2 s after the
        last).
        """
        if self.probe is ProbeKind.FAST:
            return self.fast_probe_s
        return 1 + chance if sent < self.probes else 2.0


def client_id(container_id: str, network: str, if_name: str) -> bytes:
    """Option 61 as the reference dhcp plugin makes it: type 0, then the three joined by ``/`` and cut to 254
    octets.
    """
    return b"\0" + f"{container_id}/{network}/{if_name}".encode()[: MAX_CLIENT_ID - 1]


def client_id_from_mac(chaddr: bytes) -> bytes:
    """Option 61 as most clients make it: hardware type (1, Ethernet) and address (RFC 2132 §9.14)."""
    return b"\1" + chaddr


def client_id_from_duid(iaid: int, duid: bytes) -> bytes:
    """Option 61 of RFC 4361 §6.1: type 255, the interface's IAID, the host's DUID. systemd-networkd sends
    this one.
    """
    return b"\xff" + iaid.to_bytes(4, "big") + duid


def host_name(name: str) -> str:
    """A host name for option 12 from any name, such as a pod's: its legal characters, lower case, at most one
    label.
    """
    kept = "".join(c if c.isascii() and c.isalnum() else "-" for c in name.partition(".")[0].lower())
    return kept[:MAX_LABEL].strip("-")
