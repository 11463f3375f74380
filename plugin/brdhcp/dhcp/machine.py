"""The DHCP client as a table: RFC 2131 figure 5, with the ARP check of §4.4.1 and the end of a pod added.

                                                            start
   INIT_REBOOT                                    ┌──────────────────────────── INIT ◄───────────┐
        │ start                                   │ DHCPDISCOVER                ▲  ▲             │
        │ DHCPREQUEST                             ▼                             │  │ DHCPNAK     │ ARP
        ▼          rebooted,                  SELECTING ─── patience over ──────┘  │ no answer   │ conflict,
    REBOOTING ◄─── DHCPREQUEST ─┐                 │ DHCPOFFER                      │ patience    │ DHCPDECLINE
     │      │                   │                 │ DHCPREQUEST                    │             │
     │ ACK  │ no answer:        │                 ▼                                │             │
     │      │ use it on         │            REQUESTING ───────────────────────────┘             │
     │      │                   │              │     │ DHCPACK, probe still out                 │
     │      │                   │              │     └──────────────► PROBING ──────────────────┘
     ▼      ▼                   │      DHCPACK ▼                         │
    ┌───────────────────────────┴─────────────────────┐  address free    │
    │                      BOUND                      │◄─────────────────┘
    └──┬──────────────────────────────▲──────────▲────┘
       │ T1 or nudge,                 │ DHCPACK  │ DHCPACK
       │ DHCPREQUEST to the server    │          │
       ▼                              │          │
    RENEWING ─────────────────────────┘          │          from RENEWING, REBINDING, REBOOTING:
       │ T2, DHCPREQUEST to all                  │          DHCPNAK or expiry ─► INIT, the lease is lost
       ▼                                         │
    REBINDING ───────────────────────────────────┘          from everywhere: release ─► RELEASED

No socket, no clock, no thread: ``client, effects = client.step(event, now)``. A pair of state and symbol that
has no row does nothing. ``diagram.mermaid`` draws the same table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from typing import NamedTuple

from brdhcp.dhcp import actions
from brdhcp.dhcp.actions import NEVER, Action
from brdhcp.dhcp.events import (
    BROADCAST,
    AddressConflict,
    AddressFree,
    Bound,
    Changed,
    Declined,
    Destination,
    Effect,
    Effects,
    Event,
    Exhausted,
    Ignored,
    Lost,
    Nudge,
    Probe,
    Rebooted,
    Received,
    Refused,
    Release,
    Renewed,
    Send,
    SetTimer,
    Start,
    TimerFired,
    Tried,
)
from brdhcp.dhcp.identity import (
    Identity,
    Policy,
    ProbeKind,
    client_id,
    client_id_from_duid,
    client_id_from_mac,
    host_name,
)
from brdhcp.dhcp.judge import judge
from brdhcp.dhcp.lease import Lease
from brdhcp.dhcp.states import State, Symbol

__all__ = [
    "BROADCAST",
    "TABLE",
    "AddressConflict",
    "AddressFree",
    "Bound",
    "Changed",
    "Client",
    "Declined",
    "Destination",
    "Effect",
    "Effects",
    "Event",
    "Exhausted",
    "Identity",
    "Ignored",
    "Lease",
    "Lost",
    "Nudge",
    "Policy",
    "Probe",
    "ProbeKind",
    "Rebooted",
    "Received",
    "Refused",
    "Release",
    "Renewed",
    "Row",
    "Send",
    "SetTimer",
    "Start",
    "State",
    "Symbol",
    "TimerFired",
    "Tried",
    "client_id",
    "client_id_from_duid",
    "client_id_from_mac",
    "host_name",
]


class Row(NamedTuple):
    """In ``state``, ``symbol`` leads to ``target`` and does ``action``."""

    state: State
    symbol: Symbol
    target: State
    action: Action


def _rows() -> tuple[Row, ...]:
    s, y, a = State, Symbol, actions
    return (
        Row(s.INIT, y.START, s.SELECTING, a.begin),
        Row(s.INIT, y.RETRY, s.SELECTING, a.discover),
        Row(s.INIT, y.PATIENCE, s.INIT, a.exhausted),
        Row(s.INIT, y.RELEASE, s.RELEASED, a.release),
        Row(s.SELECTING, y.OFFER, s.REQUESTING, a.request),
        Row(s.SELECTING, y.RETRY, s.SELECTING, a.discover_again),
        Row(s.SELECTING, y.PATIENCE, s.INIT, a.exhausted),
        Row(s.SELECTING, y.RELEASE, s.RELEASED, a.release),
        Row(s.REQUESTING, y.ACK, s.BOUND, a.bind),
        Row(s.REQUESTING, y.ACK_UNPROBED, s.PROBING, a.hold),
        Row(s.REQUESTING, y.ACK_CONFLICT, s.INIT, a.decline),
        Row(s.REQUESTING, y.NAK, s.INIT, a.refused),
        Row(s.REQUESTING, y.RETRY, s.REQUESTING, a.request_again),
        Row(s.REQUESTING, y.UNANSWERED, s.INIT, a.forget_offer),
        Row(s.REQUESTING, y.CONFLICT, s.REQUESTING, a.note_conflict),
        Row(s.REQUESTING, y.PATIENCE, s.INIT, a.abandon),
        Row(s.REQUESTING, y.RELEASE, s.RELEASED, a.release),
        Row(s.PROBING, y.RETRY, s.PROBING, a.probe),
        Row(s.PROBING, y.FREE, s.BOUND, a.bind),
        Row(s.PROBING, y.CONFLICT, s.INIT, a.decline),
        Row(s.PROBING, y.RELEASE, s.RELEASED, a.release),
        Row(s.BOUND, y.START, s.BOUND, a.arm),
        Row(s.BOUND, y.T1, s.RENEWING, a.renew),
        Row(s.BOUND, y.NUDGE, s.RENEWING, a.renew),
        Row(s.BOUND, y.T2, s.REBINDING, a.rebind),
        Row(s.BOUND, y.EXPIRY, s.INIT, a.lose),
        Row(s.BOUND, y.REBOOT, s.REBOOTING, a.verify),
        Row(s.BOUND, y.RELEASE, s.RELEASED, a.release),
        Row(s.RENEWING, y.ACK, s.BOUND, a.renewed),
        Row(s.RENEWING, y.NAK, s.INIT, a.lose),
        Row(s.RENEWING, y.RETRY, s.RENEWING, a.renew),
        Row(s.RENEWING, y.NUDGE, s.RENEWING, a.renew),
        Row(s.RENEWING, y.T2, s.REBINDING, a.rebind),
        Row(s.RENEWING, y.EXPIRY, s.INIT, a.lose),
        Row(s.RENEWING, y.REBOOT, s.REBOOTING, a.verify),
        Row(s.RENEWING, y.RELEASE, s.RELEASED, a.release),
        Row(s.REBINDING, y.ACK, s.BOUND, a.renewed),
        Row(s.REBINDING, y.NAK, s.INIT, a.lose),
        Row(s.REBINDING, y.RETRY, s.REBINDING, a.rebind),
        Row(s.REBINDING, y.NUDGE, s.REBINDING, a.rebind),
        Row(s.REBINDING, y.EXPIRY, s.INIT, a.lose),
        Row(s.REBINDING, y.REBOOT, s.REBOOTING, a.verify),
        Row(s.REBINDING, y.RELEASE, s.RELEASED, a.release),
        Row(s.INIT_REBOOT, y.START, s.REBOOTING, a.verify),
        Row(s.INIT_REBOOT, y.RELEASE, s.RELEASED, a.release),
        Row(s.REBOOTING, y.ACK, s.BOUND, a.renewed),
        Row(s.REBOOTING, y.NAK, s.INIT, a.lose),
        Row(s.REBOOTING, y.RETRY, s.REBOOTING, a.verify_again),
        Row(s.REBOOTING, y.PATIENCE, s.BOUND, a.arm),
        Row(s.REBOOTING, y.EXPIRY, s.INIT, a.lose),
        Row(s.REBOOTING, y.RELEASE, s.RELEASED, a.release),
        Row(s.RELEASED, y.RELEASE, s.RELEASED, a.release),
    )


TABLE: Mapping[tuple[State, Symbol], Row] = {(row.state, row.symbol): row for row in _rows()}
"""The machine."""

UNTRIED = Tried()
_BY_EXPIRY = (State.BOUND, State.RENEWING, State.REBINDING, State.REBOOTING)
_BY_DEADLINE = (State.INIT, State.SELECTING, State.REQUESTING, State.REBOOTING)


@dataclass(frozen=True, slots=True)
class Client:
    """One DHCP client, a value. Times are on the caller's monotonic clock; infinity stands for never."""

    identity: Identity
    policy: Policy
    seed: int
    state: State = State.INIT
    lease: Lease | None = None
    offer: Lease | None = None
    wanted: IPv4Address | None = None
    xid: int = 0
    counter: int = 0
    attempt: int = 0
    setbacks: int = 0
    started_at: float = 0.0
    requested_at: float = 0.0
    retry_at: float = NEVER
    deadline: float = NEVER
    probed: int = 0
    probe_until: float = 0.0
    conflict: str = ""
    declined: tuple[IPv4Address, ...] = ()
    tried: Tried = UNTRIED

    @classmethod
    def fresh(cls, identity: Identity, seed: int, policy: Policy | None = None, *,
              wanted: IPv4Address | None = None) -> Client:  # fmt: skip
        """A client in INIT. ``seed`` should differ from client to client; ``wanted`` is asked for, not
        insisted on.
        """
        return cls(identity, policy or Policy(), seed, wanted=wanted)

    @classmethod
    def resumed(cls, identity: Identity, lease: Lease, now: float, seed: int, policy: Policy | None = None, *,
                rebooted: bool = False) -> Client:  # fmt: skip
        """A client that holds ``lease`` already (``Lease.from_json`` has set its clocks); ``Start`` sets its
        timer.

        With ``rebooted`` it is in INIT_REBOOT and ``Start`` verifies the lease, unless it has expired: then
        it is lost.
        """
        verifying = rebooted and now < lease.expires_at
        state = State.INIT_REBOOT if verifying else State.BOUND
        return cls(identity, policy or Policy(), seed, state, lease)

    @property
    def timer(self) -> float:
        """When ``TimerFired`` is due; infinite when never."""
        at = self.retry_at
        if self.state in _BY_DEADLINE:
            at = min(at, self.deadline)
        if self.lease is not None and self.state in _BY_EXPIRY:
            at = min(at, self.lease.expires_at)
            if self.state is State.RENEWING:
                at = min(at, self.lease.rebind_at)
        return at

    def step(self, event: Event, now: float) -> tuple[Client, Effects]:
        """What becomes of the client, and what is to be done, in this order; ``now`` never goes backwards."""
        fact = judge(self, event, now)
        if fact is not None and fact.symbol is Symbol.UNUSABLE:
            return actions.discard(self, fact.reason), (Ignored(fact.reason),)
        row = None if fact is None else TABLE.get((self.state, fact.symbol))
        if fact is None or row is None:
            return self, (self._set_timer(),) if isinstance(event, TimerFired) else ()
        client, effects = row.action(self, fact, now)
        client = replace(client, state=row.target)
        return client, (*effects, client._set_timer())

    def _set_timer(self) -> SetTimer:
        at = self.timer
        return SetTimer(at if at < NEVER else None)
