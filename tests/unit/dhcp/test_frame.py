"""Frames, checksums, ARP, and the filters as the kernel runs them."""

from __future__ import annotations

import ctypes
import socket
import struct
from collections.abc import Sequence
from ipaddress import IPv4Address

import pytest
from brdhcp.dhcp import frame
from brdhcp.dhcp.message import Message
from hypothesis import given
from hypothesis import strategies as st

MAC, OTHER = "02:00:5e:00:00:31", "02:00:5e:00:00:32"
SERVER_MAC = "02:00:5e:00:02:54"
ADDRESS, SERVER = IPv4Address("172.16.91.131"), IPv4Address("172.16.91.254")
PAYLOAD = Message(xid=1, chaddr=frame.mac_bytes(MAC)).encode()


def from_server(payload: bytes = PAYLOAD, *, port: int = 68, mac: str = MAC) -> bytearray:
    """A frame as a server sends it: the ports of ours changed round, no UDP checksum."""
    made = bytearray(frame.unicast_frame(payload, SERVER_MAC, SERVER, mac, ADDRESS))
    made[34:38] = struct.pack("!HH", 67, port)
    made[40:42] = b"\0\0"
    return made


def test_a_broadcast_frame_comes_from_nowhere_and_goes_to_everybody() -> None:
    datagram = frame.parse_frame(frame.broadcast_frame(PAYLOAD, MAC))
    assert datagram == frame.Datagram(
        MAC, frame.BROADCAST_MAC, IPv4Address(0), IPv4Address("255.255.255.255"), 68, 67, PAYLOAD
    )


def test_a_unicast_frame_names_both_ends() -> None:
    datagram = frame.parse_frame(frame.unicast_frame(PAYLOAD, MAC, ADDRESS, SERVER_MAC, SERVER))
    assert datagram == frame.Datagram(MAC, SERVER_MAC, ADDRESS, SERVER, 68, 67, PAYLOAD)


def test_a_server_whose_mac_is_unknown_is_reached_by_a_broadcast_on_the_link() -> None:
    datagram = frame.parse_frame(frame.unicast_frame(PAYLOAD, MAC, ADDRESS, None, SERVER))
    assert datagram is not None
    assert (datagram.destination_mac, datagram.destination) == (frame.BROADCAST_MAC, SERVER)


