"""Messages between bytes and fields, and bytes that are no message."""

from __future__ import annotations

import time
from dataclasses import replace
from ipaddress import IPv4Address
from typing import Any

import pytest
from brdhcp.dhcp.message import BOOTREPLY, Malformed, Message, MessageType
from brdhcp.dhcp.options import Option
from hypothesis import given
from hypothesis import strategies as st

HEADER = bytes.fromhex("020106005e1f3a4b0000800000000000ac105b8300000000000000000002005e00003100").ljust(
    44, b"\0"
)
OFFER = Message(
    op=BOOTREPLY,
    xid=0x5E1F3A4B,
    flags=0x8000,
    yiaddr=IPv4Address("172.16.91.131"),
    chaddr=bytes.fromhex("02005e000031"),
    options={53: b"\x02", 54: bytes((172, 16, 91, 254)), 51: bytes((0, 0, 14, 16))},
)


def message(options: bytes, *, sname: bytes = b"", file: bytes = b"") -> bytes:
    return HEADER[:44] + sname.ljust(64, b"\0") + file.ljust(128, b"\0") + b"\x63\x82\x53\x63" + options


def test_a_message_survives_the_wire() -> None:
    assert Message.decode(OFFER.encode()) == OFFER


def test_a_message_is_at_least_300_octets_long() -> None:
    assert len(Message().encode()) == 300


def test_the_log_line_of_a_message_says_type_xid_client_address_and_server() -> None:
    assert str(OFFER) == (
        "DHCPOFFER xid 0x5e1f3a4b chaddr 02:00:5e:00:00:31 address 172.16.91.131 server 172.16.91.254"
    )


def test_a_long_option_is_split_and_joined_again() -> None:
    long = replace(OFFER, options={**OFFER.options, 224: bytes(range(256)) * 3})
    assert Message.decode(long.encode()) == long
    assert bytes((224, 255)) in long.encode()


def test_parts_of_an_option_are_joined_across_options_file_and_sname() -> None:
    data = message(b"\x35\x01\x02\x34\x01\x03\xe0\x02ab\xff", file=b"\xe0\x02cd\xff", sname=b"\xe0\x02ef\xff")
    decoded = Message.decode(data)
    assert decoded.options[224] == b"abcdef"
    assert (decoded.file, decoded.sname) == (b"", b"")


@pytest.mark.parametrize(("overload", "found"), [(0, ()), (1, (224,)), (2, (225,)), (3, (224, 225)), (4, ())])
def test_file_and_sname_hold_options_only_when_overload_says_so(
    overload: int, found: tuple[int, ...]
) -> None:
    data = message(b"\x34\x01" + bytes((overload,)) + b"\xff", file=b"\xe0\x01x\xff", sname=b"\xe1\x01y\xff")
    assert tuple(code for code in Message.decode(data).options if code >= 224) == found


def test_an_overload_inside_an_overloaded_field_changes_nothing() -> None:
    data = message(b"\x34\x01\x01\xff", file=b"\x34\x01\x03\xff", sname=b"\xe1\x01y\xff")
    assert 225 not in Message.decode(data).options


def test_text_in_file_and_sname_ends_at_its_first_nul() -> None:
    decoded = Message.decode(message(b"\xff", file=b"pxelinux.0\0junk", sname=b"boot\0junk"))
    assert (decoded.file, decoded.sname) == (b"pxelinux.0", b"boot")


def test_pads_are_skipped_and_a_missing_end_is_tolerated() -> None:
    assert Message.decode(message(b"\0\0\x35\x01\x02\0\0")).message_type is MessageType.DHCPOFFER


def test_nothing_behind_the_end_option_is_read() -> None:
    assert 224 not in Message.decode(message(b"\x35\x01\x02\xff\xe0\x01x")).options


@pytest.mark.parametrize(
    "options", [b"\x35", b"\x35\x02\x02", b"\xe0\xff" + bytes(254), b"\0\0\x36\x04\xac\x10\x5b"]
)
def test_an_option_that_lies_about_its_length_makes_the_message_malformed(options: bytes) -> None:
    with pytest.raises(Malformed, match="past the end"):
        Message.decode(message(options))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(239),
        bytes(240),
        b"\x03" + OFFER.encode()[1:],
        OFFER.encode()[:2] + b"\x11" + OFFER.encode()[3:],
        OFFER.encode()[:236] + b"\0\0\0\0",
    ],
)
def test_what_is_not_bootp_with_a_magic_cookie_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        Message.decode(data)


@pytest.mark.parametrize("raw", [b"", b"\x00", b"\x09", b"\x02\x02"])
def test_a_message_type_out_of_the_table_is_none(raw: bytes) -> None:
    assert replace(OFFER, options={53: raw}).message_type is None


def test_a_malformed_value_reads_as_absent_and_spoils_nothing_else() -> None:
    decoded = Message.decode(message(b"\x35\x01\x02\x01\x03\xff\xff\xff\x03\x04\xac\x10\x5b\x02\xff"))
    assert decoded.option(Option.SUBNET_MASK) is None
    assert decoded.option(Option.ROUTERS) == (IPv4Address("172.16.91.2"),)


@pytest.mark.parametrize(
    "wrong",
    [
        {"xid": -1},
        {"xid": 1 << 32},
        {"secs": 1 << 16},
        {"chaddr": bytes(17)},
        {"file": bytes(129)},
        {"options": {0: b""}},
        {"options": {255: b""}},
        {"options": {300: b""}},
    ],
)
def test_fields_that_do_not_fit_are_refused_when_encoding(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        replace(OFFER, **wrong).encode()


octets = st.binary(max_size=600)
messages = st.builds(
    Message,
    op=st.sampled_from((1, 2)),
    hops=st.integers(0, 255),
    xid=st.integers(0, 0xFFFF_FFFF),
    secs=st.integers(0, 0xFFFF),
    flags=st.integers(0, 0xFFFF),
    ciaddr=st.ip_addresses(v=4),
    yiaddr=st.ip_addresses(v=4),
    siaddr=st.ip_addresses(v=4),
    giaddr=st.ip_addresses(v=4),
    chaddr=st.binary(max_size=16),
    sname=st.binary(max_size=64).filter(lambda b: 0 not in b),
    file=st.binary(max_size=128).filter(lambda b: 0 not in b),
    options=st.dictionaries(st.integers(1, 254).filter(lambda c: c != Option.OVERLOAD), octets, max_size=12),
)


@given(messages)
def test_decode_undoes_encode(sent: Message) -> None:
    assert Message.decode(sent.encode()) == sent


@given(st.one_of(st.binary(max_size=1200), octets.map(message), st.tuples(octets, octets).map(
    lambda p: message(b"\x34\x01\x03" + p[0], file=p[1][:128], sname=p[1][128:192]))))  # fmt: skip
def test_decoding_arbitrary_bytes_raises_malformed_or_nothing(data: bytes) -> None:
    try:
        decoded = Message.decode(data)
    except Malformed as fault:
        assert len(str(fault)) < 200
    else:
        str(decoded)
        for code in decoded.options:
            decoded.option(code)


@pytest.mark.parametrize(
    "filling", [b"\xe0\x00", b"\xe0\x01x", b"\x00", b"\x01\x00\x02\x00", b"\x77\x02\xc0\x00"]
)
def test_a_message_of_64_kilobytes_costs_no_more_than_its_size(filling: bytes) -> None:
    data = message(filling * (65_000 // len(filling)))
    began = time.process_time()
    decoded = Message.decode(data)
    for code in decoded.options:
        decoded.option(code)
    assert time.process_time() - began < 0.5
