"""The names of the machine: its states (RFC 2131 figure 5) and the symbols an event is judged to be."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from brdhcp.dhcp.lease import Lease


class State(Enum):
    """The states of RFC 2131 figure 5, and PROBING (the ARP check of §4.4.1) and RELEASED (the end)."""

    INIT = "INIT"
    SELECTING = "SELECTING"
    REQUESTING = "REQUESTING"
    PROBING = "PROBING"
    BOUND = "BOUND"
    RENEWING = "RENEWING"
    REBINDING = "REBINDING"
    INIT_REBOOT = "INIT_REBOOT"
    REBOOTING = "REBOOTING"
    RELEASED = "RELEASED"


class Symbol(Enum):
    """What an event means in the state it meets; the value is how the diagram words it."""

    START = "start"
    REBOOT = "rebooted"
    OFFER = "DHCPOFFER"
    ACK = "DHCPACK"
    ACK_UNPROBED = "DHCPACK, probe still out"
    ACK_CONFLICT = "DHCPACK, but in use"
    NAK = "DHCPNAK"
    RETRY = "no answer yet"
    UNANSWERED = "no answer at all"
    PATIENCE = "patience over"
    FREE = "address free"
    CONFLICT = "ARP conflict"
    T1 = "T1"
    T2 = "T2"
    EXPIRY = "lease expired"
    NUDGE = "nudge"
    RELEASE = "release"
    UNUSABLE = "unusable message"


class Fact(NamedTuple):
    """A judged event: the symbol, and what came with it."""

    symbol: Symbol
    lease: Lease | None = None
    mac: str = ""
    reason: str = ""
