"""A lease that comes from the disk: not asked for before it is due, verified after a reboot, never in a stampede."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface

import pytest
from brdhcp.dhcp.events import BROADCAST
from brdhcp.dhcp.lease import Lease
from brdhcp.dhcp.machine import (
    Bound,
    Client,
    Lost,
    Policy,
    Rebooted,
    Renewed,
    SetTimer,
    Start,
    State,
)
from brdhcp.dhcp.options import Option

from tests.unit.dhcp.scripted import (
    FIRST,
    IDENTITY,
    PLAIN,
    ScriptedServer,
    Wire,
    bound,
)


def held(wire: Wire) -> Lease:
    assert wire.client.lease is not None
    return wire.client.lease


def resumed(
    lease: Lease, now: float, *, seed: int = 7, rebooted: bool = False, policy: Policy = PLAIN
) -> Wire:
    server = ScriptedServer(taken={IDENTITY.client_id or b"": FIRST})
    wire = Wire(Client.resumed(IDENTITY, lease, now, seed, policy, rebooted=rebooted), [server], now=now)
    wire.feed(Start())
    return wire


def test_a_resumed_lease_asks_nothing_before_it_is_due() -> None:
    wire = resumed(held(bound(ScriptedServer())), 1000.0)
    assert not wire.sent
    wire.run(1500.0)
    assert not wire.sent
    wire.run(1802.0)
    assert wire.seen(Renewed)
    assert not wire.seen(Bound)


@pytest.mark.parametrize("now", [1900.0, 3200.0], ids=["past T1", "past T2"])
def test_an_overdue_lease_is_renewed_within_seconds_of_being_resumed(now: float) -> None:
    wire = resumed(held(bound(ScriptedServer())), now)
    wire.run(now + 5.1)
    assert wire.seen(Renewed)
    unicast = wire.sent[0][1].destination != BROADCAST
    assert unicast is (now < 3150)


def test_a_lease_that_ended_while_nobody_looked_is_lost_and_asked_for_again() -> None:
    wire = resumed(held(bound(ScriptedServer())), 4000.0, rebooted=True)
    wire.run(4001.0)
    assert wire.story(Lost, Bound) == [Lost, Bound]
    assert held(wire).address.ip == FIRST


def test_a_thousand_overdue_leases_are_not_renewed_in_the_same_instant() -> None:
    lease = held(bound(ScriptedServer()))
    tenths: Counter[int] = Counter()
    for seed in range(1000):
        _, effects = Client.resumed(IDENTITY, lease, 2000.0, seed, PLAIN).step(Start(), 2000.0)
        (timer,) = effects
        assert isinstance(timer, SetTimer)
        assert timer.at is not None
        tenths[int((timer.at - 2000.0) * 10)] += 1
    assert max(tenths.values()) < 50
    assert max(tenths) < 50


def test_a_thousand_leases_taken_in_one_second_part_before_their_first_renewal() -> None:
    seconds: Counter[int] = Counter()
    for seed in range(1000):
        wire = bound(ScriptedServer(lease_s=120), seed=seed)
        assert wire.timer is not None
        seconds[int(wire.timer)] += 1
    assert max(seconds.values()) < 300
    assert min(seconds) >= 54


def test_after_a_reboot_a_lease_is_verified_by_broadcast_without_a_server_identifier() -> None:
    wire = resumed(held(bound(ScriptedServer())), 100.0, rebooted=True)
    _, send = wire.sent[0]
    assert wire.state is State.REBOOTING
    assert send.destination == BROADCAST
    assert send.message.option(Option.REQUESTED_ADDRESS) == FIRST
    assert send.message.option(Option.SERVER_ID) is None
    assert send.message.ciaddr == IPv4Address(0)
    wire.run(101.0)
    assert wire.seen(Renewed)
    assert held(wire).acquired_at == 100.0


def test_a_lease_that_nobody_verifies_is_used_on_until_it_expires() -> None:
    wire = resumed(held(bound(ScriptedServer())), 100.0, rebooted=True)
    wire.servers[0].up = False
    wire.run(111.0)
    assert wire.state is State.BOUND
    assert not wire.seen(Lost)
    wire.run(3700.0)
    assert wire.seen(Lost)


def test_on_another_network_the_old_lease_is_refused_and_a_new_one_is_had() -> None:
    lease = replace(held(bound(ScriptedServer())), address=IPv4Interface("10.9.9.9/24"))
    wire = resumed(lease, 100.0, rebooted=True)
    wire.run(101.0)
    assert wire.story(Lost, Bound) == [Lost, Bound]
    assert held(wire).address.ip == FIRST


def test_a_running_client_can_be_told_that_the_node_rebooted() -> None:
    wire = bound(ScriptedServer())
    wire.feed(Rebooted())
    wire.run(2.0)
    assert wire.seen(Renewed)
