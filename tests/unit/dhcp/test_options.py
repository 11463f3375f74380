"""Every option of the table: its bytes, its value, and what is refused."""

from __future__ import annotations

import time
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest
from brdhcp.dhcp.options import (
    DEFAULT_REQUEST,
    OPTIONS,
    Malformed,
    Option,
    Route,
    decode_option,
    encode_option,
    option_code,
    option_name,
    provide_option,
    request_list,
)
from hypothesis import given
from hypothesis import strategies as st

A = IPv4Address
EXAMPLES: list[tuple[int, str, Any]] = [
    (1, "ffffff00", A("255.255.255.0")),
    (3, "ac105b02 ac105b03", (A("172.16.91.2"), A("172.16.91.3"))),
    (6, "ac105b02", (A("172.16.91.2"),)),
    (12, "706f642d31", "pod-1"),
    (15, "6c616e2e6578616d706c65", "lan.example"),
    (26, "0578", 1400),
    (28, "ac105bff", A("172.16.91.255")),
    (
        33,
        "0a000000 ac105b03 c0a80105 ac105b04",
        (
            Route(IPv4Network("10.0.0.0/8"), A("172.16.91.3")),
            Route(IPv4Network("192.168.1.5/32"), A("172.16.91.4")),
        ),
    ),
    (42, "ac105b02", (A("172.16.91.2"),)),
    (43, "0104deadbeef", bytes.fromhex("0104deadbeef")),
    (50, "ac105b83", A("172.16.91.131")),
    (51, "00000e10", 3600),
    (52, "03", 3),
    (53, "05", 5),
    (54, "ac105bfe", A("172.16.91.254")),
    (55, "010379", (1, 3, 121)),
    (56, "77726f6e672061646472657373", "wrong address"),
    (57, "05c0", 1472),
    (58, "00000708", 1800),
    (59, "00000c4e", 3150),
    (60, "4d53465420352e30", b"MSFT 5.0"),
    (61, "0102005e000031", bytes.fromhex("0102005e000031")),
    (66, "746674702e6c616e", "tftp.lan"),
    (67, "7078656c696e75782e30", "pxelinux.0"),
    (77, "706f64", b"pod"),
    (81, "000000706f64", bytes.fromhex("000000706f64")),
    (119, "036c616e076578616d706c6500 03737663c000", ("lan.example", "svc.lan.example")),
    (
        121,
        "0c0a60ac105b0a 00ac105b02 20c0a8010500000000",
        (
            Route(IPv4Network("10.96.0.0/12"), A("172.16.91.10")),
            Route(IPv4Network("0.0.0.0/0"), A("172.16.91.2")),
            Route(IPv4Network("192.168.1.5/32"), A("0.0.0.0")),
        ),
    ),
    (249, "00ac105b02", (Route(IPv4Network("0.0.0.0/0"), A("172.16.91.2")),)),
]


@pytest.mark.parametrize(("code", "raw", "value"), EXAMPLES, ids=[option_name(row[0]) for row in EXAMPLES])
def test_an_option_means_the_same_in_both_directions(code: int, raw: str, value: Any) -> None:
    assert decode_option(code, bytes.fromhex(raw)) == value
    assert encode_option(code, value) == bytes.fromhex(raw)


def test_every_row_of_the_table_has_an_example() -> None:
    assert {code for code, _, _ in EXAMPLES} == set(OPTIONS)


@pytest.mark.parametrize(
    ("code", "raw"),
    [
        (1, ""),
        (1, "ffffff"),
        (1, "ffffff0000"),
        (3, ""),
        (3, "ac105b"),
        (6, "ac105b02ac"),
        (12, ""),
        (12, "00"),
        (12, "706f640a31"),
        (12, "2e"),
        (12, "ff"),
        (12, "61" * 64),
        (15, "6c616e206578"),
        (15, "612e2e62"),
        (26, "05"),
        (26, "0000"),
        (26, "0043"),
        (33, ""),
        (33, "0a000000"),
        (33, "00000000ac105b02"),
        (51, "0e10"),
        (52, "0303"),
        (53, ""),
        (55, ""),
        (56, "1b5b324a"),
        (57, "0010"),
        (119, ""),
        (119, "036c61"),
        (119, "036c616e"),
        (119, "c000"),
        (119, "00"),
        (119, "03610a6200"),
        (119, "016100c0"),
        (119, "4161"),
        (119, "0161c000"),
        (121, ""),
        (121, "21"),
        (121, "0c0a60ac105b"),
        (121, "20"),
        (249, "ff"),
    ],
)
def test_a_value_of_the_wrong_shape_is_malformed(code: int, raw: str) -> None:
    with pytest.raises(Malformed):
        decode_option(code, bytes.fromhex(raw))


@pytest.mark.parametrize(
    ("code", "value"),
    [
        (3, ()),
        (12, ""),
        (12, "a\nnameserver 6.6.6.6"),
        (12, "a" * 64),
        (15, ".".join(["a" * 60] * 5)),
        (26, 67),
        (51, -1),
        (51, 1 << 32),
        (53, 256),
        (55, ()),
        (56, "\x1b"),
        (119, ()),
        (119, ("a..b",)),
        (121, ()),
        (33, ()),
        (33, (Route(IPv4Network("10.96.0.0/12"), A("172.16.91.10")),)),
    ],
)
def test_a_value_without_bytes_is_refused(code: int, value: Any) -> None:
    with pytest.raises(ValueError, match=r".+"):
        encode_option(code, value)


def test_a_name_from_the_lan_cannot_add_lines_to_resolv_conf() -> None:
    for raw in (b"lan\nnameserver 6.6.6.6", b"lan nameserver", b"lan;", "lé".encode(), b"lan\x00x"):
        with pytest.raises(Malformed):
            decode_option(Option.DOMAIN_NAME, raw)


