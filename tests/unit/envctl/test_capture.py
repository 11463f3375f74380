"""Files for Wireshark, and packets in words, from frames made here."""

from __future__ import annotations

import io
import struct
from ipaddress import IPv4Address
from typing import Any

import pytest
from brdhcp.dhcp.frame import arp_announce, arp_probe, arp_reply, arp_request, broadcast_frame
from brdhcp.dhcp.message import Message, MessageType
from brdhcp.dhcp.options import Option

from envctl import packets
from envctl.cli.watching import First
from envctl.pcapng import FormatError, Frame, PcapStream, Writer, read
from envctl.report.diagrams import sequence
from envctl.report.exchanges import exchanges

MAC = "02:00:5e:00:00:07"
ADDRESS, SERVER = IPv4Address("172.16.91.131"), IPv4Address("172.16.91.254")


def message(kind: MessageType, options: dict[int, bytes] | None = None, **fields: Any) -> bytes:
    options = {int(Option.MESSAGE_TYPE): bytes([kind]), **(options or {})}
    return broadcast_frame(
        Message(chaddr=bytes.fromhex(MAC.replace(":", "")), xid=7, options=options, **fields).encode(), MAC
    )  # fmt: skip


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (
            message(MessageType.DHCPDISCOVER, options={12: b"web"}),
            f"DHCPDISCOVER: {MAC} (web) asks the LAN for an address",
        ),
        (
            message(MessageType.DHCPREQUEST, options={50: ADDRESS.packed, 54: SERVER.packed}),
            f"DHCPREQUEST: {MAC} takes {ADDRESS}, as {SERVER} offered",
        ),
        (message(MessageType.DHCPREQUEST, ciaddr=ADDRESS), f"DHCPREQUEST: {MAC} asks to keep {ADDRESS}"),
        (
            message(MessageType.DHCPREQUEST, options={50: ADDRESS.packed}),
            f"DHCPREQUEST: {MAC} asks whether {ADDRESS} is still its own",
        ),
        (
            message(MessageType.DHCPRELEASE, ciaddr=ADDRESS, options={54: SERVER.packed}),
            f"DHCPRELEASE: {MAC} gives {ADDRESS} back to {SERVER}",
        ),
        (arp_probe(MAC, ADDRESS), f"ARP: is anybody {ADDRESS}? asks {MAC}, who would like to be"),
        (arp_announce(MAC, ADDRESS), f"ARP: {ADDRESS} is at {MAC} from now on"),
        (arp_request(MAC, ADDRESS, SERVER), f"ARP: who is {SERVER}? asks {ADDRESS} ({MAC})"),
        (arp_reply(MAC, ADDRESS, MAC, SERVER), f"ARP: {ADDRESS} is at {MAC}"),
        (b"\0" * 60, ""),
        (message(MessageType.DHCPACK)[:200], ""),
    ],
)  # fmt: skip
def test_a_packet_in_words(frame: bytes, words: str) -> None:
    assert packets.words(frame) == words


def test_a_capture_is_read_as_it_was_written() -> None:
    frames = [
        Frame("master:eth0", 1_700_000_000_123_456_789, b"x" * 61, "DHCPDISCOVER: ünd Wörter"),
        Frame("host:eth0", 1_700_000_001_000_000_000, b"y" * 64),
    ]
    file = io.BytesIO()
    writer = Writer(file, [("host:eth0", "the workstation"), ("master:eth0", "NIC")])
    for frame in frames:
        writer.write(frame)
    assert list(read(io.BytesIO(file.getvalue()))) == frames
    with pytest.raises(FormatError):
        list(read(io.BytesIO(file.getvalue()[:-3])))


def test_tcpdumps_stream_may_come_in_pieces_of_any_size() -> None:
    head = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
    data = head + b"".join(struct.pack("<IIII", 9, at, 3, 3) + b"abc" for at in range(5))
    stream = PcapStream()
    frames = [frame for at in range(0, len(data), 7) for frame in stream.feed(data[at : at + 7])]
    assert frames == [(9_000_000_000 + at * 1000, b"abc") for at in range(5)]
    with pytest.raises(FormatError):
        list(PcapStream().feed(b"\0" * 24))


def test_a_packet_is_told_at_the_first_place_only_and_a_repetition_again() -> None:
    first = First()
    sightings = [("a", 0), ("b", 1000), ("c", 2000), ("a", 3000), ("b", 10**9)]
    assert [first.sighting(Frame(where, at, b"same")) for where, at in sightings] == [
        True,
        False,
        False,
        True,
        True,
    ]


def test_exchanges_are_told_apart_by_transaction_and_each_message_counts_once() -> None:
    offer = message(MessageType.DHCPOFFER, op=2, yiaddr=ADDRESS, options={54: SERVER.packed})
    frames = [
        Frame("master:mybr0", 5_000_000, message(MessageType.DHCPDISCOVER, options={12: b"web"})),
        Frame("worker1:mybr0", 5_000_100, message(MessageType.DHCPDISCOVER, options={12: b"web"})),
        Frame("master:mybr0", 7_000_000, offer),
    ]
    (exchange,) = exchanges(frames, {})
    assert exchange.title == f"web is offered {ADDRESS}"
    assert [(said.kind, said.from_server, said.after_ms) for said in exchange.messages] == [
        ("DHCPDISCOVER", False, 0.0),
        ("DHCPOFFER", True, 2.0),
    ]
    assert exchange.messages[1].words == f"{SERVER} offers {ADDRESS} to web"
    assert sequence(exchange).count("<polygon") == 2
