"""iproute2's one-line output, of a node whose uplink is migrated and of a pod."""

from __future__ import annotations

from envctl.iproute import Route, parse

NODE = r"""
link 1: lo: <LOOPBACK,UP,LOWER_UP> state UNKNOWN\    link/loopback 00:00:00:00:00:00
link 2: eth0: <UP,LOWER_UP> master mybr0 state UP\    link/ether 52:54:00:91:00:10
link 3: mybr0: <UP,LOWER_UP> state UP\    link/ether 52:54:00:91:00:10 \    bridge forward_delay 0 stp_state 0
link 4: veth1@if2: <UP,LOWER_UP> master mybr0 state UP\    link/ether 0a:00:00:00:00:01 link-netnsid 0
addr 1: lo    inet 127.0.0.1/8 scope host lo\
addr 3: mybr0    inet 172.16.91.10/24 brd 172.16.91.255 scope global mybr0\
addr 3: mybr0    inet6 fe80::5054:ff:fe91:10/64 scope link \
route default via 172.16.91.2 dev mybr0
route 172.16.91.0/24 dev mybr0 proto kernel scope link src 172.16.91.10
"""


def test_links_addresses_and_routes_are_read() -> None:
    node = parse(NODE)
    assert list(node.links) == ["lo", "eth0", "mybr0", "veth1"]
    assert node.links["eth0"].master == node.links["veth1"].master == "mybr0"
    assert node.links["eth0"].mac == node.links["mybr0"].mac == "52:54:00:91:00:10"
    assert node.links["mybr0"].addresses == ("172.16.91.10/24", "fe80::5054:ff:fe91:10/64")
    assert node.links["mybr0"].detail("stp_state") == node.links["mybr0"].detail("forward_delay") == "0"
    assert node.holders("172.16.91.10") == ["mybr0"]
    assert node.holders("172.16.91.1") == []
    assert node.routes == (
        Route("default", "mybr0", "172.16.91.2"),
        Route("172.16.91.0/24", "mybr0"),
    )


def test_other_lines_are_passed_over() -> None:
    assert parse("resolved 203.0.113.10\n\n").links == {}