def test_trailing_nuls_and_dots_of_a_name_are_dropped() -> None:
    assert decode_option(Option.HOST_NAME, b"pod-1\0") == "pod-1"
    assert decode_option(Option.DOMAIN_NAME, b"lan.example.") == "lan.example"


def test_host_bits_behind_a_classless_prefix_are_masked() -> None:
    assert decode_option(121, bytes.fromhex("0cacffac105b0a")) == (
        Route(IPv4Network("172.240.0.0/12"), A("172.16.91.10")),
    )


def test_an_unknown_option_stays_bytes() -> None:
    assert decode_option(224, b"xyz") == b"xyz"
    assert encode_option(224, b"xyz") == b"xyz"
    assert option_name(224) == "option-224"


addresses = st.integers(0, 0xFFFF_FFFF).map(A)
labels = st.text("abcxyz019-_", min_size=1, max_size=12)
names = st.lists(labels, min_size=1, max_size=5).map(".".join)
networks = st.tuples(st.integers(0, 0xFFFF_FFFF), st.integers(0, 32)).map(
    lambda p: IPv4Network(p, strict=False)
)
routes = st.lists(st.builds(Route, networks, addresses), min_size=1, max_size=30).map(tuple)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "Address": addresses,
    "Addresses": st.lists(addresses, min_size=1, max_size=80).map(tuple),
    "Codes": st.lists(st.integers(0, 255), min_size=1).map(tuple),
    "ClasslessRoutes": routes,
    "Name": names,
    "Raw": st.binary(),
    "SearchList": st.lists(names, min_size=1, max_size=40).map(tuple),
    "Text": st.text(st.characters(categories=("L", "N", "P")), min_size=1),
}


@given(st.data())
def test_encode_then_decode_is_the_identity_for_every_option(data: st.DataObject) -> None:
    row = data.draw(st.sampled_from(sorted(OPTIONS.values(), key=lambda r: r.code)))
    shape = type(row.codec).__name__
    if shape == "Unsigned":
        value: Any = data.draw(st.integers(row.codec.lowest, (1 << 8 * row.codec.octets) - 1))
    elif shape == "StaticRoutes":
        hosts = st.integers(1, 0xFFFF_FFFF).filter(lambda a: a & 0xFF).map(lambda a: IPv4Network((a, 32)))
        value = tuple(data.draw(st.lists(st.builds(Route, hosts, addresses), min_size=1, max_size=10)))
    else:
        value = data.draw(VALUES[shape])
    assert decode_option(row.code, encode_option(row.code, value)) == value


@given(st.sampled_from(sorted(OPTIONS)), st.binary(max_size=600))
def test_decoding_arbitrary_bytes_raises_malformed_or_nothing(code: int, raw: bytes) -> None:
    try:
        decode_option(code, raw)
    except Malformed as fault:
        assert len(str(fault)) < 200


POINTER_BOMBS: dict[str, Callable[[int], bytes]] = {
    "pointers to themselves": lambda n: b"\xc0\x00" * (n // 2),
    "each pointer to the one before": lambda n: (
        b"\x01a\x00"
        + b"".join((0xC000 | max(at - 2, 0) & 0x3FFF).to_bytes(2, "big") for at in range(3, n, 2))
    ),
    "all pointers to one long name": lambda n: (
        b"\x3f" + b"a" * 63 + b"\x3f" + b"b" * 63 + b"\x00" + b"\xc0\x00" * (n // 2)
    ),
    "labels without an end": lambda n: b"\x01a" * (n // 2),
    "empty names": lambda n: b"\x00" * n,
}


@pytest.mark.parametrize("bomb", POINTER_BOMBS)
def test_compression_cannot_make_a_search_list_cost_more_than_its_size(bomb: str) -> None:
    raw = POINTER_BOMBS[bomb](60_000)
    began = time.process_time()
    with pytest.raises(Malformed):
        decode_option(Option.DOMAIN_SEARCH, raw)
    assert time.process_time() - began < 0.5


def test_options_go_by_name_alias_and_number() -> None:
    assert option_code("subnet-mask") == 1
    assert option_code("routers") == 3
    assert option_code("host-name") == 12
    assert option_code("vendor-class-identifier") == 60
    assert option_code("dhcp-client-identifier") == 61
    assert option_code("user-class") == 77
    assert option_code("dns") == option_code("domain-name-servers") == option_code("6") == option_code(6) == 6


@pytest.mark.parametrize("name", ["", "gateway", "-1", "0", "255", "256", "１", "1.5"])
def test_an_unknown_option_name_is_refused_and_the_known_ones_are_listed(name: str) -> None:
    with pytest.raises(ValueError, match="subnet-mask"):
        option_code(name)


def test_request_adds_to_the_default_unless_told_to_skip_it() -> None:
    assert request_list() == DEFAULT_REQUEST
    assert request_list(["routers", "224"]) == (*DEFAULT_REQUEST, 224)
    assert request_list(["routers"], skip_default=True) == (1, 3)


def test_classless_routes_are_asked_for_before_routers_and_static_routes() -> None:
    order = [DEFAULT_REQUEST.index(code) for code in (121, 3, 33)]
    assert order == sorted(order)


def test_provide_sends_the_string_as_it_is_and_refuses_what_the_protocol_writes() -> None:
    assert provide_option("user-class", "pod") == (77, b"pod")
    assert provide_option("224", "é") == (224, "é".encode())
    for name, value in (
        ("53", "1"),
        ("dhcp-server-identifier", "x"),
        ("host-name", ""),
        ("host-name", "x" * 256),
    ):
        with pytest.raises(ValueError, match=name):
            provide_option(name, value)
