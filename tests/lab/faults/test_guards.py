"""Pods as bad neighbours: what the guards keep from the LAN, tried by a pod that does each."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Iterator
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any

import pytest
from brdhcp.bridge import nft
from brdhcp.spec.netconf import Bridge

from tests.lab.agent.rig import NOTE, Answer, Rig, rig
from tests.lab.faults import neighbour
from tests.lab.lan import until

GUARDS: dict[str, Any] = {**NOTE, "dhcpGuard": True, "spoofGuard": True, "raGuard": True}
_numbers = itertools.count()

FRAME = Path(neighbour.__file__)
SEES = {
    "dhcp": "udp port 68", "dhcp-port": "udp port 68", "dhcp6": "udp port 546", "dhcp6-port": "udp port 546",
    "mac": "udp port 5555", "address": "udp port 5555", "address6": "udp port 5555", "global6": "udp port 5555",
    "arp": "arp src host 172.16.91.77", "arp-mac": "arp and arp[8:4] = 0x02000bad",
    "tag": "arp src host 172.16.91.77", "trunk": "arp src host 172.16.91.77",
    "tags": "ether[12:2] = 0x8100", "snap": "ether[14:2] = 0xaaaa",
    "trunk-ra": "icmp6 and ip6[40] = 134", "trunk-dhcp": "udp port 68",
    "ra": "icmp6 and ip6[40] = 134", "tag-ra": "icmp6 and ip6[40] = 134", "redirect": "icmp6 and ip6[40] = 137",
    "advert": "icmp6 and ip6[40] = 136 and ip6[60:4] = 2",
    "advert-from": "icmp6 and ip6[40] = 136 and ip6[20:4] = 2",
    "probe": "icmp6 and ip6[40] = 135 and ip6[60:4] = 2",
}  # fmt: skip
"""What each frame is for tcpdump; the kernel takes one tag off before tcpdump looks."""


@pytest.fixture(scope="module")
def shared() -> Iterator[Rig]:
    with rig() as made:
        made.start()
        yield made


def crosses(node: Rig, conf: dict[str, Any], what: str) -> bool:
    """Whether the LAN sees what a pod with this configuration sends."""
    pod = f"pod{next(_numbers)}"
    seen = reaches(node, pod, node.add(pod, conf), what)
    assert node.cni("DEL", pod, conf).status == 0
    node.lan.node.run(f"ip netns del {pod}")
    return seen


def reaches(node: Rig, pod: str, answer: Answer, what: str) -> bool:
    """Whether the LAN sees what this pod sends; an honest frame after it ends the looking."""
    mac = answer.json["interfaces"][2]["mac"]
    either = f"({SEES[what]}) or (udp port 5556)"
    dump = node.lan.host.spawn(
        f"tcpdump -lni eth0 -c 1 '{either}'", stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert dump.stderr is not None
    assert dump.stdout is not None
    until(lambda: "listening" in dump.stderr.readline(), what="tcpdump listens")  # type: ignore[union-attr]
    for name, port in ((what, 5555), ("honest", 5556)):
        sends = f"{sys.executable} {FRAME} {name} {mac} {answer.address} {port}"
        node.lan.node.run(f"ip netns exec {pod} {sends}")
    seen = dump.communicate(timeout=30)[0]
    return "5556" not in seen


@pytest.mark.parametrize("what", [name for name in SEES if "trunk" not in name])
def test_what_a_guarded_pod_may_not_send_does_not_reach_the_lan(shared: Rig, what: str) -> None:
    assert crosses(shared, NOTE, what), "without guards it does: the attack works"
    assert not crosses(shared, GUARDS, what)


def test_the_guards_of_a_trunk_look_behind_its_tags(shared: Rig) -> None:
    answer = shared.add("trunk", NOTE)
    _, port, inside = answer.json["interfaces"]
    conf = Bridge(dhcp_guard=True, ra_guard=True, vlan_trunk=((5, 5),))
    rules = nft.of_port(conf, veth=port["name"], mac=inside["mac"])
    # By hand: whether this kernel's bridges filter VLANs does not matter to the rules.
    shared.lan.node.run("nft -f -", stdin=rules.tables + rules.add)
    try:
        seen = {what for what in SEES if reaches(shared, "trunk", answer, what)}
    finally:
        shared.lan.node.run("nft -f -", stdin=rules.remove)
    assert "trunk" in seen
    assert not {"trunk-ra", "trunk-dhcp", "tag", "tag-ra", "tags", "snap", "ra", "dhcp"} & seen
    assert shared.cni("DEL", "trunk").status == 0


def test_macspoofchk_alone_stops_a_foreign_mac_and_nothing_else(shared: Rig) -> None:
    conf = {**NOTE, "macspoofchk": True}
    assert not crosses(shared, conf, "mac")
    assert crosses(shared, conf, "dhcp")
    assert crosses(shared, conf, "trunk")


def test_a_guarded_pod_has_the_ipv6_addresses_that_follow_from_its_mac(shared: Rig) -> None:
    lan = shared.lan
    answer = shared.add("six", GUARDS)
    mac = answer.json["interfaces"][2]["mac"]
    number = f"{nft.interface_id(mac):x}"
    number = ":".join(number.zfill(16)[at : at + 4] for at in range(0, 16, 4))
    for path in ("addr_gen_mode", "use_tempaddr"):
        shown = lan.node.run(f"ip netns exec six cat /proc/sys/net/ipv6/conf/eth0/{path}").stdout
        assert shown.strip() == "0"
    (link,) = json.loads(lan.host.run("ip -j link show eth0").stdout)

    def addresses() -> set[IPv6Address]:
        lan.host.run(f"{sys.executable} {FRAME} router {link['address']} 172.16.91.1")
        (shown,) = json.loads(lan.node.run("ip -n six -j -6 addr show dev eth0").stdout)
        usable = (each for each in shown["addr_info"] if not each.get("tentative"))
        return {IPv6Address(each["local"]) for each in usable}

    expected = {IPv6Address(f"fe80::{number}"), IPv6Address(f"fd00:91::{number}")}
    until(lambda: addresses() == expected, what="the pod has made its addresses")
    lan.host.ip("addr add fd00:91::1/64 dev eth0 nodad")
    lan.host.run(f"ping -6 -c 1 -W 5 fd00:91::{number}")
    lan.host.run(f"ping -6 -c 1 -W 5 fe80::{number}%eth0")
    lan.node.run("ip -n six addr add fd00:91::2/64 dev eth0 nodad")
    ping = "ip netns exec six ping -6 -c 1 -W 1 fd00:91::1"
    lan.node.run(ping + f" -I fd00:91::{number}")
    assert lan.node.run(ping + " -I fd00:91::2", check=False).returncode != 0
    assert shared.cni("DEL", "six", GUARDS).status == 0


def test_a_guarded_pod_lives_and_its_rules_go_with_it(shared: Rig) -> None:
    address = shared.add("guarded", GUARDS).address
    shared.lan.host.run(f"ping -c 1 -W 5 {address}")
    shared.ctl("renew")
    until(lambda: shared.events("lease-renewed"), what="the guards let the renewal pass")
    assert address in shared.lan.node.run("nft list table bridge brdhcp").stdout
    assert shared.cni("DEL", "guarded", GUARDS).status == 0
    assert address not in shared.lan.node.run("nft list table bridge brdhcp").stdout
    shared.nothing_left()


MODERN: dict[str, Any] = {**GUARDS, "cniVersion": "1.1.0", "ipMasq": True}


@pytest.fixture
def flushed(shared: Rig) -> Iterator[tuple[Rig, Answer]]:
    """A node with two guarded pods, whose administrator has just reloaded the firewall; and what ADD answered one."""
    shared.add("other", MODERN)
    answer = shared.add("spoofer", MODERN)
    assert not reaches(shared, "spoofer", answer, "address")
    shared.lan.node.run("nft flush ruleset")
    yield shared, answer
    for name in ("other", "spoofer"):
        assert shared.cni("DEL", name, MODERN).status == 0
        shared.lan.node.run(f"ip netns del {name}")
    assert "elements" not in shared.lan.node.run("nft list ruleset").stdout
    shared.nothing_left()


def test_rules_that_were_flushed_are_missed_by_check_and_loaded_again_by_gc(
    flushed: tuple[Rig, Answer],
) -> None:
    node, answer = flushed
    assert reaches(node, "spoofer", answer, "address"), "the rules are gone"
    check = node.cni("CHECK", "spoofer", {**MODERN, "prevResult": answer.json})
    assert (check.status, check.json["code"]) == (1, 103)
    assert "table bridge brdhcp is gone" in check.json["msg"]
    assert [row["ok"] for row in node.ctl("check", check=False)] == [False, False]
    assert node.ctl("gc") == {"guarded": 2}
    assert not reaches(node, "spoofer", answer, "address")
    assert node.cni("CHECK", "spoofer", {**MODERN, "prevResult": answer.json}).status == 0
    assert [row["ok"] for row in node.ctl("check")] == [True, True]
    assert node.ctl("gc") == {}


@pytest.mark.parametrize(
    "taken",
    ["flush ruleset", "flush chain bridge brdhcp from_pods", "flush set bridge brdhcp address_guard",
     "delete table inet brdhcp"],
)  # fmt: skip
def test_rules_of_which_somebody_took_a_part_are_whole_after_the_next_reconcile(
    quiet: Rig, taken: str
) -> None:
    quiet.start("--reconcile", "0.2")
    answer = quiet.add("spoofer", MODERN)
    whole = quiet.lan.node.run("nft -s list ruleset").stdout
    quiet.lan.node.run(f"nft {taken}")
    until(lambda: quiet.lan.node.run("nft -s list ruleset").stdout == whole, what="the rules are as before")
    until(lambda: quiet.events("guards-restored"), what="it is said")
    assert not reaches(quiet, "spoofer", answer, "address")
    assert quiet.events("bug") == []


def test_without_nft_the_keys_that_need_it_are_refused_by_name_and_nothing_is_made(quiet: Rig) -> None:
    quiet.start(PATH="/nowhere")
    quiet.pod("web")
    answer = quiet.cni("ADD", "web", GUARDS)
    assert (answer.status, answer.json["code"]) == (1, 2)
    assert "spoofGuard and dhcpGuard and raGuard cannot be honoured" in answer.json["msg"]
    quiet.nothing_left()
    assert quiet.asked("DHCPDISCOVER") == 0
    assert quiet.cni("ADD", "web").status == 0, "a pod without guards needs no nft"
