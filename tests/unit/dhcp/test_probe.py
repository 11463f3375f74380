"""The ARP check before an address is used, and what happens when somebody has it."""

from __future__ import annotations

import itertools
from dataclasses import replace
from ipaddress import IPv4Address

import pytest
from brdhcp.dhcp.machine import (
    AddressConflict,
    AddressFree,
    Bound,
    Declined,
    Exhausted,
    Policy,
    Probe,
    ProbeKind,
    Release,
    State,
)
from brdhcp.dhcp.message import MessageType
from brdhcp.dhcp.options import Option

from tests.unit.dhcp.scripted import (
    FIRST,
    PLAIN,
    SERVER,
    ScriptedServer,
    acquiring,
)

OTHER_MAC = "02:00:5e:00:00:99"
FAST = Policy()


def test_the_fast_probe_travels_with_the_request_and_delays_by_milliseconds() -> None:
    wire = acquiring(ScriptedServer(), FAST)
    wire.run(1.0)
    assert wire.seen(Probe) == [Probe(FIRST)]
    assert wire.when(Bound) == pytest.approx(0.001 + FAST.fast_probe_s)


def test_whoever_knows_that_the_address_is_free_may_say_so() -> None:
    wire = acquiring(ScriptedServer(), FAST)
    wire.run(0.0025)
    assert wire.state is State.PROBING
    wire.feed(AddressFree())
    assert wire.seen(Bound)


def test_the_probe_of_rfc_5227_asks_three_times_and_waits_two_seconds_after_the_last() -> None:
    wire = acquiring(ScriptedServer(), replace(PLAIN, probe=ProbeKind.RFC5227))
    wire.run(20.0)
    probes = [at for at, effect in wire.effects if isinstance(effect, Probe)]
    assert len(probes) == 3
    assert probes[0] <= 1.01
    assert all(1 <= later - earlier <= 2 for earlier, later in itertools.pairwise(probes))
    assert wire.when(Bound) == pytest.approx(probes[-1] + 2)


@pytest.mark.parametrize("moment", [0.0015, 0.004], ids=["before the DHCPACK", "after it"])
def test_an_address_that_answers_arp_is_declined_and_another_one_is_had(moment: float) -> None:
    server = ScriptedServer()
    wire = acquiring(server, FAST)
    wire.run(moment)
    wire.feed(AddressConflict(OTHER_MAC))
    wire.run(9.0)
    assert wire.seen(Declined) == [Declined(FIRST, OTHER_MAC)]
    decline = next(m for m in server.heard if m.message_type is MessageType.DHCPDECLINE)
    assert decline.option(Option.REQUESTED_ADDRESS) == FIRST
    assert decline.option(Option.SERVER_ID) == SERVER
    assert (decline.ciaddr, decline.flags) == (IPv4Address(0), 0)
    assert wire.client.lease is not None
    assert wire.client.lease.address.ip == FIRST + 1


def test_while_nobody_waits_a_declined_client_pauses_for_the_rfcs_ten_seconds() -> None:
    server = ScriptedServer()
    wire = acquiring(server, replace(FAST, patience_s=float("inf")))
    wire.run(0.004)
    wire.feed(AddressConflict(OTHER_MAC))
    wire.run(9.9)
    assert server.kinds()[-1] == "DHCPDECLINE"
    wire.run(10.1)
    assert wire.seen(Bound)


def test_a_server_that_keeps_offering_a_declined_address_exhausts_the_patience() -> None:
    server = ScriptedServer(edit=lambda m: replace(m, yiaddr=FIRST))
    wire = acquiring(server, FAST)
    wire.run(0.004)
    wire.feed(AddressConflict(OTHER_MAC))
    wire.run(20.0)
    (exhausted,) = wire.seen(Exhausted)
    assert f"{FIRST} is in use by {OTHER_MAC}" in str(exhausted.tried)
    assert f"{FIRST} was declined before" in str(exhausted.tried)
    assert not wire.seen(Bound)


def test_a_lease_can_be_released_while_it_is_probed() -> None:
    server = ScriptedServer()
    wire = acquiring(server, FAST)
    wire.run(0.0025)
    assert wire.state is State.PROBING
    wire.feed(Release())
    wire.run(5.0)
    assert not server.taken
    assert not wire.seen(Bound)
