"""From INIT to BOUND: the exchange, the retries and giving up."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address

import pytest
from brdhcp.dhcp.backoff import fraction
from brdhcp.dhcp.events import BROADCAST
from brdhcp.dhcp.machine import (
    Bound,
    Client,
    Exhausted,
    Identity,
    Received,
    Refused,
    Release,
    Send,
    Start,
    State,
    client_id,
    client_id_from_duid,
    client_id_from_mac,
    host_name,
)
from brdhcp.dhcp.message import BOOTREQUEST, BROADCAST_FLAG, Message, MessageType
from brdhcp.dhcp.options import DEFAULT_REQUEST, Option

from tests.unit.dhcp.scripted import (
    FIRST,
    GATEWAY,
    IDENTITY,
    PLAIN,
    SERVER,
    SERVER_MAC,
    ScriptedServer,
    Wire,
    acquiring,
    bound,
    having,
    without,
)

PATIENT = replace(PLAIN, patience_s=float("inf"))


def lossy(share: float, seed: int) -> Callable[[], bool]:
    """A network that loses ``share`` of all packets, the same ones in every run."""
    count = iter(range(1_000_000))
    return lambda: fraction(seed, next(count)) < share


def test_a_client_and_a_server_need_two_messages_each() -> None:
    server = ScriptedServer()
    wire = bound(server)
    assert server.kinds() == ["DHCPDISCOVER", "DHCPREQUEST"]
    assert wire.state is State.BOUND
    assert wire.client.lease is not None
    assert wire.client.lease.address.ip == FIRST
    assert wire.client.lease.server_mac == SERVER_MAC
    assert server.taken == {IDENTITY.client_id: FIRST}


def test_discover_carries_everything_a_server_wants_to_know() -> None:
    server = ScriptedServer()
    bound(server)
    discover, request = server.heard
    assert (discover.op, discover.flags, discover.ciaddr) == (BOOTREQUEST, BROADCAST_FLAG, IPv4Address(0))
    assert discover.option(Option.CLIENT_ID) == b"\0c0ffee/mycninet/eth0"
    assert discover.option(Option.HOST_NAME) == "pod-1"
    assert discover.option(Option.PARAMETER_REQUEST_LIST) == DEFAULT_REQUEST
    assert discover.option(Option.MAX_MESSAGE_SIZE) == 1472
    assert discover.option(Option.REQUESTED_ADDRESS) is None
    assert request.option(Option.REQUESTED_ADDRESS) == FIRST
    assert request.option(Option.SERVER_ID) == SERVER
    assert (request.flags, request.ciaddr, request.xid) == (BROADCAST_FLAG, IPv4Address(0), discover.xid)


def test_every_message_of_an_acquisition_is_broadcast() -> None:
    wire = bound(ScriptedServer())
    assert {send.destination for _, send in wire.sent} == {BROADCAST}


def test_the_broadcast_flag_can_be_left_out() -> None:
    server = ScriptedServer()
    bound(server, replace(PLAIN, broadcast=False))
    assert [message.flags for message in server.heard] == [0, 0]


def test_provided_options_are_sent_and_win_over_our_own() -> None:
    server = ScriptedServer()
    provided = ((Option.HOST_NAME, b"other"), (Option.USER_CLASS, b"pod"), (Option.CLIENT_ID, b"\0mine"))
    wire = bound(server, identity=replace(IDENTITY, provide=provided, vendor_class=b"brdhcp"))
    wire.feed(Release())
    discover, release = server.heard[0], server.heard[-1]
    assert discover.option(Option.HOST_NAME) == "other"
    assert discover.option(Option.USER_CLASS) == b"pod"
    assert discover.option(Option.VENDOR_CLASS) == b"brdhcp"
    assert discover.option(Option.CLIENT_ID) == release.option(Option.CLIENT_ID) == b"\0mine"


def test_without_a_client_identifier_the_mac_is_the_identity() -> None:
    server = ScriptedServer()
    bound(server, identity=replace(IDENTITY, client_id=None))
    assert server.taken == {IDENTITY.chaddr: FIRST}


def test_a_wanted_address_is_asked_for() -> None:
    server = ScriptedServer()
    wire = Wire(Client.fresh(IDENTITY, 7, PLAIN, wanted=IPv4Address("172.16.91.140")), [server])
    wire.feed(Start())
    assert server.heard[0].option(Option.REQUESTED_ADDRESS) == IPv4Address("172.16.91.140")


@pytest.mark.parametrize("packet", [0, 1, 2, 3])
def test_a_single_lost_packet_costs_well_under_a_second(packet: int) -> None:
    order = iter(range(1000))
    wire = Wire(Client.fresh(IDENTITY, 7, PLAIN), [ScriptedServer()], lost=lambda: next(order) == packet)
    wire.feed(Start())
    wire.run(5.0)
    assert wire.when(Bound) < 0.4


@pytest.mark.parametrize("seed", range(40))
def test_a_lease_is_had_over_a_network_that_loses_a_third_of_everything(seed: int) -> None:
    policy = replace(PLAIN, patience_s=60)
    wire = Wire(Client.fresh(IDENTITY, seed, policy), [ScriptedServer()], lost=lossy(0.3, seed))
    wire.feed(Start())
    wire.run(60.0)
    assert wire.seen(Bound)


def test_retries_back_off_to_the_rfcs_64_seconds_and_tell_how_long_we_have_been_trying() -> None:
    wire = acquiring(policy=PATIENT)
    wire.run(400.0)
    times = [at for at, _ in wire.sent]
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    for gap, expected in zip(gaps, [0.25, 0.5, 1, 2, 4, 8, 16, 32, 64, 64], strict=False):
        assert 0.8 * expected <= gap <= 1.2 * expected
    assert [send.message.secs for _, send in wire.sent] == [int(at) for at in times]


def test_all_tries_of_one_acquisition_share_their_xid_so_that_a_slow_server_is_heard() -> None:
    server = ScriptedServer()
    wire = Wire(Client.fresh(IDENTITY, 7, PLAIN), [server], latency=1.7)
    wire.feed(Start())
    wire.run(6.0)
    assert wire.seen(Bound)
    assert len({message.xid for message in server.heard}) == 1


def test_a_lease_counts_from_the_first_request_the_server_may_have_granted() -> None:
    wire = Wire(Client.fresh(IDENTITY, 7, PLAIN), [ScriptedServer()], latency=1.7)
    wire.feed(Start())
    wire.run(6.0)
    first = next(at for at, s in wire.sent if s.message.message_type is MessageType.DHCPREQUEST)
    assert wire.client.lease is not None
    assert wire.client.lease.acquired_at == first < wire.when(Bound) - 1


def test_clients_with_different_seeds_do_not_ask_in_step() -> None:
    seconds = set()
    for seed in range(50):
        wire = acquiring(policy=PATIENT, seed=seed)
        wire.run(2.0)
        seconds.add(round(wire.sent[1][0], 3))
    assert len(seconds) > 30


def test_a_silent_server_exhausts_the_patience_and_the_error_says_what_was_tried() -> None:
    wire = acquiring()
    wire.run(60.0)
    (exhausted,) = wire.seen(Exhausted)
    assert wire.when(Exhausted) == pytest.approx(10.0)
    assert str(exhausted.tried) == "6 DHCPDISCOVER, 0 DHCPOFFER, 0 DHCPREQUEST in 10.0 s"
    assert (wire.state, wire.timer) == (State.INIT, None)


def test_after_giving_up_a_client_can_be_started_again() -> None:
    server = ScriptedServer(up=False)
    wire = acquiring(server)
    wire.run(60.0)
    server.up = True
    wire.feed(Start())
    wire.run(61.0)
    assert wire.when(Bound) < 61.0


def test_a_server_that_offers_and_never_acknowledges_is_asked_anew_and_released_at_the_end() -> None:
    server = ScriptedServer(
        edit=lambda m: m if m.message_type is MessageType.DHCPOFFER else replace(m, xid=0)
    )
    wire = acquiring(server)
    wire.run(60.0)
    (exhausted,) = wire.seen(Exhausted)
    assert "DHCPREQUEST was not answered" in exhausted.tried.reasons
    assert server.kinds().count("DHCPREQUEST") > 4
    assert server.kinds()[-1] == "DHCPRELEASE" or not server.taken


def test_an_acquisition_that_is_called_off_after_its_request_leaves_nothing_with_the_server() -> None:
    server = ScriptedServer()
    wire = Wire(Client.fresh(IDENTITY, 7, PLAIN), [server])
    wire.feed(Start())
    wire.run(0.0015)
    assert wire.state.name == "REQUESTING"
    assert server.taken
    wire.feed(Release())
    wire.run(10.0)
    assert not server.taken
    assert wire.state is State.RELEASED


def test_the_first_usable_offer_wins_and_the_other_server_keeps_its_address() -> None:
    one, two = ScriptedServer(), ScriptedServer(address=IPv4Address("172.16.91.253"), next_address=FIRST + 9)
    wire = Wire(Client.fresh(IDENTITY, 7, PLAIN), [one, two])
    wire.feed(Start())
    wire.run(1.0)
    assert wire.client.lease is not None
    assert wire.client.lease.server_id == SERVER
    assert one.taken
    assert not two.taken


def test_a_nak_is_reported_and_the_exchange_starts_over_more_slowly_each_time() -> None:
    server = ScriptedServer(refusing=True)
    wire = acquiring(server)
    wire.run(20.0)
    refusals = wire.seen(Refused)
    assert 3 <= len(refusals) <= 7
    assert refusals[0] == Refused("DHCPNAK from 172.16.91.254")
    assert wire.seen(Exhausted)


def test_a_server_that_stops_refusing_is_accepted() -> None:
    server = ScriptedServer(refusing=True)
    wire = acquiring(server)
    wire.run(2.0)
    server.refusing = False
    wire.run(9.0)
    assert wire.seen(Bound)


STRANGE: dict[str, Callable[[Message], Message]] = {
    "another xid": lambda m: replace(m, xid=m.xid ^ 1),
    "another chaddr": lambda m: replace(m, chaddr=bytes.fromhex("02005e000032")),
    "a cut chaddr": lambda m: replace(m, chaddr=m.chaddr[:5]),
    "op of a client": lambda m: replace(m, op=BOOTREQUEST),
    "no message type": lambda m: without(m, Option.MESSAGE_TYPE),
    "a message type of two octets": lambda m: having(m, MESSAGE_TYPE=b"\5\5"),
    "the type of a client": lambda m: having(m, MESSAGE_TYPE=1),
    "no server identifier": lambda m: without(m, Option.SERVER_ID),
    "no lease time": lambda m: without(m, Option.LEASE_TIME),
    "a lease time of zero": lambda m: having(m, LEASE_TIME=0),
    "a lease time that lies about its length": lambda m: having(m, LEASE_TIME=b"\1\2\3"),
    "no subnet mask": lambda m: without(m, Option.SUBNET_MASK),
    "address 0.0.0.0": lambda m: replace(m, yiaddr=IPv4Address(0)),
    "the gateway's address": lambda m: replace(m, yiaddr=GATEWAY),
    "the server's address": lambda m: replace(m, yiaddr=SERVER),
    "a multicast address": lambda m: replace(m, yiaddr=IPv4Address("239.1.1.1")),
}


@pytest.mark.parametrize("oddity", STRANGE)
def test_a_strange_answer_binds_nobody_and_a_good_one_after_it_does(oddity: str) -> None:
    server = ScriptedServer(edit=STRANGE[oddity])
    wire = acquiring(server)
    wire.run(3.0)
    assert not wire.seen(Bound)
    server.edit = lambda reply: reply
    wire.run(9.0)
    assert wire.seen(Bound)


@pytest.mark.parametrize(
    "edit",
    [
        lambda m: replace(m, yiaddr=IPv4Address("172.16.91.200")),
        lambda m: having(m, SERVER_ID=GATEWAY),
        lambda m: having(m, LEASE_TIME=0),
    ],
    ids=["another address", "another server", "a lease time of zero"],
)
def test_an_acknowledgement_that_does_not_fit_the_offer_binds_nobody(
    edit: Callable[[Message], Message],
) -> None:
    server = ScriptedServer(edit=lambda m: edit(m) if m.message_type is MessageType.DHCPACK else m)
    wire = acquiring(server)
    wire.run(60.0)
    assert not wire.seen(Bound)
    assert wire.seen(Exhausted)


def test_every_packet_twice_is_as_good_as_once() -> None:
    server = ScriptedServer()
    wire = Wire(Client.fresh(IDENTITY, 7, PLAIN), [server], copies=2)
    wire.feed(Start())
    wire.run(5.0)
    assert len(wire.seen(Bound)) == 1
    assert server.kinds() == ["DHCPDISCOVER", "DHCPREQUEST"]


def test_acknowledgement_and_offer_in_the_wrong_order_only_cost_a_retry() -> None:
    server = ScriptedServer()
    wire = acquiring(server)
    late_ack = Message.decode(server.reply(MessageType.DHCPACK, server.heard[0], FIRST))
    wire.feed(Received(late_ack, SERVER_MAC))
    assert wire.state is State.SELECTING
    wire.run(1.0)
    assert wire.seen(Bound)


def test_a_nak_from_another_server_is_none_of_our_business() -> None:
    server = ScriptedServer()
    wire = acquiring(server)
    wire.run(0.0015)
    other = ScriptedServer(address=IPv4Address("172.16.91.253"))
    nak = Message.decode(other.reply(MessageType.DHCPNAK, server.heard[-1], IPv4Address(0)))
    wire.feed(Received(nak, SERVER_MAC))
    wire.run(1.0)
    assert wire.seen(Bound)
    assert not wire.seen(Refused)


def test_the_client_identifier_is_the_reference_plugins_and_fits_its_option() -> None:
    assert client_id("c0ffee", "mycninet", "eth0") == b"\0c0ffee/mycninet/eth0"
    assert len(client_id("c" * 300, "net", "eth0")) == 255


def test_the_other_client_identifiers_start_with_their_type() -> None:
    assert client_id_from_mac(bytes.fromhex("02005e000031")) == bytes.fromhex("0102005e000031")
    assert client_id_from_duid(7, b"\0\2duid") == b"\xff\0\0\0\7\0\2duid"


@pytest.mark.parametrize(
    ("name", "host"),
    [("web-1", "web-1"), ("Web_1", "web-1"), ("a.b.c", "a"), ("-x-", "x"), ("", ""), ("y" * 80, "y" * 63)],
)
def test_a_host_name_is_one_legal_label(name: str, host: str) -> None:
    assert host_name(name) == host


def test_a_message_knows_its_own_frame() -> None:
    wire = bound(ScriptedServer())
    send = wire.sent[0][1]
    assert isinstance(send, Send)
    assert send.frame("02:00:5e:00:00:31")[:6] == b"\xff" * 6


def test_an_identity_needs_nothing_but_a_mac() -> None:
    server = ScriptedServer()
    bound(server, identity=Identity(IDENTITY.chaddr, request=()))
    assert set(server.heard[0].options) == {Option.MESSAGE_TYPE, Option.MAX_MESSAGE_SIZE}
