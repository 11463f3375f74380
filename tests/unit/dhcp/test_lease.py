"""What a lease is made of, what cannot be one, and its clocks."""

from __future__ import annotations

import json
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any

import pytest
from brdhcp.dhcp.lease import INFINITE, Lease, Unusable, lease_times
from brdhcp.dhcp.message import BOOTREPLY, Message
from brdhcp.dhcp.options import Option, Route, encode_option
from hypothesis import example, given
from hypothesis import strategies as st

from tests.unit.dhcp.scripted import FIRST, GATEWAY, SERVER, having, without

DAY = 86_400
DEFAULT = IPv4Network("0.0.0.0/0")
ACK = Message(
    op=BOOTREPLY,
    yiaddr=FIRST,
    options={
        Option.MESSAGE_TYPE: b"\x05",
        Option.SERVER_ID: SERVER.packed,
        Option.SUBNET_MASK: IPv4Address("255.255.255.0").packed,
        Option.LEASE_TIME: encode_option(Option.LEASE_TIME, 3600),
    },
)


def granted(**options: object) -> Lease:
    return Lease.from_message(having(ACK, **options), acquired_at=100.0, server_mac="02:00:5e:00:02:54")


def test_a_lease_holds_what_the_server_said() -> None:
    lease = granted(
        ROUTERS=(GATEWAY,),
        DNS=(GATEWAY,),
        DOMAIN_NAME="lan.example",
        DOMAIN_SEARCH=("lan.example", "example.org"),
        NTP=(GATEWAY,),
        MTU=1400,
        BROADCAST=IPv4Address("172.16.91.255"),
        HOST_NAME="pod-1",
        RENEWAL_TIME=1000,
        REBINDING_TIME=3000,
    )
    assert lease == Lease(
        IPv4Interface("172.16.91.131/24"),
        SERVER,
        3600,
        1000,
        3000,
        100.0,
        "02:00:5e:00:02:54",
        (GATEWAY,),
        (Route(DEFAULT, GATEWAY),),
        (GATEWAY,),
        "lan.example",
        ("lan.example", "example.org"),
        (GATEWAY,),
        1400,
        IPv4Address("172.16.91.255"),
        "pod-1",
    )
    assert (lease.renew_at, lease.rebind_at, lease.expires_at) == (1100, 3100, 3700)


def test_a_lease_counts_from_the_sending_of_the_request() -> None:
    assert granted().expires_at == 100 + 3600


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (without(ACK, Option.SERVER_ID), "server identifier"),
        (without(ACK, Option.SUBNET_MASK), "subnet mask"),
        (having(ACK, SUBNET_MASK=b"\xff\xff"), "subnet mask"),
        (having(ACK, SUBNET_MASK=b"\xff\x00\xff\x00"), "255.0.255.0"),
        (having(ACK, SUBNET_MASK=bytes(4)), "0.0.0.0"),
        (without(ACK, Option.LEASE_TIME), "no lease time"),
        (having(ACK, LEASE_TIME=0), "zero"),
        (having(ACK, LEASE_TIME=b"\x0e\x10"), "no lease time"),
        (replace(ACK, yiaddr=IPv4Address(0)), "0.0.0.0"),
        (replace(ACK, yiaddr=IPv4Address("224.0.0.1")), "224.0.0.1"),
        (replace(ACK, yiaddr=IPv4Address("127.0.0.1")), "127.0.0.1"),
        (replace(ACK, yiaddr=IPv4Address("255.255.255.255")), "255.255.255.255"),
        (replace(ACK, yiaddr=IPv4Address("172.16.91.0")), "network or broadcast"),
        (replace(ACK, yiaddr=IPv4Address("172.16.91.255")), "network or broadcast"),
        (having(ACK, ROUTERS=(GATEWAY, FIRST)), "gateway's own address"),
        (replace(ACK, yiaddr=SERVER), "server's own address"),
    ],
)
def test_what_cannot_be_used_is_refused_and_the_reason_is_said(message: Message, why: str) -> None:
    with pytest.raises(Unusable, match=why):
        Lease.from_message(message, acquired_at=0)


