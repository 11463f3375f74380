"""Lifetimes when something comes back: what it has now, else what is left."""

from __future__ import annotations

from dataclasses import replace

from brdhcp.netlink.change import Address, AddressAdd, DefaultRouter, LinkDelete, RouteAdd
from brdhcp.uplink.age import Now

from tests.unit.uplink.node import ROUTER

OLD = AddressAdd(address=Address(dev="eth0", address="172.16.91.140/24", valid_lft=120, preferred_lft=100))
STAND_IN = DefaultRouter(dev="eth0", gateway="fe80::1", metric=1025, expires=1800)


def test_a_lease_that_was_renewed_on_the_bridge_comes_back_renewed() -> None:
    renewed = Address(dev="mybr0", address="172.16.91.140/24", valid_lft=119, preferred_lft=118)
    aged = Now((renewed,), (), 90).aged(OLD)
    assert aged == replace(OLD, address=replace(OLD.address, valid_lft=119, preferred_lft=118))


def test_otherwise_what_has_passed_is_taken_off() -> None:
    aged = Now((), (), 110).aged(OLD)
    assert aged == replace(OLD, address=replace(OLD.address, valid_lft=10, preferred_lft=0))


def test_what_has_no_end_stays_as_it_is() -> None:
    for action in (
        AddressAdd(address=Address(dev="eth0", address="172.16.91.10/24")),
        LinkDelete(name="mybr0"),
    ):
        assert Now((), (), 50).aged(action) == action


def test_a_route_keeps_the_longer_life_that_an_announcement_gave_it() -> None:
    prolonged = replace(ROUTER, dev="mybr0", expires=1790)
    assert Now((), (prolonged,), 600).aged(RouteAdd(route=ROUTER)) == RouteAdd(
        route=replace(ROUTER, expires=1790)
    )
    assert Now((), (), 600).aged(RouteAdd(route=ROUTER)) == RouteAdd(route=replace(ROUTER, expires=1200))


def test_an_announced_route_that_never_left_is_not_added_twice() -> None:
    assert Now((), (ROUTER,), 5).aged(STAND_IN) is None
    assert Now((), (), 5).aged(STAND_IN) == replace(STAND_IN, expires=1795)
