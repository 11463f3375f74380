"""From BOUND on: renewing, rebinding, losing and releasing a lease, over hours and days."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address

import pytest
from brdhcp.dhcp.backoff import fraction
from brdhcp.dhcp.events import BROADCAST, Destination
from brdhcp.dhcp.lease import INFINITE, Lease
from brdhcp.dhcp.machine import (
    Bound,
    Changed,
    Effect,
    Exhausted,
    Lost,
    Nudge,
    Policy,
    ProbeKind,
    Rebooted,
    Received,
    Release,
    Renewed,
    SetTimer,
    Start,
    State,
    TimerFired,
)
from brdhcp.dhcp.message import Message, MessageType
from brdhcp.dhcp.options import Option

from tests.unit.dhcp.scripted import (
    FIRST,
    GATEWAY,
    IDENTITY,
    SERVER,
    SERVER_MAC,
    ScriptedServer,
    Wire,
    bound,
    having,
    without,
)

DAY = 86_400.0
ELSEWHERE = IPv4Address("172.16.91.3")


def held(wire: Wire) -> Lease:
    assert wire.client.lease is not None
    return wire.client.lease


@pytest.mark.parametrize("lease_s", [120, 3600, 86_400])
def test_a_lease_is_kept_for_ninety_days_and_no_server_is_asked_more_than_twice_per_lease(
    lease_s: int,
) -> None:
    server = ScriptedServer(lease_s=lease_s)
    wire = bound(server)
    wire.run(min(90 * DAY, 20_000 * lease_s / 10))
    assert not wire.story(Lost, Changed)
    assert len(wire.seen(Bound)) == 1
    renewals = len(wire.seen(Renewed))
    assert wire.now / lease_s * 2 - 2 <= renewals <= wire.now / (lease_s * 0.45) + 1
    assert server.kinds().count("DHCPDISCOVER") == 1


def test_a_renewal_is_unicast_to_the_server_that_gave_the_lease() -> None:
    server = ScriptedServer()
    wire = bound(server)
    wire.run(1801)
    at, renewal = wire.sent[-1]
    assert 1620 <= at <= 1800.01
    assert renewal.destination == Destination(SERVER, SERVER_MAC)
    assert (renewal.message.ciaddr, renewal.message.flags) == (FIRST, 0)
    assert renewal.message.option(Option.REQUESTED_ADDRESS) is None
    assert renewal.message.option(Option.SERVER_ID) is None
    assert renewal.message.option(Option.CLIENT_ID) == IDENTITY.client_id


def test_a_renewed_lease_counts_from_the_sending_of_its_request() -> None:
    server = ScriptedServer()
    wire = bound(server)
    wire.latency = 3.0
    wire.run(1810)
    at, _ = wire.sent[-1]
    (renewed,) = wire.seen(Renewed)
    assert renewed.lease.acquired_at == at
    assert renewed.lease.expires_at == at + 3600


def test_a_server_away_at_t1_is_asked_again_ever_more_often_and_then_everybody_is() -> None:
    server = ScriptedServer()
    wire = bound(server)
    server.up = False
    wire.run(3599)
    renewing = [at for at, s in wire.sent if s.destination.mac == SERVER_MAC]
    rebinding = [(at, s) for at, s in wire.sent if s.destination == BROADCAST and s.message.ciaddr == FIRST]
    assert len(renewing) >= 4
    assert all(later - earlier >= 54 for earlier, later in itertools.pairwise(renewing))
    assert rebinding[0][0] == pytest.approx(3150)
    assert len(rebinding) >= 3
    assert all(s.message.flags == 0 for _, s in rebinding)


def test_a_server_back_before_the_end_makes_the_outage_invisible() -> None:
    server = ScriptedServer()
    wire = bound(server)
    server.up = False
    wire.run(3200)
    assert wire.state is State.REBINDING
    server.up = True
    wire.run(3600)
    assert wire.seen(Renewed)
    assert not wire.seen(Lost)


def test_a_short_lease_is_retried_before_t2_and_before_its_end() -> None:
    server = ScriptedServer(lease_s=120)
    wire = bound(server)
    server.up = False
    wire.run(119.9)
    times = [at for at, s in wire.sent if s.message.ciaddr == FIRST]
    assert len([at for at in times if at < 105]) >= 4
    assert len([at for at in times if at >= 105]) >= 3


def test_an_expired_lease_is_lost_once_and_the_same_address_is_asked_for_until_the_server_is_back() -> None:
    server = ScriptedServer()
    wire = bound(server)
    server.up = False
    wire.run(5000)
    assert wire.story(Lost, Exhausted) == [Lost]
    assert wire.when(Lost) == pytest.approx(3600, abs=0.01)
    assert {s.message.option(Option.REQUESTED_ADDRESS) for at, s in wire.sent if at > 3600} == {FIRST}
    server.up = True
    wire.run(5100)
    assert wire.story(Lost, Bound) == [Bound, Lost, Bound]
    assert held(wire).address.ip == FIRST


def test_a_client_without_a_server_sends_about_one_packet_a_minute() -> None:
    server = ScriptedServer()
    wire = bound(server)
    server.up = False
    wire.run(3600 + 3600)
    assert len([at for at, _ in wire.sent if at > 4000]) <= 70


def test_a_nak_at_renewal_loses_the_lease_at_once_and_starts_over() -> None:
    server = ScriptedServer()
    wire = bound(server)
    server.taken = {IDENTITY.client_id or b"": FIRST + 5}
    wire.run(1802)
    (lost,) = wire.seen(Lost)
    assert lost.reason == "DHCPNAK from 172.16.91.254"
    assert wire.story(Lost, Bound) == [Bound, Lost, Bound]
    assert held(wire).address.ip == FIRST + 5


@pytest.mark.parametrize(
    ("edit", "field"),
    [
        (lambda m: replace(m, yiaddr=FIRST + 7), "address"),
        (lambda m: having(m, SUBNET_MASK=IPv4Address("255.255.0.0")), "address"),
        (lambda m: having(m, ROUTERS=(ELSEWHERE,)), "routes"),
        (lambda m: without(m, Option.ROUTERS), "routes"),
        (lambda m: having(m, DNS=(ELSEWHERE,)), "dns"),
        (lambda m: having(m, MTU=1400), "mtu"),
    ],
    ids=["address", "mask", "router", "no router", "DNS", "MTU"],
)
def test_a_lease_that_comes_back_changed_says_from_what_to_what(
    edit: Callable[[Message], Message], field: str
) -> None:
    server = ScriptedServer()
    wire = bound(server)
    server.edit = edit
    wire.run(1802)
    (changed,) = wire.seen(Changed)
    assert changed.old.differences(changed.new) == (field,)
    assert held(wire) == changed.new
    assert not wire.seen(Renewed)


def test_an_answer_to_a_renewal_without_server_identifier_is_from_the_server_that_was_asked() -> None:
    server = ScriptedServer()
    wire = bound(server)
    server.edit = lambda m: without(m, Option.SERVER_ID)
    wire.run(1802)
    assert wire.seen(Renewed)
    assert held(wire).server_id == SERVER


@pytest.mark.parametrize(
    "edit",
    [
        lambda m: replace(m, xid=m.xid ^ 1),
        lambda m: replace(m, chaddr=bytes(6)),
        lambda m: having(m, SERVER_ID=GATEWAY),
        lambda m: having(m, LEASE_TIME=0),
        lambda m: having(m, MESSAGE_TYPE=2),
    ],
    ids=["xid", "chaddr", "server", "a lease of zero", "an offer"],
)
def test_a_wrong_answer_to_a_renewal_neither_renews_nor_loses(edit: Callable[[Message], Message]) -> None:
    server = ScriptedServer()
    wire = bound(server)
    server.edit = edit
    wire.run(2000)
    assert not wire.story(Renewed, Changed, Lost)
    assert wire.state is State.RENEWING


def test_after_t2_any_server_may_take_the_lease_over() -> None:
    server, other = ScriptedServer(), ScriptedServer(address=IPv4Address("172.16.91.253"))
    wire = bound(server)
    server.up = False
    wire.servers.append(other)
    wire.run(3200)
    assert wire.seen(Renewed)
    assert held(wire).server_id == other.address
    wire.feed(Release())
    assert wire.sent[-1][1].destination.address == other.address


def test_an_answer_that_comes_after_the_lease_is_over_is_no_answer() -> None:
    server = ScriptedServer(lease_s=120)
    wire = bound(server)
    wire.latency = 200.0
    wire.run(500)
    assert wire.seen(Lost)
    assert not wire.seen(Renewed)


def test_an_infinite_lease_sets_no_timer_and_can_still_be_renewed_and_released() -> None:
    server = ScriptedServer(lease_s=INFINITE)
    wire = bound(server)
    assert wire.seen(SetTimer)[-1] == SetTimer(None)
    wire.run(1000 * DAY)
    assert len(wire.sent) == 2
    wire.feed(Nudge())
    wire.run(1000 * DAY + 1)
    assert wire.seen(Renewed)
    assert wire.timer is None
    wire.feed(Release())
    assert not server.taken


def test_an_infinite_lease_is_asked_about_every_minute_while_a_nudge_has_no_answer() -> None:
    server = ScriptedServer(lease_s=INFINITE)
    wire = bound(server)
    server.up = False
    wire.feed(Nudge())
    wire.run(wire.now + 601)
    assert len(wire.sent) == 2 + 1 + 10


@pytest.mark.parametrize("name", ["RENEWAL_TIME", "REBINDING_TIME"])
def test_times_that_make_no_sense_do_not_stop_renewals(name: str) -> None:
    server = ScriptedServer()
    server.options[Option[name]] = 7200
    wire = bound(server)
    wire.run(1802)
    assert wire.seen(Renewed)


def test_a_nudge_renews_now() -> None:
    wire = bound(ScriptedServer())
    wire.feed(Nudge())
    wire.run(2.0)
    assert wire.seen(Renewed)


def test_a_release_says_what_the_server_must_find_in_its_books() -> None:
    server = ScriptedServer()
    wire = bound(server)
    wire.feed(Release())
    _, send = wire.sent[-1]
    assert send.destination == Destination(SERVER, SERVER_MAC)
    assert send.message.message_type is MessageType.DHCPRELEASE
    assert send.message.ciaddr == FIRST
    assert set(send.message.options) == {Option.MESSAGE_TYPE, Option.SERVER_ID, Option.CLIENT_ID}
    assert send.message.option(Option.SERVER_ID) == SERVER
    assert send.message.option(Option.CLIENT_ID) == IDENTITY.client_id
    assert not server.taken
    assert (wire.state, wire.timer) == (State.RELEASED, None)


@pytest.mark.parametrize("at", [1.0, 1801.0, 3200.0], ids=["bound", "renewing", "rebinding"])
def test_a_lease_is_released_from_every_state_that_holds_one(at: float) -> None:
    server = ScriptedServer()
    wire = bound(server)
    server.edit = lambda m: replace(m, xid=0)
    wire.run(at)
    wire.feed(Release())
    assert not server.taken


def test_a_second_release_sends_another_copy_and_nothing_else_wakes_a_released_client() -> None:
    wire = bound(ScriptedServer())
    wire.feed(Release())
    wire.feed(Release())
    kinds = [s.message.message_type for _, s in wire.sent[-2:]]
    assert kinds == [MessageType.DHCPRELEASE] * 2
    quiet = len(wire.effects)
    for event in (Start(), Nudge(), Rebooted()):
        wire.feed(event)
    wire.run(10 * DAY)
    assert len(wire.effects) == quiet


def test_a_lease_that_was_lost_leaves_nothing_to_release() -> None:
    server = ScriptedServer()
    wire = bound(server)
    server.up = False
    wire.run(3700)
    sent = len(wire.sent)
    wire.feed(Release())
    assert len(wire.sent) == sent
    assert wire.state is State.RELEASED


def test_a_lease_taken_ahead_keeps_its_identity_but_may_get_the_pods_name_later() -> None:
    server = ScriptedServer()
    wire = bound(server, identity=replace(IDENTITY, hostname=""))
    wire.client = replace(wire.client, identity=replace(IDENTITY, hostname="pod-9"))
    wire.feed(Nudge())
    wire.run(2.0)
    assert server.heard[-1].option(Option.HOST_NAME) == "pod-9"
    wire.feed(Release())
    assert not server.taken


@pytest.mark.parametrize("seed", range(20))
def test_no_lease_of_two_minutes_is_lost_in_an_hour_of_losing_every_fifth_packet(seed: int) -> None:
    server = ScriptedServer(lease_s=120)
    wire = bound(server, seed=seed)
    count = iter(range(1_000_000))
    wire.lost = lambda: fraction(seed, next(count)) < 0.2
    wire.run(3600.0)
    assert not wire.seen(Lost)


def test_early_late_and_doubled_timers_do_no_harm() -> None:
    server = ScriptedServer()
    wire = bound(server)
    for now in (2.0, 2.0, 500.0):
        wire.now = now
        wire.feed(TimerFired())
    assert wire.state.name == "BOUND"
    wire.now = 3300.0
    wire.feed(TimerFired())
    assert wire.state is State.REBINDING


def test_duplicates_of_an_acknowledgement_are_heard_once() -> None:
    server = ScriptedServer()
    wire = bound(server)
    wire.copies = 3
    wire.run(1802)
    assert len(wire.seen(Renewed)) == 1


def test_no_effect_and_no_client_keeps_a_message_alive() -> None:
    wire = bound(ScriptedServer(), Policy(probe=ProbeKind.NONE))
    kept: list[Effect | Received] = list(wire.seen(Bound))
    assert not any(isinstance(value, Message) for effect in kept for value in vars_of(effect))
    assert not any(isinstance(value, Message) for value in vars_of(wire.client))
    assert wire.client.offer is None


def vars_of(thing: object) -> list[object]:
    return [getattr(thing, name) for name in getattr(thing, "__slots__", ())]