@pytest.mark.parametrize("mask", ["255.255.255.255", "255.255.255.254"])
def test_an_address_that_fills_its_network_is_usable(mask: str) -> None:
    assert granted(SUBNET_MASK=IPv4Address(mask)).address.ip == FIRST


@pytest.mark.parametrize(
    "name", ["ROUTERS", "DNS", "DOMAIN_NAME", "DOMAIN_SEARCH", "MTU", "CLASSLESS_ROUTES", "HOST_NAME"]
)
def test_one_malformed_option_does_not_spoil_a_lease(name: str) -> None:
    assert granted(**{name: b"\xff"}) == granted()


@pytest.mark.parametrize(
    ("lease_s", "t1", "t2", "expected"),
    [
        (3600, None, None, (1800, 3150)),
        (3600, 1000, 2000, (1000, 2000)),
        (3600, 1000, None, (1000, 3150)),
        (3600, None, 3000, (1800, 3000)),
        (3600, 3000, 2000, (1800, 3150)),
        (3600, 2000, 2000, (1800, 3150)),
        (3600, 1000, 3601, (1800, 3150)),
        (3600, 1000, 3600, (1800, 3150)),
        (3600, 0, 3000, (1800, 3150)),
        (3600, INFINITE, INFINITE, (1800, 3150)),
        (120, None, None, (60, 105)),
        (1, None, None, (1, 1)),
        (INFINITE, 1000, 2000, (INFINITE, INFINITE)),
    ],
)
def test_t1_and_t2_that_make_no_sense_become_the_defaults(
    lease_s: int, t1: int | None, t2: int | None, expected: tuple[int, int]
) -> None:
    assert lease_times(lease_s, t1, t2) == expected


def test_an_infinite_lease_is_never_due() -> None:
    lease = granted(LEASE_TIME=INFINITE)
    assert lease.infinite
    assert lease.renew_at == lease.rebind_at == lease.expires_at == float("inf")


def test_classless_routes_replace_the_router_and_the_static_routes() -> None:
    static = (Route(IPv4Network("10.0.0.0/8"), IPv4Address("172.16.91.3")),)
    service = (Route(IPv4Network("10.96.0.0/12"), IPv4Address("172.16.91.10")),)
    assert granted(ROUTERS=(GATEWAY,), STATIC_ROUTES=static, CLASSLESS_ROUTES=service).routes == service
    assert granted(ROUTERS=(GATEWAY,), MS_CLASSLESS_ROUTES=service).routes == service
    assert granted(ROUTERS=(GATEWAY,), STATIC_ROUTES=static).routes == (*static, Route(DEFAULT, GATEWAY))
    assert granted().routes == ()


def test_the_gateway_is_the_router_of_the_default_route_that_holds() -> None:
    elsewhere = IPv4Address("172.16.91.3")
    assert granted(ROUTERS=(GATEWAY,)).gateway == GATEWAY
    assert granted(ROUTERS=(GATEWAY,), CLASSLESS_ROUTES=(Route(DEFAULT, elsewhere),)).gateway == elsewhere
    assert granted(CLASSLESS_ROUTES=(Route(DEFAULT, IPv4Address(0)),)).gateway is None
    assert granted().gateway is None


def test_only_requested_options_without_a_field_are_kept_and_not_without_bound() -> None:
    message = having(ACK, TFTP_SERVER="tftp", VENDOR_SPECIFIC=bytes(1100), USER_CLASS=b"x")
    lease = Lease.from_message(message, acquired_at=0, keep=(66, 43, 1, 51))
    assert lease.options == ((66, b"tftp"),)


