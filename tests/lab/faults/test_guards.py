"""Pods as bad neighbours: what the guards keep from the LAN, tried by a pod that does each."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.agent.rig import NOTE, Answer, Rig, rig
from tests.lab.lan import until

GUARDS: dict[str, Any] = {**NOTE, "dhcpGuard": True, "spoofGuard": True, "raGuard": True}
_numbers = itertools.count()

ATTACK = """
import socket, struct, sys
what, mac, ip = sys.argv[1], bytes.fromhex(sys.argv[2].replace(':', '')), socket.inet_aton(sys.argv[3])
other, stranger = bytes.fromhex('02000badcafe'), socket.inet_aton('172.16.91.77')
def total(data):
    s = sum(struct.unpack('!%dH' % (len(data) // 2), data))
    return ~(s % 65535) & 65535 or 65535
def udp(src_mac, src, sport, dport):
    u = struct.pack('!HHHH', sport, dport, 12, 0) + b'mark'
    h = struct.pack('!BBHHHBBH4s4s', 69, 0, 20 + len(u), 1, 0, 64, 17, 0, src, b'\\xff' * 4)
    return b'\\xff' * 6 + src_mac + b'\\x08\\0' + h[:10] + struct.pack('!H', total(h)) + h[12:] + u
def arp(src_mac, sender_mac, sender):
    body = struct.pack('!HHBBH6s4s6s4s', 1, 2048, 6, 4, 2, sender_mac, sender, b'\\0' * 6, sender)
    return b'\\xff' * 6 + src_mac + b'\\x08\\x06' + body
def ra():
    icmp = bytes([134, 0, 0, 0, 64, 0, 7, 8]) + bytes(8)
    src, all_nodes = bytes.fromhex('fe80' + '00' * 13 + '02'), bytes.fromhex('ff02' + '00' * 13 + '01')
    ip6 = struct.pack('!IHBB16s16s', 6 << 28, len(icmp), 58, 255, src, all_nodes)
    return bytes.fromhex('333300000001') + mac + b'\\x86\\xdd' + ip6 + icmp
frames = {
    'dhcp': udp(mac, ip, 67, 68), 'mac': udp(other, ip, 5555, 5555), 'address': udp(mac, stranger, 5555, 5555),
    'arp': arp(mac, mac, stranger), 'arp-mac': arp(mac, other, ip), 'ra': ra(), 'honest': udp(mac, ip, 5555, 5555),
}
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(('eth0', 0))
s.send(frames[what])
"""
SEES = {
    "dhcp": "udp port 68", "mac": "udp port 5555", "address": "udp port 5555", "arp": "arp src host 172.16.91.77",
    "arp-mac": "arp and arp[8:4] = 0x02000bad", "ra": "icmp6 and ip6[40] = 134", "honest": "udp port 5555",
}  # fmt: skip


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
    attack = f"ip netns exec {pod} {sys.executable} - {what} {mac} {answer.address}"
    node.lan.node.run(attack, stdin=ATTACK)
    node.lan.node.run(f"ip netns exec {pod} {sys.executable} - honest {mac} {answer.address}",
                      stdin=ATTACK.replace("5555, 5555)", "5556, 5556)"))  # fmt: skip
    seen = dump.communicate(timeout=30)[0]
    return "5556" not in seen


@pytest.mark.parametrize("what", ["dhcp", "mac", "address", "arp", "arp-mac", "ra"])
def test_what_a_guarded_pod_may_not_send_does_not_reach_the_lan(shared: Rig, what: str) -> None:
    assert crosses(shared, NOTE, what), "without guards it does: the attack works"
    assert not crosses(shared, GUARDS, what)


def test_macspoofchk_alone_stops_a_foreign_mac_and_nothing_else(shared: Rig) -> None:
    conf = {**NOTE, "macspoofchk": True}
    assert not crosses(shared, conf, "mac")
    assert crosses(shared, conf, "dhcp")


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
