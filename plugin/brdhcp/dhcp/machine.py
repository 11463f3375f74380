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


_S, _Y = State, Symbol
_ROWS = (
    Row(_S.INIT, _Y.START, _S.SELECTING, actions.begin),
    Row(_S.INIT, _Y.RETRY, _S.SELECTING, actions.discover),
    Row(_S.INIT, _Y.PATIENCE, _S.INIT, actions.exhausted),
    Row(_S.INIT, _Y.RELEASE, _S.RELEASED, actions.release),
    Row(_S.SELECTING, _Y.OFFER, _S.REQUESTING, actions.request),
    Row(_S.SELECTING, _Y.RETRY, _S.SELECTING, actions.discover_again),
    Row(_S.SELECTING, _Y.PATIENCE, _S.INIT, actions.exhausted),
    Row(_S.SELECTING, _Y.RELEASE, _S.RELEASED, actions.release),
    Row(_S.REQUESTING, _Y.ACK, _S.BOUND, actions.bind),
    Row(_S.REQUESTING, _Y.ACK_UNPROBED, _S.PROBING, actions.hold),
    Row(_S.REQUESTING, _Y.ACK_CONFLICT, _S.INIT, actions.decline),
    Row(_S.REQUESTING, _Y.NAK, _S.INIT, actions.refused),
    Row(_S.REQUESTING, _Y.RETRY, _S.REQUESTING, actions.request_again),
    Row(_S.REQUESTING, _Y.UNANSWERED, _S.INIT, actions.forget_offer),
    Row(_S.REQUESTING, _Y.CONFLICT, _S.REQUESTING, actions.note_conflict),
    Row(_S.REQUESTING, _Y.PATIENCE, _S.INIT, actions.abandon),
    Row(_S.REQUESTING, _Y.RELEASE, _S.RELEASED, actions.release),
    Row(_S.PROBING, _Y.RETRY, _S.PROBING, actions.probe),
    Row(_S.PROBING, _Y.FREE, _S.BOUND, actions.bind),
    Row(_S.PROBING, _Y.CONFLICT, _S.INIT, actions.decline),
    Row(_S.PROBING, _Y.RELEASE, _S.RELEASED, actions.release),
    Row(_S.BOUND, _Y.START, _S.BOUND, actions.arm),
    Row(_S.BOUND, _Y.T1, _S.RENEWING, actions.renew),
    Row(_S.BOUND, _Y.NUDGE, _S.RENEWING, actions.renew),
    Row(_S.BOUND, _Y.T2, _S.REBINDING, actions.rebind),
    Row(_S.BOUND, _Y.EXPIRY, _S.INIT, actions.lose),
    Row(_S.BOUND, _Y.REBOOT, _S.REBOOTING, actions.verify),
    Row(_S.BOUND, _Y.RELEASE, _S.RELEASED, actions.release),
    Row(_S.RENEWING, _Y.ACK, _S.BOUND, actions.renewed),
    Row(_S.RENEWING, _Y.NAK, _S.INIT, actions.lose),
    Row(_S.RENEWING, _Y.RETRY, _S.RENEWING, actions.renew),
    Row(_S.RENEWING, _Y.NUDGE, _S.RENEWING, actions.renew),
    Row(_S.RENEWING, _Y.T2, _S.REBINDING, actions.rebind),
    Row(_S.RENEWING, _Y.EXPIRY, _S.INIT, actions.lose),
    Row(_S.RENEWING, _Y.REBOOT, _S.REBOOTING, actions.verify),
    Row(_S.RENEWING, _Y.RELEASE, _S.RELEASED, actions.release),
    Row(_S.REBINDING, _Y.ACK, _S.BOUND, actions.renewed),
    Row(_S.REBINDING, _Y.NAK, _S.INIT, actions.lose),
    Row(_S.REBINDING, _Y.RETRY, _S.REBINDING, actions.rebind),
    Row(_S.REBINDING, _Y.NUDGE, _S.REBINDING, actions.rebind),
    Row(_S.REBINDING, _Y.EXPIRY, _S.INIT, actions.lose),
    Row(_S.REBINDING, _Y.REBOOT, _S.REBOOTING, actions.verify),
    Row(_S.REBINDING, _Y.RELEASE, _S.RELEASED, actions.release),
    Row(_S.INIT_REBOOT, _Y.START, _S.REBOOTING, actions.verify),
    Row(_S.INIT_REBOOT, _Y.RELEASE, _S.RELEASED, actions.release),
    Row(_S.REBOOTING, _Y.ACK, _S.BOUND, actions.renewed),
    Row(_S.REBOOTING, _Y.NAK, _S.INIT, actions.lose),
    Row(_S.REBOOTING, _Y.RETRY, _S.REBOOTING, actions.verify_again),
    Row(_S.REBOOTING, _Y.PATIENCE, _S.BOUND, actions.arm),
    Row(_S.REBOOTING, _Y.EXPIRY, _S.INIT, actions.lose),
    Row(_S.REBOOTING, _Y.RELEASE, _S.RELEASED, actions.release),
    Row(_S.RELEASED, _Y.RELEASE, _S.RELEASED, actions.release),
)

TABLE: Mapping[tuple[State, Symbol], Row] = {(row.state, row.symbol): row for row in _ROWS}
"""The machine."""

UNTRIED = Tried()
_BY_EXPIRY = (State.BOUND, State.RENEWING, State.REBINDING, State.REBOOTING)
_BY_DEADLINE = (State.INIT, State.SELECTING, State.REQUESTING, State.REBOOTING)


@dataclass(frozen=True, slots=True)
class Client:
    """One DHCP client, a value. Times are on the caller's monotonic clock; infinity stands for never.

    ``requested_at``: when the message that waits for an answer was first sent. ``answer_s``: how long the
    last DHCPOFFER took to come. ``secs``: what the last DHCPDISCOVER said of it. ``unanswered_at``: before
    this an unanswered DHCPREQUEST says nothing.
    """

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
    answer_s: float = 0.0
    secs: float = 0.0
    unanswered_at: float = 0.0
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