@pytest.mark.parametrize(
    ("option", "value", "field"),
    [
        ("ROUTERS", (GATEWAY,), "routes"),
        ("SUBNET_MASK", IPv4Address("255.255.0.0"), "address"),
        ("DNS", (GATEWAY,), "dns"),
        ("MTU", 1400, "mtu"),
        ("DOMAIN_NAME", "other", "domain"),
    ],
)
def test_differences_names_what_a_pod_would_notice(option: str, value: object, field: str) -> None:
    assert granted().differences(granted(**{option: value})) == (field,)


def test_lifetimes_are_no_difference() -> None:
    later = replace(granted(LEASE_TIME=60), acquired_at=500.0, server_mac=None)
    assert granted().differences(later) == ()


FULL = granted(
    ROUTERS=(GATEWAY,), DNS=(GATEWAY,), DOMAIN_NAME="lan.example", DOMAIN_SEARCH=("lan.example",), MTU=1400,
    BROADCAST=IPv4Address("172.16.91.255"),
)  # fmt: skip
FULL = replace(FULL, options=((43, b"\x01\x02"), (66, b"tftp")))


def stored(lease: Lease, *, now: float, wall_now: float, boot_id: str = "") -> dict[str, Any]:
    written: dict[str, Any] = json.loads(json.dumps(lease.to_json(now, wall_now, boot_id)))
    return written


def test_a_lease_survives_the_disk_within_one_boot() -> None:
    record = stored(FULL, now=160, wall_now=1_000_060)
    assert Lease.from_json(record, now=170, wall_now=1_000_070) == FULL


def test_the_record_says_when_the_lease_ends_on_the_wall_clock() -> None:
    assert stored(FULL, now=160, wall_now=1_000_060)["expires"] == 1_000_000 + 3600
    assert stored(granted(LEASE_TIME=INFINITE), now=160, wall_now=0)["expires"] is None


def test_after_a_reboot_the_wall_clock_tells_how_old_a_lease_is() -> None:
    record = stored(FULL, now=160, wall_now=1_000_060, boot_id="first")
    again = Lease.from_json(record, now=5, wall_now=1_000_400, boot_id="second")
    assert again.expires_at == 5 + 3600 - 400


@pytest.mark.parametrize("step", [-DAY, DAY])
def test_a_wall_clock_that_is_stepped_by_a_day_within_one_boot_changes_nothing(step: float) -> None:
    record = stored(FULL, now=160, wall_now=1_000_060, boot_id="boot")
    assert Lease.from_json(record, now=170, wall_now=1_000_070 + step, boot_id="boot") == FULL


def test_a_lease_from_the_future_of_a_clock_that_was_set_back_is_due_for_renewal() -> None:
    record = stored(FULL, now=160, wall_now=1_000_060, boot_id="first")
    again = Lease.from_json(record, now=5, wall_now=1_000_060 - DAY, boot_id="second")
    assert again.renew_at == 5
    assert again.expires_at == 5 + 1800


@pytest.mark.parametrize("key", sorted(FULL.to_json(0, 0)))
def test_a_damaged_record_is_a_value_error(key: str) -> None:
    record = stored(FULL, now=160, wall_now=1_000_060)
    if key not in ("expires", "bootID", "monotonic"):
        with pytest.raises(ValueError, match="not a lease record"):
            Lease.from_json({k: v for k, v in record.items() if k != key}, now=0, wall_now=2_000_000)
    if key in ("address", "server", "routers", "routes", "dns", "ntp", "leaseSeconds", "acquired", "options"):
        with pytest.raises(ValueError, match="not a lease record"):
            Lease.from_json({**record, key: ["x"]}, now=0, wall_now=2_000_000)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=5,
    ),
    st.sampled_from(sorted(FULL.to_json(0, 0))),
)
@example(False, "address")
@example([1], "dns")
def test_a_record_with_anything_anywhere_is_a_lease_or_a_value_error(junk: Any, key: str) -> None:
    try:
        Lease.from_json({**FULL.to_json(0, 0), key: junk}, now=0, wall_now=10)
    except ValueError as fault:
        assert "not a lease record" in str(fault)
