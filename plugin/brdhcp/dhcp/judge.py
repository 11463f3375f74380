"""Judging events: is this message for us, from whom we asked, usable; and which of the machine's times has
come?

Everything on the LAN may send us anything, so what does not match in every field is nothing: ``judge`` says
None.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from brdhcp.dhcp.events import (
    AddressConflict,
    AddressFree,
    Event,
    Nudge,
    Rebooted,
    Received,
    Release,
    Start,
    TimerFired,
)
from brdhcp.dhcp.lease import Lease, Unusable
from brdhcp.dhcp.message import BOOTREPLY, Message, MessageType
from brdhcp.dhcp.options import Option
from brdhcp.dhcp.states import Fact, State, Symbol

if TYPE_CHECKING:
    from brdhcp.dhcp.machine import Client

_PLAIN: dict[type[Event], Fact] = {
    Start: Fact(Symbol.START),
    Rebooted: Fact(Symbol.REBOOT),
    AddressFree: Fact(Symbol.FREE),
    Release: Fact(Symbol.RELEASE),
    Nudge: Fact(Symbol.NUDGE),
}
_EXTENDING = (State.RENEWING, State.REBINDING, State.REBOOTING)
_EXPECTING = {
    State.SELECTING: (MessageType.DHCPOFFER,),
    State.REQUESTING: (MessageType.DHCPACK, MessageType.DHCPNAK),
    **dict.fromkeys(_EXTENDING, (MessageType.DHCPACK, MessageType.DHCPNAK)),
}


def judge(client: Client, event: Event, now: float) -> Fact | None:
    """What ``event`` means to ``client`` at ``now``; None when it means nothing."""
    if isinstance(event, Received):
        return _judge_message(client, event.message, event.server_mac, now)
    if isinstance(event, TimerFired):
        return _judge_time(client, now)
    if isinstance(event, AddressConflict):
        return Fact(Symbol.CONFLICT, mac=event.mac)
    return _PLAIN[type(event)]


def _judge_message(client: Client, message: Message, mac: str | None, now: float) -> Fact | None:
    kind = message.message_type
    if kind is None or kind not in _EXPECTING.get(client.state, ()):
        return None
    if message.op != BOOTREPLY or message.xid != client.xid or message.chaddr != client.identity.chaddr:
        return None
    server = message.option(Option.SERVER_ID)
    if not client.policy.trusts(server):
        who = server or "a server without a name"
        return Fact(Symbol.UNUSABLE, reason=f"{kind.name} from {who}, which is not a trusted server")
    asked = _asked_server(client)
    if asked is not None and server not in ((asked, None) if client.state is State.RENEWING else (asked,)):
        return None
    if kind is MessageType.DHCPNAK:
        words = message.option(Option.MESSAGE)
        return Fact(
            Symbol.NAK,
            reason=f"DHCPNAK from {server or 'a server without a name'}" + (f": {words}" * bool(words)),
        )
    return _judge_promise(client, kind, message, mac, now)


def _judge_promise(client: Client, kind: MessageType, message: Message, mac: str | None, now: float) -> Fact:
    """An offer or acknowledgement from the right server: read the lease in it."""
    known = client.lease.server_id if client.lease is not None else None
    acquired_at = now if kind is MessageType.DHCPOFFER else client.requested_at
    try:
        lease = Lease.from_message(
            message, acquired_at=acquired_at, server_mac=mac, server_id=known, keep=client.identity.request
        )
        if lease.address.ip in client.declined:
            raise Unusable(f"{lease.address.ip} was declined before")
        if client.state is State.REQUESTING and client.offer and lease.address.ip != client.offer.address.ip:
            raise Unusable(f"{lease.address.ip} while {client.offer.address.ip} was asked for")
        if kind is MessageType.DHCPACK and lease.expires_at <= now:
            raise Unusable(f"a lease of {lease.lease_s} s that is over already")
    except Unusable as fault:
        return Fact(Symbol.UNUSABLE, reason=f"{kind.name} with {fault}")
    if kind is MessageType.DHCPOFFER:
        return Fact(Symbol.OFFER, lease)
    if client.state is State.REQUESTING and client.conflict:
        return Fact(Symbol.ACK_CONFLICT, lease, client.conflict)
    probing = client.state is State.REQUESTING and client.policy.probes
    if probing and (client.probed < client.policy.probes or now < client.probe_until):
        return Fact(Symbol.ACK_UNPROBED, lease)
    return Fact(Symbol.ACK, lease)


def _asked_server(client: Client) -> object:
    """The only server whose answer counts now, or None when any may answer."""
    if client.state is State.REQUESTING and client.offer is not None:
        return client.offer.server_id
    if client.state is State.RENEWING and client.lease is not None:
        return client.lease.server_id
    return None


def _judge_time(client: Client, now: float) -> Fact | None:
    """Which of the client's times has come; agrees with ``Client.timer``, or the timer would fire again and
    again.
    """
    state, lease = client.state, client.lease
    if lease is not None and state in (State.BOUND, *_EXTENDING):
        if now >= lease.expires_at:
            return Fact(
                Symbol.EXPIRY,
                reason=f"the lease of {lease.lease_s} s expired without an answer from a server",
            )
        due = state is State.RENEWING or (state is State.BOUND and now >= client.retry_at)
        if due and now >= lease.rebind_at:
            return Fact(Symbol.T2)
    if now >= client.deadline and state is not State.PROBING:
        return Fact(Symbol.PATIENCE)
    if now < client.retry_at:
        return None
    if state is State.BOUND:
        return Fact(Symbol.T1)
    if state is State.PROBING and client.probed >= client.policy.probes:
        return Fact(Symbol.FREE)
    if state is State.REQUESTING and client.attempt >= client.policy.requests and now >= client.unanswered_at:
        return Fact(Symbol.UNANSWERED)
    return Fact(Symbol.RETRY)
