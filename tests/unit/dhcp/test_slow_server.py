"""A server that works on one message at a time: what a client sends in vain delays the answer that it waits for."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from brdhcp.dhcp.machine import Bound, Client, Exhausted, Start
from brdhcp.dhcp.message import MessageType
from brdhcp.dhcp.options import Option

from tests.unit.dhcp.scripted import IDENTITY, PLAIN, ScriptedServer, Wire, acquiring, without


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("serial_s", [0.3, 0.6, 1.0, 1.4, 1.7])
def test_the_patience_lasts_for_a_server_that_works_a_second_and_a_half_on_each_message(
    serial_s: float, seed: int
) -> None:
    wire = Wire(Client.fresh(IDENTITY, seed, PLAIN), [ScriptedServer()], serial_s=serial_s)
    wire.feed(Start())
    wire.run(10.0)
    assert wire.seen(Bound)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("serial_s", [2.5, 5.0])
def test_six_times_what_a_slow_server_needs_for_a_message_is_patience_enough(
    serial_s: float, seed: int
) -> None:
    """What was sent before the first answer came is still in its queue; nothing that it does is asked for in vain."""
    server = ScriptedServer()
    policy = replace(PLAIN, patience_s=6.1 * serial_s)
    wire = Wire(Client.fresh(IDENTITY, seed, policy), [server], serial_s=serial_s)
    wire.feed(Start())
    wire.run(6.1 * serial_s)
    assert wire.seen(Bound)


def test_a_patience_that_was_too_short_is_said_with_what_would_have_been_enough() -> None:
    wire = Wire(Client.fresh(IDENTITY, 7, PLAIN), [ScriptedServer()], serial_s=2.5)
    wire.feed(Start())
    wire.run(20.0)
    (exhausted,) = wire.seen(Exhausted)
    assert (
        "a DHCPOFFER took 2.5 s to come: acquireTimeout should be six times as long"
        in exhausted.tried.reasons
    )


def test_the_request_repeats_the_secs_of_the_discover_however_late_it_is() -> None:
    """RFC 2131 §3.1, 3: a relay decides by it, for both alike."""
    server = ScriptedServer(up=False)
    wire = acquiring(server, replace(PLAIN, patience_s=float("inf")))
    wire.run(10)
    server.up = True
    server.edit = lambda reply: (
        without(reply, Option.LEASE_TIME) if reply.option(Option.MESSAGE_TYPE) == 5 else reply
    )
    wire.run(40)
    kinds = [(send.message.message_type, send.message.secs) for _, send in wire.sent]
    first = next(number for number, (kind, _) in enumerate(kinds) if kind is MessageType.DHCPREQUEST)
    asked = kinds[first - 1][1]
    assert asked > 0
    requests = list(itertools.takewhile(lambda sent: sent[0] is MessageType.DHCPREQUEST, kinds[first:]))
    assert len(requests) >= 4
    assert {secs for _, secs in requests} == {asked}
