"""What the machine does on the way from one state to the next: pure functions from a client to a client and
effects.

The state itself is set by the table in ``machine``; an action sets everything else. The first line of an
action's docstring is its label in the diagram.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from brdhcp.dhcp import requests
from brdhcp.dhcp.backoff import fraction, scatter, spaced_retry
from brdhcp.dhcp.events import (
    BROADCAST,
    Bound,
    Changed,
    Declined,
    Destination,
    Effects,
    Exhausted,
    Lost,
    Probe,
    Refused,
    Renewed,
    Send,
    Tried,
)
from brdhcp.dhcp.identity import ProbeKind
from brdhcp.dhcp.lease import Lease
from brdhcp.dhcp.states import Fact, State

if TYPE_CHECKING:
    from brdhcp.dhcp.machine import Client

Outcome = tuple["Client", Effects]
Action = Callable[["Client", Fact, float], Outcome]
NEVER = float("inf")
REMEMBERED = 8
"""Declined addresses, and reasons, that one client remembers."""


def begin(client: Client, fact: Fact, now: float) -> Outcome:
    """broadcast DHCPDISCOVER"""
    begun = replace(
        client,
        started_at=now,
        deadline=now + client.policy.patience_s,
        tried=Tried(),
        setbacks=0,
        answer_s=0.0,
    )
    return discover(begun, fact, now)


def discover(client: Client, fact: Fact, now: float) -> Outcome:
    """broadcast DHCPDISCOVER"""
    return discover_again(_numbered(replace(client, attempt=0, offer=None, requested_at=now)), fact, now)


def discover_again(client: Client, fact: Fact, now: float) -> Outcome:
    """broadcast DHCPDISCOVER again"""
    secs = now - client.started_at
    message = requests.discover(client.identity, client.policy, client.xid, secs, client.wanted)
    tried = client.tried._replace(discovers=client.tried.discovers + 1)
    return _backed_off(replace(client, tried=tried, secs=secs), now), (Send(message, BROADCAST),)


def request(client: Client, fact: Fact, now: float) -> Outcome:
    """select the offer, broadcast DHCPREQUEST"""
    assert fact.lease is not None
    took = now - client.requested_at
    # A server that works on one message at a time may have every DHCPDISCOVER before it still, and then this.
    chosen = replace(
        client, offer=fact.lease, attempt=0, requested_at=now, answer_s=took, probed=0, conflict="",
        unanswered_at=now + took * (client.attempt + 1),
        tried=client.tried._replace(offers=client.tried.offers + 1),
    )  # fmt: skip
    chosen, effects = request_again(chosen, fact, now)
    if client.policy.probe is not ProbeKind.FAST:
        return chosen, effects
    # A LAN, or a machine, that was slow to bring the offer is as slow to bring the answer to a probe.
    shortest = client.policy.probe_wait(1, 0)
    wait = max(shortest, min(2 * (now - client.started_at), 10 * shortest))
    probing = replace(chosen, probed=1, probe_until=now + wait)
    return probing, (*effects, Probe(fact.lease.address.ip))


def request_again(client: Client, fact: Fact, now: float) -> Outcome:
    """broadcast DHCPREQUEST again

    With the ``secs`` of the DHCPDISCOVER: whatever relayed or answered that must take this alike (RFC 2131 §3.1, 3).
    """
    assert client.offer is not None
    message = requests.select(
        client.identity,
        client.policy,
        client.xid,
        client.secs,
        client.offer.address.ip,
        client.offer.server_id,
    )
    tried = client.tried._replace(requests=client.tried.requests + 1)
    return _backed_off(replace(client, tried=tried), now), (Send(message, BROADCAST),)


def forget_offer(client: Client, fact: Fact, now: float) -> Outcome:
    """forget the offer"""
    return _set_back(client, "DHCPREQUEST was not answered", now), ()


def refused(client: Client, fact: Fact, now: float) -> Outcome:
    """forget the offer"""
    return replace(_set_back(client, fact.reason, now), wanted=None), (Refused(fact.reason),)


def note_conflict(client: Client, fact: Fact, now: float) -> Outcome:
    """remember who has the address"""
    return replace(client, conflict=fact.mac), ()


def hold(client: Client, fact: Fact, now: float) -> Outcome:
    """wait for the ARP probe"""
    retry_at = client.probe_until if client.probed else now + fraction(client.seed, client.counter)
    return replace(client, offer=fact.lease, retry_at=retry_at, counter=client.counter + 1), ()


def probe(client: Client, fact: Fact, now: float) -> Outcome:
    """send an ARP probe"""
    assert client.offer is not None
    sent = client.probed + 1
    wait = client.policy.probe_wait(sent, fraction(client.seed, client.counter))
    return replace(client, probed=sent, retry_at=now + wait, counter=client.counter + 1), (
        Probe(client.offer.address.ip),
    )


def bind(client: Client, fact: Fact, now: float) -> Outcome:
    """record the lease, set T1"""
    lease = fact.lease or client.offer
    assert lease is not None
    return _holding(client, lease), (Bound(lease),)


def decline(client: Client, fact: Fact, now: float) -> Outcome:
    """broadcast DHCPDECLINE, wait"""
    lease = fact.lease or client.offer
    assert lease is not None
    address = lease.address.ip
    wait = client.policy.decline_wait_s
    if client.deadline < NEVER:
        wait = min(wait, max((client.deadline - now) / 8, client.policy.backoff.first))
    client = _numbered(client)
    message = requests.decline(client.identity, client.xid, address, lease.server_id)
    client = _with_reason(client, f"{address} is in use by {fact.mac}")
    client = replace(
        client,
        declined=(*client.declined, address)[-REMEMBERED:],
        offer=None,
        wanted=None,
        retry_at=now + wait,
    )
    return client, (Send(message, BROADCAST), Declined(address, fact.mac))


def exhausted(client: Client, fact: Fact, now: float) -> Outcome:
    """give up"""
    if 6 * client.answer_s > client.policy.patience_s:
        client = _with_reason(
            client,
            f"a DHCPOFFER took {client.answer_s:.1f} s to come: acquireTimeout should be six times as long",
        )
    tried = client.tried._replace(seconds=now - client.started_at)
    return replace(client, retry_at=NEVER, deadline=NEVER, offer=None, tried=Tried()), (Exhausted(tried),)


def abandon(client: Client, fact: Fact, now: float) -> Outcome:
    """give up, unicast DHCPRELEASE

    The server may have granted the address in a DHCPACK that never came; without the release it would stay
    taken.
    """
    offer = client.offer
    assert offer is not None
    client = _numbered(client)
    farewell = _release(client, offer)
    client, effects = exhausted(client, fact, now)
    return client, (farewell, *effects)


def arm(client: Client, fact: Fact, now: float) -> Outcome:
    """use the lease on, set T1"""
    assert client.lease is not None
    held = _holding(client, client.lease)
    if held.retry_at > now:
        return held, ()
    spread = min(client.policy.resume_spread_s, max(client.lease.expires_at - now, 0) / 8)
    return replace(held, retry_at=now + spread * fraction(client.seed, client.counter)), ()


def renew(client: Client, fact: Fact, now: float) -> Outcome:
    """unicast DHCPREQUEST to the leasing server"""
    assert client.lease is not None
    return _extend(
        client, Destination(client.lease.server_id, client.lease.server_mac), client.lease.rebind_at, now
    )


def rebind(client: Client, fact: Fact, now: float) -> Outcome:
    """broadcast DHCPREQUEST"""
    assert client.lease is not None
    return _extend(client, BROADCAST, client.lease.expires_at, now)


def renewed(client: Client, fact: Fact, now: float) -> Outcome:
    """record the lease, set T1"""
    old, new = client.lease, fact.lease
    assert old is not None
    assert new is not None
    if new.server_mac is None and new.server_id == old.server_id:
        new = replace(new, server_mac=old.server_mac)
    return _holding(client, new), (Changed(old, new) if old.differences(new) else Renewed(new),)


def verify(client: Client, fact: Fact, now: float) -> Outcome:
    """broadcast DHCPREQUEST for the known address"""
    deadline = now + client.policy.reboot_patience_s
    client = replace(client, started_at=now, requested_at=now, deadline=deadline, attempt=0)
    return verify_again(_numbered(client), fact, now)


def verify_again(client: Client, fact: Fact, now: float) -> Outcome:
    """broadcast DHCPREQUEST again"""
    assert client.lease is not None
    secs = now - client.started_at
    message = requests.verify(client.identity, client.policy, client.xid, secs, client.lease.address.ip)
    return _backed_off(client, now), (Send(message, BROADCAST),)


def lose(client: Client, fact: Fact, now: float) -> Outcome:
    """the lease is lost

    From here on there is no patience to run out of: the address is asked for until it is had again or
    released.
    """
    lease = client.lease
    assert lease is not None
    pause = client.policy.backoff.first * fraction(client.seed, client.counter)
    client = replace(
        client,
        lease=None,
        wanted=lease.address.ip,
        tried=Tried(),
        setbacks=0,
        started_at=now,
        deadline=NEVER,
        retry_at=now + pause,
        counter=client.counter + 1,
    )
    return client, (Lost(lease, fact.reason),)


def release(client: Client, fact: Fact, now: float) -> Outcome:
    """unicast DHCPRELEASE if there is something to release"""
    lease = client.lease or client.offer
    client = replace(_numbered(client), lease=lease, offer=None, retry_at=NEVER, deadline=NEVER)
    return client, () if lease is None else (_release(client, lease),)


def discard(client: Client, reason: str) -> Client:
    """Remember why a message for us could not be used."""
    return _with_reason(client, reason)


def _release(client: Client, lease: Lease) -> Send:
    address: IPv4Address = lease.address.ip
    message = requests.release(client.identity, client.xid, address, lease.server_id)
    return Send(message, Destination(lease.server_id, lease.server_mac))


def _extend(client: Client, destination: Destination, until: float, now: float) -> Outcome:
    """A DHCPREQUEST under a new xid, so that the answer tells which request it answers and the lease counts
    from it.
    """
    lease = client.lease
    assert lease is not None
    client = replace(
        _numbered(client),
        requested_at=now,
        started_at=now if client.state is State.BOUND else client.started_at,
    )
    secs = now - client.started_at
    message = requests.extend(client.identity, client.policy, client.xid, secs, lease.address.ip)
    pause = spaced_retry(until - now, lease.lease_s, client.seed, client.counter)
    return replace(client, retry_at=now + pause), (Send(message, destination),)


def _holding(client: Client, lease: Lease) -> Client:
    """At rest with ``lease``. T1 comes up to a tenth early, so that leases taken together part (RFC 2131
    §4.4.5).
    """
    early = 0.0 if lease.infinite else 0.1 * lease.t1_s * fraction(client.seed, client.counter)
    return replace(
        client,
        lease=lease,
        offer=None,
        wanted=None,
        declined=(),
        conflict="",
        attempt=0,
        setbacks=0,
        tried=Tried(),
        deadline=NEVER,
        retry_at=lease.renew_at - early,
        counter=client.counter + 1,
    )


def _numbered(client: Client) -> Client:
    return replace(client, xid=scatter(client.seed, client.counter) & 0xFFFF_FFFF, counter=client.counter + 1)


def _backed_off(client: Client, now: float) -> Client:
    delay = client.policy.backoff.delay(client.attempt, client.seed, client.counter)
    return replace(client, retry_at=now + delay, attempt=client.attempt + 1, counter=client.counter + 1)


def _set_back(client: Client, reason: str, now: float) -> Client:
    """Back to INIT without an offer; each setback doubles the pause before the next DHCPDISCOVER."""
    pause = client.policy.backoff.delay(client.setbacks, client.seed, client.counter)
    client = replace(
        client, offer=None, retry_at=now + pause, setbacks=client.setbacks + 1, counter=client.counter + 1
    )
    return _with_reason(client, reason)


def _with_reason(client: Client, reason: str) -> Client:
    known = client.tried.reasons
    if reason in known or len(known) >= REMEMBERED:
        return client
    return replace(client, tried=client.tried._replace(reasons=(*known, reason)))
