"""The machine as a whole: its table, its picture, its price, and any order of events at all."""

from __future__ import annotations

import gc
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import replace

from brdhcp.dhcp import frame
from brdhcp.dhcp.diagram import mermaid
from brdhcp.dhcp.machine import (
    TABLE,
    AddressConflict,
    AddressFree,
    Bound,
    Client,
    Nudge,
    Policy,
    ProbeKind,
    Rebooted,
    Received,
    Release,
    Send,
    Start,
    State,
    Symbol,
    TimerFired,
)
from brdhcp.dhcp.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.dhcp.scripted import IDENTITY, MAC, PLAIN, ScriptedServer, Wire, bound


def test_every_state_can_be_reached_and_left() -> None:
    assert {target for row in TABLE.values() for target in (row.state, row.target)} == set(State)
    assert {row.target for row in TABLE.values()} | {State.INIT_REBOOT} == set(State)
    assert {state for state, _ in TABLE} == set(State)


def test_every_symbol_but_the_unusable_message_has_a_row() -> None:
    assert {symbol for _, symbol in TABLE} == set(Symbol) - {Symbol.UNUSABLE}


def test_a_release_is_possible_in_every_state() -> None:
    assert {state for state, symbol in TABLE if symbol is Symbol.RELEASE} == set(State)


def test_the_diagram_has_one_edge_per_row() -> None:
    text = mermaid()
    assert text.startswith("stateDiagram-v2\n")
    assert "    SELECTING --> REQUESTING: DHCPOFFER / select the offer, broadcast DHCPREQUEST\n" in text
    assert text.count("-->") == len(TABLE) + 3


HOLDING = (State.BOUND, State.RENEWING, State.REBINDING, State.REBOOTING)
POLICIES = [
    replace(PLAIN, probe=kind, patience_s=patience) for kind in ProbeKind for patience in (2.0, float("inf"))
]
CHAOS: list[Callable[[Wire], None]] = [
    lambda wire: wire.feed(Start()),
    lambda wire: wire.feed(Rebooted()),
    lambda wire: wire.feed(TimerFired()),
    lambda wire: wire.feed(AddressFree()),
    lambda wire: wire.feed(AddressConflict("02:00:5e:00:00:99")),
    lambda wire: wire.feed(Nudge()),
    lambda wire: wire.feed(Release()),
    lambda wire: wire.run(wire.now + 0.0015),
    lambda wire: wire.run(wire.now + 3),
    lambda wire: wire.run(wire.now + 70),
    lambda wire: wire.run(wire.now + 4000),
    lambda wire: setattr(wire.servers[0], "up", not wire.servers[0].up),
    lambda wire: setattr(wire.servers[0], "refusing", not wire.servers[0].refusing),
    lambda wire: setattr(wire.servers[0], "next_address", wire.servers[0].next_address + 1),
    lambda wire: wire.servers[0].taken.clear(),
    lambda wire: setattr(wire.servers[0], "lease_s", 0 if wire.servers[0].lease_s else 60),
]


@settings(max_examples=300)
@given(st.integers(0, 2**32), st.sampled_from(POLICIES), st.lists(st.sampled_from(CHAOS), max_size=30))
def test_no_order_of_events_confuses_the_machine(
    seed: int, policy: Policy, steps: list[Callable[[Wire], None]]
) -> None:
    wire = Wire(Client.fresh(IDENTITY, seed, policy), [ScriptedServer()])
    wire.feed(Start())
    for step in steps:
        step(wire)
        client = wire.client
        assert (client.lease is not None) >= (client.state in HOLDING)
        assert (client.offer is not None) == (client.state in (State.REQUESTING, State.PROBING))
        assert client.timer > wire.now or wire.timer is not None


@settings(max_examples=300)
@given(st.integers(0, 2**32), st.binary(max_size=300), st.sampled_from([*State]))
def test_no_message_raises_in_any_state(seed: int, junk: bytes, state: State) -> None:
    server = ScriptedServer()
    wire = bound(server, seed=seed)
    client = replace(wire.client, state=state, offer=wire.client.lease)
    sent = replace(server.heard[-1], xid=client.xid, op=2)
    data = sent.encode()[:240] + b"\x35\x01" + bytes((2 + 3 * (seed % 2),)) + junk
    try:
        message = Message.decode(data)
    except ValueError:
        return
    client.step(Received(message), 2.0)


def exchange(seed: int, policy: Policy) -> Client:
    """A whole DORA through frames, the way the agent does it; the server's half is made beforehand."""
    client, effects = Client.fresh(IDENTITY, seed, policy).step(Start(), 0.0)
    server = ScriptedServer()
    for now in (0.001, 0.002):
        (send,) = (effect for effect in effects if isinstance(effect, Send))
        datagram = frame.parse_frame(send.frame(MAC))
        assert datagram is not None
        (answer,) = server.answer(datagram.payload, datagram.destination)
        client, effects = client.step(Received(Message.decode(answer)), now)
    assert isinstance(effects[0], Bound)
    return client


def test_a_whole_exchange_with_both_sides_costs_a_few_milliseconds_at_the_very_most() -> None:
    began = time.process_time()
    for seed in range(100):
        exchange(seed, PLAIN)
    assert (time.process_time() - began) / 100 < 0.005


def test_a_lease_at_rest_takes_a_few_kilobytes() -> None:
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        clients = [exchange(seed, PLAIN) for seed in range(200)]
        gc.collect()
        each = (tracemalloc.get_traced_memory()[0] - before) / len(clients)
    finally:
        tracemalloc.stop()
    assert each < 4096