@given(st.binary(max_size=1500))
def test_the_checksum_is_the_ones_complement_of_rfc_1071(data: bytes) -> None:
    total = sum(int.from_bytes(data[at : at + 2].ljust(2, b"\0"), "big") for at in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    expected = ~total & 0xFFFF
    assert frame.checksum(data) in ({0, 0xFFFF} if not any(data) else {expected})


@given(st.binary(max_size=600))
def test_any_payload_survives_its_frame(payload: bytes) -> None:
    datagram = frame.parse_frame(frame.broadcast_frame(payload, MAC))
    assert datagram is not None
    assert datagram.payload == payload


def test_a_udp_checksum_of_zero_means_that_there_is_none() -> None:
    assert frame.parse_frame(bytes(from_server())) is not None


def test_a_wrong_udp_checksum_is_refused_unless_the_kernel_says_it_is_not_ready() -> None:
    made = from_server()
    made[40:42] = b"\x12\x34"
    assert frame.parse_frame(bytes(made)) is None
    assert frame.parse_frame(bytes(made), checksum_ready=False) is not None


def test_padding_behind_the_datagram_is_no_part_of_it() -> None:
    datagram = frame.parse_frame(bytes(from_server(b"short")) + bytes(46))
    assert datagram is not None
    assert datagram.payload == b"short"


def test_a_header_with_ip_options_is_read() -> None:
    made = from_server()
    header = bytearray(made[14:34])
    header[0] = 0x46
    header[2:4] = (len(made) - 14 + 4).to_bytes(2, "big")
    header[10:12] = b"\0\0"
    header += b"\x01\x01\x01\x01"
    header[10:12] = frame.checksum(bytes(header)).to_bytes(2, "big")
    datagram = frame.parse_frame(bytes(made[:14] + header + made[34:]))
    assert datagram is not None
    assert datagram.payload == PAYLOAD


DAMAGE = {
    "another ethertype": (12, b"\x86\xdd"),
    "a tag": (12, b"\x81\x00"),
    "IP version 6": (14, b"\x65"),
    "a header too short": (14, b"\x44"),
    "a header past the end": (14, b"\x4f"),
    "a total length past the end": (16, b"\xff\xff"),
    "a total length of nothing": (16, b"\x00\x00"),
    "a fragment": (20, b"\x20\x00"),
    "TCP": (23, b"\x06"),
    "a broken header checksum": (24, b"\xde\xad"),
    "a UDP length past the end": (38, b"\xff\xff"),
    "a UDP length of nothing": (38, b"\x00\x00"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_frame_that_is_no_whole_udp_datagram_is_none(damage: str) -> None:
    at, octets = DAMAGE[damage]
    made = from_server()
    made[at : at + len(octets)] = octets
    if at < 34 and damage not in ("a broken header checksum", "a header past the end"):
        made[24:26] = b"\0\0"
        made[24:26] = frame.checksum(bytes(made[14:34])).to_bytes(2, "big")
    assert frame.parse_frame(bytes(made), checksum_ready=False) is None


@given(st.binary(max_size=400), st.integers(0, 400))
def test_parsing_arbitrary_bytes_never_raises(data: bytes, cut: int) -> None:
    for candidate in (
        data,
        bytes(from_server())[:cut],
        bytes(from_server())[:14] + data,
        b"\0" * 12 + b"\x08\x06" + data,
    ):
        frame.parse_frame(candidate)
        frame.parse_arp(candidate)


def test_a_probe_asks_for_an_address_without_claiming_it() -> None:
    arp = frame.parse_arp(frame.arp_probe(MAC, ADDRESS))
    assert arp == frame.Arp(1, MAC, IPv4Address(0), "00:00:00:00:00:00", ADDRESS)


def test_an_announcement_claims_the_address_it_asks_for() -> None:
    arp = frame.parse_arp(frame.arp_announce(MAC, ADDRESS))
    assert arp is not None
    assert (arp.sender, arp.target) == (ADDRESS, ADDRESS)


def test_a_request_and_its_reply_survive_the_wire() -> None:
    asked = frame.parse_arp(frame.arp_request(MAC, ADDRESS, SERVER))
    assert asked == frame.Arp(1, MAC, ADDRESS, "00:00:00:00:00:00", SERVER)
    reply = frame.arp_reply(SERVER_MAC, SERVER, MAC, ADDRESS)
    assert frame.parse_arp(reply) == frame.Arp(2, SERVER_MAC, SERVER, MAC, ADDRESS)
    assert reply[:6] == frame.mac_bytes(MAC)


@pytest.mark.parametrize(
    "damage", [(14, b"\0\6"), (16, b"\x86\xdd"), (18, b"\x08"), (19, b"\x10"), (12, b"\x08\x00")]
)
def test_arp_for_anything_but_ipv4_over_ethernet_is_none(damage: tuple[int, bytes]) -> None:
    made = bytearray(frame.arp_probe(MAC, ADDRESS))
    made[damage[0] : damage[0] + len(damage[1])] = damage[1]
    assert frame.parse_arp(bytes(made)) is None
    assert frame.parse_arp(frame.arp_probe(MAC, ADDRESS)[:41]) is None


@pytest.mark.parametrize(
    ("arp", "conflict"),
    [
        (frame.arp_reply(OTHER, ADDRESS, MAC, IPv4Address(0)), True),
        (frame.arp_announce(OTHER, ADDRESS), True),
        (frame.arp_request(OTHER, ADDRESS, SERVER), True),
        (frame.arp_probe(OTHER, ADDRESS), False),
        (frame.arp_probe(MAC, ADDRESS), False),
        (frame.arp_announce(MAC, ADDRESS), False),
        (frame.arp_request(OTHER, SERVER, ADDRESS), False),
        (frame.arp_reply(OTHER, SERVER, MAC, ADDRESS), False),
    ],
    ids=[
        "reply",
        "announcement",
        "request from it",
        "other's probe",
        "own probe",
        "own claim",
        "question for it",
        "other address",
    ],
)
def test_a_conflict_is_somebody_else_speaking_from_the_address(arp: bytes, conflict: bool) -> None:
    parsed = frame.parse_arp(arp)
    assert parsed is not None
    assert frame.conflicting(parsed, ADDRESS, MAC.upper()) is conflict


@pytest.mark.parametrize("mac", ["", "02:00:5e:00:00", "zz:00:5e:00:00:31", "02:00:5e:00:00:31:00"])
def test_a_mac_address_has_six_octets(mac: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        frame.mac_bytes(mac)


SO_ATTACH_FILTER = 26


def passes(program: Sequence[frame.Instruction], data: bytes) -> bool:
    """Whether the kernel lets ``data`` through to a socket that has the program attached; no privilege is
    needed.
    """
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in program))
    sender, receiver = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with sender, receiver:
        receiver.setsockopt(
            socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HL", len(program), ctypes.addressof(code))
        )
        try:
            sender.send(data)
            return receiver.recv(65536, socket.MSG_DONTWAIT) == data
        except BlockingIOError:
            return False


def test_the_kernel_passes_a_servers_answer_to_the_client_it_is_for_and_to_no_other() -> None:
    assert passes(frame.dhcp_filter(), bytes(from_server()))
    assert passes(frame.dhcp_filter(MAC), bytes(from_server()))
    assert not passes(frame.dhcp_filter(OTHER), bytes(from_server()))
    assert not passes(frame.dhcp_filter("12:00:5e:00:00:31"), bytes(from_server()))


@pytest.mark.parametrize("mac", [None, MAC])
def test_the_kernel_keeps_everything_else_from_a_dhcp_socket(mac: str | None) -> None:
    program = frame.dhcp_filter(mac)
    fragment, tcp = from_server(), from_server()
    fragment[20:22] = b"\x20\x00"
    tcp[23] = 6
    tagged = from_server()
    tagged[12:12] = b"\x81\x00\x00\x0a"
    for other in (
        from_server(port=67),
        fragment,
        tcp,
        tagged,
        frame.arp_probe(MAC, ADDRESS),
        b"\0" * 60,
        b"",
    ):
        assert not passes(program, bytes(other))


def test_the_kernel_passes_arp_and_nothing_else_to_an_arp_socket() -> None:
    assert passes(frame.arp_filter(), frame.arp_probe(MAC, ADDRESS))
    assert not passes(frame.arp_filter(), bytes(from_server()))


def test_the_arp_filter_for_an_address_lets_through_who_speaks_from_it() -> None:
    other = IPv4Address("192.0.2.77")
    assert not passes(frame.arp_filter(ADDRESS), frame.arp_probe(MAC, ADDRESS))
    assert passes(frame.arp_filter(ADDRESS), frame.arp_announce(MAC, ADDRESS))
    assert not passes(frame.arp_filter(other), frame.arp_probe(MAC, ADDRESS))
    assert not passes(frame.arp_filter(ADDRESS), bytes(from_server()))
