"""Servers that a client is told to trust, and no others."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

from brdhcp.dhcp.machine import Client, Exhausted, Ignored, Lost, Renewed, Start, State
from brdhcp.dhcp.options import Option

from tests.unit.dhcp.scripted import (
    GATEWAY,
    IDENTITY,
    PLAIN,
    SERVER,
    ScriptedServer,
    Wire,
    acquiring,
    bound,
    without,
)


def test_only_trusted_servers_are_answered() -> None:
    rogue, ours = ScriptedServer(address=IPv4Address("172.16.91.66")), ScriptedServer()
    wire = Wire(Client.fresh(IDENTITY, 7, replace(PLAIN, trusted_servers=frozenset({SERVER}))), [rogue, ours])
    wire.feed(Start())
    wire.run(1.0)
    assert wire.client.lease is not None
    assert wire.client.lease.server_id == SERVER
    assert wire.seen(Ignored) == [Ignored("DHCPOFFER from 172.16.91.66, which is not a trusted server")]


def test_with_trusted_servers_an_answer_without_a_servers_name_is_not_taken() -> None:
    server = ScriptedServer()
    wire = bound(server, replace(PLAIN, trusted_servers=frozenset({SERVER})))
    server.edit = lambda reply: without(reply, Option.SERVER_ID)
    wire.run(server.lease_s * 0.95)
    assert wire.state is State.REBINDING
    assert wire.seen(Renewed) == []
    server.refusing = True
    wire.run(server.lease_s * 0.99)
    assert wire.seen(Lost) == [], "nor is it refused by anybody"


def test_a_client_that_finds_only_untrusted_servers_says_so() -> None:
    wire = acquiring(ScriptedServer(), replace(PLAIN, trusted_servers=frozenset({GATEWAY})))
    wire.run(60.0)
    (exhausted,) = wire.seen(Exhausted)
    assert "172.16.91.254, which is not a trusted server" in str(exhausted.tried)
