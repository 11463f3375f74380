"""Frames of real servers, as they came off the wire (see ``captured/README.md``)."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path

import pytest
from brdhcp.dhcp import frame
from brdhcp.dhcp.lease import Lease
from brdhcp.dhcp.message import Message, MessageType
from brdhcp.dhcp.options import DEFAULT_REQUEST, Route

CAPTURED = Path(__file__).with_name("captured")
GATEWAY, SERVER = IPv4Address("172.16.91.2"), IPv4Address("172.16.91.254")


def octets(name: str) -> bytes:
    return bytes.fromhex((CAPTURED / f"{name}.hex").read_text())


def read(name: str) -> Message:
    datagram = frame.parse_frame(octets(name), checksum_ready=False)
    assert datagram is not None
    assert (datagram.source, datagram.source_port, datagram.destination_port) == (SERVER, 67, 68)
    return Message.decode(datagram.payload)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("dnsmasq-2.90-offer", MessageType.DHCPOFFER),
        ("dnsmasq-2.90-ack", MessageType.DHCPACK),
        ("dnsmasq-2.90-ack-renewing", MessageType.DHCPACK),
        ("dnsmasq-2.90-ack-rebooting", MessageType.DHCPACK),
        ("dnsmasq-2.90-nak", MessageType.DHCPNAK),
    ],
)
def test_every_captured_message_is_read_and_written_again(name: str, kind: MessageType) -> None:
    message = read(name)
    assert message.message_type is kind
    assert message.chaddr == frame.mac_bytes("02:00:5e:00:00:31")
    assert Message.decode(message.encode()) == message


def test_a_veth_delivers_partial_checksums_and_only_the_kernel_can_say_so() -> None:
    assert frame.parse_frame(octets("dnsmasq-2.90-offer")) is None


def test_dnsmasqs_answer_is_a_whole_lease() -> None:
    lease = Lease.from_message(read("dnsmasq-2.90-ack"), acquired_at=0.0, keep=(*DEFAULT_REQUEST, 66, 224))
    assert lease == Lease(
        IPv4Interface("172.16.91.195/24"),
        SERVER,
        3600,
        1800,
        3150,
        0.0,
        None,
        (GATEWAY,),
        (
            Route(IPv4Network("10.96.0.0/12"), IPv4Address("172.16.91.10")),
            Route(IPv4Network("0.0.0.0/0"), GATEWAY),
        ),
        (GATEWAY,),
        "lan.example",
        ("lan.example", "svc.lan.example", "example.org"),
        (GATEWAY,),
        1400,
        IPv4Address("172.16.91.255"),
        "pod-1",
        ((66, b"tftp.lan.example\0"), (224, b"long-option-" * 20)),
    )


@pytest.mark.parametrize(
    ("server", "address", "checked"),
    [
        ("isc-dhcpd-4.4.3", "172.16.91.128/24", {"offer", "ack"}),
        ("udhcpd-1.35.0", "172.16.91.128/24", {"offer", "ack", "ack-renewing"}),
        ("systemd-networkd-252", "172.16.91.138/24", set()),
    ],
)
def test_the_answers_of_other_servers_are_whole_leases_too(
    server: str, address: str, checked: set[str]
) -> None:
    for name, kind in (
        ("offer", MessageType.DHCPOFFER),
        ("ack", MessageType.DHCPACK),
        ("ack-renewing", MessageType.DHCPACK),
    ):
        message = read(f"{server}-{name}")
        assert message.message_type is kind
        assert message.chaddr == frame.mac_bytes("02:00:5e:00:00:31")
        assert Message.decode(message.encode()) == message
        lease = Lease.from_message(message, acquired_at=0.0, keep=DEFAULT_REQUEST)
        assert (lease.address, lease.server_id) == (IPv4Interface(address), SERVER)
        assert (lease.lease_s, lease.t1_s, lease.t2_s) == (600, 300, 525)
        assert lease.routers == (GATEWAY,)
        assert lease.dns == ((GATEWAY,) if "ack" in name or "networkd" not in server else ())
        # What a server writes frame by frame has a whole checksum; the kernel leaves its own for a card.
        assert (frame.parse_frame(octets(f"{server}-{name}")) is not None) == (name in checked)


def test_dnsmasq_says_why_it_refuses() -> None:
    assert read("dnsmasq-2.90-nak").option(56) == "wrong address"


def test_a_neighbours_arp_reply_is_read() -> None:
    arp = frame.parse_arp(octets("arp-reply"))
    assert arp is not None
    assert (arp.operation, arp.sender, arp.target_mac) == (
        frame.ArpOperation.REPLY,
        SERVER,
        "02:00:5e:00:00:31",
    )
