"""The rules of a port as nft text; tests/lab/bridge feeds it to nft."""

from __future__ import annotations

from ipaddress import ip_interface

from brdhcp.bridge import nft
from brdhcp.spec.netconf import Bridge

ADDRESS = [ip_interface("172.16.91.131/24")]


def ruleset(conf: Bridge) -> nft.Ruleset:
    return nft.of_port(conf, veth="veth1", mac="02:00:00:00:00:01", addresses=ADDRESS)


def test_a_port_without_guards_needs_no_nft() -> None:
    found = ruleset(Bridge())
    assert not found
    assert (found.tables, found.add, found.remove) == ("", "", "")


def test_each_guard_adds_its_own_elements() -> None:
    assert ruleset(Bridge(mac_spoof_check=True)).add.splitlines() == [
        'add element bridge brdhcp macs { "veth1" . 02:00:00:00:00:01 }',
        'add element bridge brdhcp mac_guard { "veth1" }',
    ]
    assert ruleset(Bridge(dhcp_guard=True, ra_guard=True)).add.splitlines() == [
        'add element bridge brdhcp dhcp_guard { "veth1" }',
        'add element bridge brdhcp ra_guard { "veth1" }',
        'add element bridge brdhcp guarded { "veth1" }',
        'add element bridge brdhcp untagged { "veth1" }',
    ]
    assert 'addresses { "veth1" . 172.16.91.131 }' in ruleset(Bridge(spoof_guard=True)).add


def test_a_pods_own_ipv6_addresses_are_those_of_its_mac_and_those_it_was_given() -> None:
    both = [*ADDRESS, ip_interface("fd00::5/64")]
    found = nft.of_port(Bridge(spoof_guard=True), veth="veth1", mac="02:00:5E:00:00:01", addresses=both)
    assert 'interface_ids { "veth1" . 0x5efffe000001 }' in found.add
    assert 'addresses6 { "veth1" . 0xfd00000000000000 . 0x5 }' in found.add


def test_a_trunk_may_send_tags_and_no_other_port_may() -> None:
    assert "untagged" in ruleset(Bridge(dhcp_guard=True, vlan=5)).add
    assert "untagged" not in ruleset(Bridge(dhcp_guard=True, vlan_trunk=((5, 5),))).add


def test_masquerading_spares_the_pods_own_network() -> None:
    found = ruleset(Bridge(ip_masq=True))
    assert "table bridge" not in found.tables
    assert found.add.splitlines() == [
        "add element inet brdhcp pods4 { 172.16.91.131 }",
        "add element inet brdhcp local4 { 172.16.91.131 . 172.16.91.0/24 }",
    ]


def test_what_the_kernel_has_lost_is_named() -> None:
    wanted = ruleset(Bridge(spoof_guard=True, ip_masq=True))
    assert wanted.missing(nft.Loaded.of(["", ""]))[:2] == (
        "the nftables table bridge brdhcp is gone or has lost rules",
        "the nftables table inet brdhcp is gone or has lost rules",
    )
    everything = {(family, name, element.replace('"', "")) for family, name, element in wanted.elements}
    assert wanted.missing(nft.Loaded(dict(nft.RULES), frozenset(everything))) == ()
    some = frozenset(each for each in everything if each[1] not in ("macs", "pods4"))
    assert wanted.missing(nft.Loaded(dict(nft.RULES), some)) == (
        "its elements are gone from the nftables sets macs, pods4",
    )


def test_numbers_of_a_listing_have_no_sign_although_nft_prints_one() -> None:
    listed = (
        '{"nftables": [{"set": {"family": "bridge", "name": "interface_ids", "elem": [{"concat": ["veth1",'
        ' -177021405626352]}, {"concat": ["veth2", 104453571084304]}]}}]}'
    )
    assert nft.Loaded.of([listed]).elements == {
        ("bridge", "interface_ids", "veth1 . 0xffff5efffe000010"),
        ("bridge", "interface_ids", "veth2 . 0x5efffe000010"),
    }


def test_a_listing_of_nft_is_read() -> None:
    listed = (
        '{"nftables": [{"metainfo": {}}, {"rule": {"family": "inet"}}, {"set": {"family": "inet", "name": "local4",'
        ' "elem": [{"concat": ["172.16.91.131", {"prefix": {"addr": "172.16.91.0", "len": 24}}]}]}},'
        ' {"set": {"family": "inet", "name": "pods4", "elem": ["172.16.91.131"]}}, {"set": {"family": "inet",'
        ' "name": "pods6"}}]}'
    )
    found = nft.Loaded.of(["", listed])
    assert found.rules == {"inet": 1}
    assert found.elements == {
        ("inet", "local4", "172.16.91.131 . 172.16.91.0/24"),
        ("inet", "pods4", "172.16.91.131"),
    }
